"""Arena-Hard scores: the weighted win rate, every question one cluster.

Against one baseline the Bradley-Terry score that v0.1 fits is the weighted mean of win 1, tie 1/2,
loss 0, where `>>` weighs 3; so nothing is fitted here, and a model that wins every game scores 100.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from nlhf_repro.benchmarks.arena_hard.judgments import DECISIVE_WEIGHT, Judgment
from nlhf_repro.benchmarks.arena_hard.questions import BASELINES, SIZES, Question
from nlhf_repro.benchmarks.arena_hard.styles import (
    CONTROLS,
    AnswerStyle,
    Control,
    style_controlled_scores,
)
from nlhf_repro.benchmarks.clustered import extremes_note, refuse_lost, repeated_note
from nlhf_repro.interfaces import (
    Diagnostics,
    MetricScores,
    ModelScores,
    UnusableAnnotationsError,
)
from nlhf_repro.uncertainty import weighted_ratio


def score_judgments(
    judgments: Sequence[Judgment],
    questions: Mapping[str, Question] | None = None,
    styles: Mapping[str, Mapping[str, AnswerStyle]] | None = None,
    control: Sequence[Control] = CONTROLS,
    maximum_lost: float = 0.02,
) -> tuple[ModelScores, ...]:
    """Scores of every model in every category (v0.1 has one), by category and model.

    Metrics, in percent: `score/CATEGORY` with the protocol's weights, `unweighted_score/CATEGORY`
    with every verdict counted once, the same for each subcategory (coding, math) where `questions`
    are given, and `style_controlled_score/CATEGORY` where `styles` are. Categories have different
    baselines and are never pooled.

    Args:
        judgments: From `read_judgments`.
        questions: From `read_questions`: those that must be there. Without it a category is only
            compared with the protocol's size, in a note.
        styles: Styles of answers by model (baselines included) and question, from `read_styles`.
        control: What the style-controlled score holds equal.
        maximum_lost: Share of games without a value, missing ones included where `questions` are
            given, above which a score is refused.

    Raises:
        UnusableAnnotationsError: too many games lost, questions outside the list, or a model that
            met several baselines in a category (`score_round_robin` is for those).
    """
    groups: dict[tuple[str, str], list[Judgment]] = defaultdict(list)
    for each in sorted(judgments, key=lambda judgment: judgment.question):
        groups[each.category, each.model].append(each)
    _refuse_foreign(judgments, questions)
    for group in groups.values():
        _refuse_several_baselines(group)
    scores = [
        _against_the_protocols(_score(groups[key], questions, maximum_lost), key[0])
        for key in sorted(groups)
    ]
    if styles is None:
        return tuple(scores)
    return style_controlled_scores(
        scores, [each for key in sorted(groups) for each in groups[key]], styles, control
    )


def _refuse_foreign(
    judgments: Sequence[Judgment], questions: Mapping[str, Question] | None
) -> None:
    if questions is None:
        return
    foreign = [each for each in judgments if each.question not in questions]
    moved = [
        each
        for each in judgments
        if each.question in questions and questions[each.question].category != each.category
    ]
    if foreign or moved:
        sample = (foreign or moved)[0]
        raise UnusableAnnotationsError(
            f"{len(foreign)} judgments are of questions that are not in the list and {len(moved)} "
            f"are filed under another category, such as {sample.question!r} ({sample.category}): "
            "give the question file of the version that was judged."
        )


def _refuse_several_baselines(group: Sequence[Judgment]) -> None:
    baselines = sorted({each.baseline for each in group})
    if len(baselines) > 1:
        raise UnusableAnnotationsError(
            f"{group[0].model} met {len(baselines)} baselines in {group[0].category} "
            f"({', '.join(baselines)}): a score has one; give all files of a round-robin to one "
            "nlhf score arena_hard, without --seeds, or keep the rows of one baseline."
        )


def score_pair(
    group: Sequence[Judgment],
    questions: Mapping[str, Question] | None,
    maximum_lost: float,
) -> ModelScores:
    """Scores of one model against one opponent in one category; arguments as `score_judgments`.

    Raises:
        UnusableAnnotationsError: too many games lost, or questions outside the list.
    """
    _refuse_foreign(group, questions)
    return _score(group, questions, maximum_lost)


def _score(
    group: Sequence[Judgment], questions: Mapping[str, Question] | None, maximum_lost: float
) -> ModelScores:
    first = group[0]
    expected = [q for q, info in (questions or {}).items() if info.category == first.category]
    missing = len(set(expected) - {each.question for each in group})
    losses = Counter(reason for each in group for reason in each.losses())
    where = f"{first.model} ({first.category}, judge {first.judge})"
    refuse_lost(losses, 2 * missing, 2 * len(group), maximum_lost, where)
    metrics = _metrics(group, first.category)
    for name in sorted({info.subcategory for info in (questions or {}).values()} - {None}, key=str):
        part = [x for x in group if questions and questions[x.question].subcategory == name]
        metrics |= _metrics(part, str(name))
    return ModelScores(
        benchmark="arena_hard",
        version=first.version,
        name=first.model,
        opponent=first.baseline,
        judge=first.judge,
        metrics=metrics,
        diagnostics=diagnostics_of(group, missing if questions else None),
        notes=_notes(group, sum(losses.values()) + 2 * missing, missing, questions),
    )


def _against_the_protocols(scores: ModelScores, category: str) -> ModelScores:
    """With a note where the opponent is not the protocol's."""
    usual = BASELINES.get(category)
    if usual == scores.opponent:
        return scores
    note = f"opponent {scores.opponent} is not the protocol's {usual or '(none)'}"
    return replace(scores, notes=(note, *scores.notes))


def _metrics(group: Sequence[Judgment], category: str) -> dict[str, MetricScores]:
    used = {each.question: each.outcomes() for each in group if each.outcomes()}
    if not used:
        return {}
    metrics = {}
    for metric, weighted in (("score", True), ("unweighted_score", False)):
        weights = [[w if weighted else 1.0 for _, w in games] for games in used.values()]
        shares = [[share for share, _ in games] for games in used.values()]
        totals = np.array([np.dot(s, w) for s, w in zip(shares, weights, strict=True)])
        sizes = np.array([sum(w) for w in weights])
        name = f"{metric}/{category}"
        metrics[name] = MetricScores(
            metric=name,
            unit="percent",
            questions=tuple(used),
            values=100 * weighted_ratio(totals, sizes),
            is_plain_mean=bool((sizes == sizes[0]).all()),
        )
    return metrics


def diagnostics_of(group: Sequence[Judgment], missing: int | None = None) -> Diagnostics:
    """What happened to the games of one model; `missing` as in `Diagnostics`."""
    losses = Counter(reason for each in group for reason in each.losses())
    flips = [flip for each in group if (flip := each.flips()) is not None]
    answers = [each.games[0].answers for each in group if each.games[0].answers]
    return Diagnostics(
        rows=2 * len(group),
        unusable=dict(losses),
        duplicates=0,
        missing=missing,
        identical_outputs=sum(a == b for a, b in answers) if answers else None,
        verdicts=dict(Counter(g.label for each in group for g in each.games if g.label)),
        position_flip_rate=float(np.mean(flips)) if flips else None,
    )


def _notes(
    group: Sequence[Judgment],
    lost: int,
    missing: int,
    questions: Mapping[str, Question] | None,
) -> tuple[str, ...]:
    first, notes, size = group[0], [], SIZES.get(group[0].category)
    if questions is None and size is not None and len(group) != size:
        notes.append(f"{len(group)} of the protocol's {size} questions")
    if first.judge in (first.model, first.baseline):
        notes.append("the judge judges its own answers")
    if misread := sum(game.misread(first.version) for each in group for game in each.games):
        notes.append(
            f"{misread} of {2 * len(group)} recorded labels differ from what the "
            f"{first.version} parser reads in the judge's words"
        )
    notes += repeated_note(each.games[0].answers[1] for each in group if each.games[0].answers)
    outcomes = [outcome for each in group for outcome in each.outcomes()]
    won, total = (sum(values) for values in zip(*((s * w, w) for s, w in outcomes), strict=True))
    most = DECISIVE_WEIGHT * lost
    worst, best = 100 * won / (total + most), 100 * (won + most) / (total + most)
    return (*notes, *extremes_note(lost, 2 * (len(group) + missing), worst, best))
