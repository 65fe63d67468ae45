"""What scorers of annotation files share: clustered errors, what losses could do, repetitions.

Nothing here knows a benchmark.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nlhf_repro.benchmarks.annotation_files import refuse_losses
from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty import estimate

SHOWN_LOSSES = 0.01  # above this share of lost rows the worst and the best case are shown
_REPEATED = 0.05
_LARGEST = 1e300
_ROUNDING = 1e-9


def standard_error(values: Array, strata: Sequence[str] | None = None) -> float:
    """Error of one checkpoint's mean over questions, or over strata of equal weight.

    NaN, never 0, where values do not vary (within strata), or a stratum has a single one.
    """
    error = estimate(values[None], strata=strata).standard_error
    return error if error > _ROUNDING * float(np.abs(values).max()) else float("nan")


def refuse_lost(
    unusable: Mapping[str, int], missing: int, rows: int, maximum_share: float, where: str
) -> None:
    """`refuse_losses`, with rows that should be there and are not counted among the lost.

    Raises:
        UnusableAnnotationsError: more than `maximum_share` of `rows + missing` give no value.
    """
    lost = {**unusable, "missing": missing} if missing else unusable
    refuse_losses(lost, rows + missing, maximum_share, where)


def extremes_note(
    lost: int, rows: int, worst: float, best: float, what: str = "score"
) -> tuple[str, ...]:
    """The score with everything lost at its worst and at its best, where over 1 % are lost."""
    if lost <= SHOWN_LOSSES * rows:
        return ()
    return (
        f"{lost} of {rows} judgments give no value: the {what} would be {worst:.2f} if all that "
        f"they cost counted against the model, {best:.2f} if it counted for it",
    )


def repeated_note(answers: Iterable[str], what: str = "answer") -> tuple[str, ...]:
    """One text that answers more than 5 % of the questions, as a constant answer does."""
    counts = Counter(answers)
    times = max(counts.values(), default=0)
    if times <= max(1, _REPEATED * counts.total()):
        return ()
    return (f"one and the same {what} to {times} of {counts.total()} questions",)


def stratified_extremes(
    values: Mapping[str, float], strata: Mapping[str, str], lowest: float, highest: float
) -> tuple[float, float]:
    """Mean over strata of equal weight with every question that has no value at an extreme.

    The mean of the values that are there lies between the two.

    Args:
        values: By question.
        strata: Stratum of every question that should have a value.
        lowest: The least value a question can have.
        highest: The largest.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for question, stratum in strata.items():
        groups[stratum].append(question)
    worst, best = (
        sum(sum(values.get(q, extreme) for q in group) / len(group) for group in groups.values())
        for extreme in (lowest, highest)
    )
    return worst / len(groups), best / len(groups)


def finite_number(value: object) -> float | None:
    """A JSON number as a float; None for what is no number, a truth value, or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _LARGEST else None
