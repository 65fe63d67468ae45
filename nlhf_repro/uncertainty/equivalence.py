"""Whether two algorithms are the same for all that matters: two one-sided tests."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan
from typing import Literal, final

from nlhf_repro.uncertainty.records import Difference, Level

Verdict = Literal["equivalent", "different", "inconclusive"]


@final
@dataclass(frozen=True)
class Equivalence:
    """Verdict on a difference; each wrong verdict has probability `significance` at most.

    equivalent: both one-sided tests reject, so that the 1 - 2 significance interval lies inside
    (-margin, margin); also where the difference is surely not zero, yet too small to matter.
    different: not equivalent, and the two-sided p-value of no difference is below significance;
    the difference may be larger or smaller than the margin.
    inconclusive: neither; also where the standard error is not estimable.
    """

    verdict: Verdict
    p_value: float  # the larger of the two one-sided ones; NaN where not estimable
    margin: float  # in the metric's unit
    lower: float  # interval of confidence 1 - 2 significance
    upper: float
    significance: float
    level: Level
    note: str  # what a table has to print beside the verdict


def equivalence(found: Difference, margin: float, significance: float = 0.05) -> Equivalence:
    """Two one-sided tests of |difference| < margin, by the engine's law (Schuirmann 1987).

    Args:
        found: From `difference`; its own confidence is not read.
        margin: The largest difference that does not matter, declared beforehand; positive.
        significance: Of each test, in (0, 0.5).

    Raises:
        ValueError: the margin is not positive and finite, or the significance outside (0, 0.5).
    """
    if not 0 < margin < float("inf") or not 0 < significance < 0.5:
        raise ValueError(
            f"margin is {margin} and significance {significance}: declare a positive margin in "
            "the metric's unit and a significance between 0 and 0.5."
        )
    center = found.estimate
    known = not isnan(found.standard_error)
    p_value = max(found.law.tail(margin - center), found.law.tail(margin + center))
    half = found.law.quantile(1 - significance)
    if not known:
        p_value, half = nan, nan
    verdict: Verdict = "inconclusive"
    if p_value < significance:
        verdict = "equivalent"
    elif known and found.p_value < significance:
        verdict = "different"
    return Equivalence(
        verdict=verdict,
        p_value=p_value,
        margin=margin,
        lower=center - half,
        upper=center + half,
        significance=significance,
        level=found.level,
        note=found.note,
    )
