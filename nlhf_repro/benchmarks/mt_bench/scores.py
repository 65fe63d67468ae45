"""MT-Bench scores from single-answer ratings: a question is a cluster, categories are strata."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from nlhf_repro.benchmarks.clustered import (
    extremes_note,
    refuse_lost,
    repeated_note,
    stratified_extremes,
)
from nlhf_repro.benchmarks.mt_bench.questions import (
    OFFICIAL_QUESTIONS,
    TURNS,
    own_questions_note,
    refuse_foreign,
    refuse_lost_categories,
)
from nlhf_repro.benchmarks.mt_bench.ratings import HIGHEST, LOWEST, Rating, models_of
from nlhf_repro.interfaces import (
    Diagnostics,
    MetricScores,
    ModelScores,
    UnusableAnnotationsError,
)

_PROMPTS = {
    1: {"single-v1", "single-math-v1"},
    2: {"single-v1-multi-turn", "single-math-v1-multi-turn"},
}


def score_ratings(
    ratings: Sequence[Rating],
    categories: Mapping[str, str] = OFFICIAL_QUESTIONS,
    repeats: int = 1,
    maximum_lost: float = 0.02,
) -> tuple[ModelScores, ...]:
    """Scores of every model, in points of 1 to 10.

    Metrics: `score`, a question's mean over its two turns (questions that lost a turn are left
    out), `first_turn` and `second_turn`, all three with the categories as strata of equal weight
    ("categories fixed"); and `score/CATEGORY`.

    Args:
        ratings: From `read_ratings`.
        categories: Category of every question that must be there; the official 80 by default.
        repeats: Judgments (or generations) of each question and turn, averaged first. One by
            default: files that were appended to twice are refused.
        maximum_lost: Share of the judgments without a rating in range, missing ones included,
            above which a score is refused.

    Raises:
        UnusableAnnotationsError: too many judgments lost, questions outside the list, or not
            `repeats` judgments of a question and turn.
    """
    if repeats < 1:
        raise UnusableAnnotationsError(f"repeats is {repeats}: a judgment is there at least once.")
    groups = {name: [each for each in ratings if each.model == name] for name in models_of(ratings)}
    return tuple(_score(group, categories, repeats, maximum_lost) for group in groups.values())


def _score(
    group: Sequence[Rating], categories: Mapping[str, str], repeats: int, maximum_lost: float
) -> ModelScores:
    first = group[0]
    where = f"{first.model} (judge {first.judge})"
    refuse_foreign((each.question for each in group), categories, where)
    _refuse_repeats(group, repeats, where)
    losses = Counter(reason for each in group if (reason := each.loss_reason()) is not None)
    missing = len(categories) * len(TURNS) * repeats - len(group)
    refuse_lost(losses, missing, len(group), maximum_lost, where)
    metrics = _metrics(group, categories, where)
    return ModelScores(
        benchmark="mt_bench",
        version="single-answer",
        name=first.model,
        opponent=None,
        judge=first.judge,
        metrics=metrics,
        diagnostics=Diagnostics(
            rows=len(group),
            unusable=dict(losses),
            duplicates=len(group) - len({(each.question, each.turn) for each in group}),
            missing=len(set(categories) - {each.question for each in group}),
            identical_outputs=None,
            verdicts=dict(Counter(_shown(each.recorded) for each in group)),
            position_flip_rate=None,
        ),
        notes=_notes(group, metrics["score"], categories, repeats),
    )


def _shown(rating: float | None) -> str:
    return "none" if rating is None else f"{rating:g}"


def _refuse_repeats(group: Sequence[Rating], repeats: int, where: str) -> None:
    counts = Counter((each.question, each.turn) for each in group)
    wrong = [key for key, times in counts.items() if times != repeats]
    if wrong:
        question, turn = wrong[0]
        raise UnusableAnnotationsError(
            f"{len(wrong)} of {len(counts)} questions and turns of {where} have not "
            f"{repeats} judgment{'s' * (repeats > 1)}, such as question {question}, turn {turn}, "
            f"with {counts[wrong[0]]}: remove the rows of the other generation, or say how many "
            "repeats there are of each."
        )


def _metrics(
    group: Sequence[Rating], categories: Mapping[str, str], where: str
) -> dict[str, MetricScores]:
    usable: dict[tuple[str, int], list[float]] = defaultdict(list)
    for each in group:
        if each.loss_reason() is None and each.recorded is not None:
            usable[each.question, each.turn].append(each.recorded)
    turns = {
        turn: {q: float(np.mean(usable[q, turn])) for q in categories if usable.get((q, turn))}
        for turn in TURNS
    }
    both = {
        q: (turns[1][q] + turns[2][q]) / 2 for q in categories if q in turns[1] and q in turns[2]
    }
    refuse_lost_categories(both, categories, where)
    named = {"score": both, "first_turn": turns[1], "second_turn": turns[2]}
    metrics = {name: _metric(name, by, categories) for name, by in named.items()}
    for category in dict.fromkeys(categories.values()):
        name = f"score/{category}"
        part = {question: by for question, by in both.items() if categories[question] == category}
        metrics[name] = MetricScores(
            metric=name,
            unit="points",
            questions=tuple(part),
            values=np.array(list(part.values())),
            is_plain_mean=True,
            bounds=(LOWEST, HIGHEST),
        )
    return metrics


def _metric(name: str, by: Mapping[str, float], categories: Mapping[str, str]) -> MetricScores:
    return MetricScores(
        metric=name,
        unit="points",
        questions=tuple(by),
        values=np.array(list(by.values())),
        is_plain_mean=True,
        strata=tuple(categories[question] for question in by),
        bounds=(LOWEST, HIGHEST),
    )


def _notes(
    group: Sequence[Rating], score: MetricScores, categories: Mapping[str, str], repeats: int
) -> tuple[str, ...]:
    notes = ["categories fixed", *own_questions_note(categories)]
    if repeats > 1:
        notes.append(f"{repeats} repeats averaged in every question and turn")
    if group[0].judge == group[0].model:
        notes.append("the judge judges its own answers")
    if others := sorted({x.prompt for x in group if x.prompt not in _PROMPTS[x.turn]}):
        notes.append(f"judge prompts other than the protocol's: {', '.join(map(repr, others))}")
    if misread := sum(each.misread() for each in group):
        notes.append(
            f"{misread} of {len(group)} recorded ratings differ from what the parser reads in the "
            "judge's words"
        )
    notes += repeated_note((x.answer for x in group if x.answer is not None), "first answer")
    both = dict(zip(score.questions, score.values.tolist(), strict=True))
    worst, best = stratified_extremes(both, categories, LOWEST, HIGHEST)
    expected = len(categories) * len(TURNS) * repeats
    lost = expected - sum(each.loss_reason() is None for each in group)
    return (*notes, *extremes_note(lost, expected, worst, best))
