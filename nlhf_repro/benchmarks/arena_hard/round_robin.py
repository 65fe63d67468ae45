"""Models that meet each other instead of one baseline: every pair's score, and strengths.

Strengths are Bradley-Terry's, P(a beats b) = sigmoid(theta_a - theta_b), fitted to the verdicts
with the protocol's weights, as contrasts against one model, the anchor. Their error is the sandwich
with questions as clusters (`uncertainty.bradley_terry_contrast`). A judge need not be transitive,
so strengths stand beside the pairs' own scores and the curl test, never alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from nlhf_repro.benchmarks.annotation_files import refuse_duplicates_of
from nlhf_repro.benchmarks.arena_hard.judgments import Judgment, pairwise_wins
from nlhf_repro.benchmarks.arena_hard.questions import BASELINES, Question
from nlhf_repro.benchmarks.arena_hard.scores import diagnostics_of, score_pair
from nlhf_repro.interfaces import Array, MetricScores, ModelScores, UnusableAnnotationsError
from nlhf_repro.uncertainty import bradley_terry, bradley_terry_contrast, curl_test

_SIGNIFICANCE = 0.05


def round_robins(judgments: Sequence[Judgment]) -> list[tuple[Judgment, ...]]:
    """Judgments in which models meet each other, one group for each set of connected models.

    A group is of one protocol, judge and category. Where every model met one and the same baseline
    there is no round-robin, nor between two models: the score says all.
    """
    pools: dict[tuple[str, str, str], list[Judgment]] = defaultdict(list)
    for each in judgments:
        pools[each.version, each.judge, each.category].append(each)
    groups = (group for _, pool in sorted(pools.items()) for group in _connected(pool))
    return [
        group
        for group in groups
        if len({each.baseline for each in group}) > 1
        and len({name for each in group for name in (each.model, each.baseline)}) > 2
    ]


def _connected(pool: Sequence[Judgment]) -> list[tuple[Judgment, ...]]:
    """The judgments by sets of models that met directly or through others."""
    home = {name: name for each in pool for name in (each.model, each.baseline)}

    def find(name: str) -> str:
        while home[name] != name:
            name = home[name]
        return name

    for each in pool:
        home[max(find(each.model), find(each.baseline))] = min(
            find(each.model), find(each.baseline)
        )
    groups: dict[str, list[Judgment]] = defaultdict(list)
    for each in pool:
        groups[find(each.model)].append(each)
    return [tuple(groups[name]) for name in sorted(groups)]


def score_round_robin(
    judgments: Sequence[Judgment],
    anchor: str | None = None,
    questions: Mapping[str, Question] | None = None,
    maximum_lost: float = 0.02,
) -> tuple[tuple[ModelScores, ...], tuple[ModelScores, ...]]:
    """Strengths of all models, then the scores of all pairs that met, both by name.

    The metric of a model is `bradley_terry/CATEGORY`: its log-odds (natural) of winning against the
    anchor; questions on which a model was not judged add nothing to it. There is none where the
    estimate is infinite, as for a model that never lost. A pair has the metrics of
    `score_judgments`, of its first model against its second; the anchor always comes second.

    Args:
        judgments: One group of `round_robins`.
        anchor: Model of strength 0; the protocol's baseline where it takes part, else the first by
            name.
        questions: As in `score_judgments`, of every pair.
        maximum_lost: As in `score_judgments`, of every pair.

    Raises:
        UnusableAnnotationsError: the anchor takes no part, a pair was judged twice on a question,
            or what `score_judgments` refuses of a pair.
    """
    names = sorted({name for each in judgments for name in (each.model, each.baseline)})
    first = _anchor(names, judgments[0].category, anchor)
    names = [first, *(name for name in names if name != first)]
    order = {name: place for place, name in enumerate(names)}
    oriented = [
        each if order[each.model] > order[each.baseline] else swapped(each) for each in judgments
    ]
    keys = [(each.model, each.baseline, each.question) for each in oriented]
    refuse_duplicates_of(keys, "the round-robin's files", "pair of models and question")
    met: dict[tuple[str, str], list[Judgment]] = defaultdict(list)
    for each in sorted(oriented, key=lambda judgment: judgment.question):
        met[each.model, each.baseline].append(each)
    pairs = tuple(score_pair(met[key], questions, maximum_lost) for key in sorted(met))
    return _strengths(names, oriented, met), pairs


def swapped(judgment: Judgment) -> Judgment:
    """The same two games seen from the baseline's side."""
    first, second = judgment.games
    return replace(
        judgment, model=judgment.baseline, baseline=judgment.model, games=(second, first)
    )


def _anchor(names: Sequence[str], category: str, wanted: str | None) -> str:
    if wanted is not None and wanted not in names:
        raise UnusableAnnotationsError(
            f"The anchor {wanted!r} takes no part in the round-robin of {category}: name one of "
            f"{', '.join(names)}."
        )
    usual = BASELINES.get(category, "")
    return wanted or (usual if usual in names else names[0])


def _strengths(
    names: Sequence[str],
    judgments: Sequence[Judgment],
    met: Mapping[tuple[str, str], Sequence[Judgment]],
) -> tuple[ModelScores, ...]:
    """The anchor, `names[0]`, comes first."""
    first = judgments[0]
    found, questions, wins = pairwise_wins([each for each in judgments if each.outcomes()])
    places = [found.index(name) for name in names] if set(found) == set(names) else []
    notes = [f"strength 0 is {names[0]}'s (--anchor)", _met_note(len(names), met, len(questions))]
    metrics: list[dict[str, MetricScores]] = [{} for _ in names]
    try:
        if not places:
            raise ValueError("a model has no usable verdict; report win rates instead.")
        wins = wins[:, places][:, :, places]
        fit = bradley_terry(wins)
    except ValueError as error:
        notes = [f"no strengths: {str(error).removesuffix('.')}"]
    else:
        notes.append(_curl_note(wins))
        name = f"bradley_terry/{first.category}"
        for place in range(len(names)):
            contrast = np.zeros(len(names))
            contrast[place] += 1
            contrast[0] -= 1
            metrics[place][name] = MetricScores(
                metric=name,
                unit="log odds",
                questions=questions,
                values=bradley_terry_contrast(fit, contrast),
                is_plain_mean=False,
                fixed="0 by definition, the anchor" if place == 0 else "",
            )
    return tuple(
        ModelScores(
            benchmark="arena_hard",
            version=f"{first.version}, Bradley-Terry",
            name=model,
            opponent=f"round-robin of {len(names)}, anchor {names[0]}",
            judge=first.judge,
            metrics=found_metrics,
            diagnostics=diagnostics_of(
                [
                    each if each.model == model else swapped(each)
                    for each in judgments
                    if model in (each.model, each.baseline)
                ]
            ),
            notes=tuple(notes),
        )
        for model, found_metrics in zip(names, metrics, strict=True)
    )


def _met_note(
    models: int, met: Mapping[tuple[str, str], Sequence[Judgment]], questions: int
) -> str:
    possible = models * (models - 1) // 2
    sizes = sorted({len(group) for group in met.values()})
    counts = " to ".join(str(size) for size in dict.fromkeys((sizes[0], sizes[-1])))
    note = f"{len(met)} of {possible} pairs met, each on {counts} of {questions} questions"
    if len(met) == models - 1:
        note += "; no models met in a circle, so nothing tests that strengths carry over"
    return note


def _curl_note(wins: Array) -> str:
    """Whether one strength a model explains the pairs; checkpoint level."""
    totals = wins.sum(axis=0)
    if not all(
        totals[i, j] > 0 and totals[j, i] > 0 for i, j in combinations(range(len(totals)), 2)
    ):
        return "no curl test of transitivity: it needs every pair to meet and to win something"
    found = curl_test(wins)
    if not np.isfinite(found.p_value):
        return f"curl test of transitivity {found.note}"
    d, freedom = found.degrees_of_freedom
    p = "p < 0.001" if found.p_value < 0.001 else f"p = {found.p_value:.2g}"
    note = (
        f"curl test of transitivity F({d}, {freedom}) = {found.statistic:.2f}, {p}, cyclic share "
        f"{100 * found.cyclic_share:.0f} % of the squared log-odds; of these checkpoints, training "
        "seeds ignored"
    )
    if found.p_value < _SIGNIFICANCE:
        note += (
            "; preferences go in circles, so that no single strength explains them: read the pairs"
        )
    return note
