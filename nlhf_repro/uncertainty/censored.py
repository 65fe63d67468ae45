"""Quantiles of times of which some were never observed, such as updates until a gap is reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import final

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from nlhf_repro.interfaces import Array


@final
@dataclass(frozen=True)
class CensoredTime:
    """A time, or infinity where all that is known is that it lies beyond the end of observation."""

    value: float
    censored_at: float  # the end of observation

    @property
    def censored(self) -> bool:
        """Whether the time lies beyond the end of observation."""
        return self.value == float("inf")

    def __str__(self) -> str:
        """The time as `120`, `> 1000` where censored, `nan` where not estimable."""
        return f"> {self.censored_at:g}" if self.censored else f"{self.value:g}"


@final
@dataclass(frozen=True)
class MedianInterval:
    """Median with its order-statistic interval; `coverage` is at least the confidence asked for.

    Items too few for an interval (5 or fewer at 95 %) give NaN ends and NaN coverage.
    """

    estimate: CensoredTime
    lower: CensoredTime
    upper: CensoredTime
    coverage: float
    items: int
    censored: int


def quantiles_with_censoring(
    times: ArrayLike, censored_at: float, probabilities: Sequence[float]
) -> tuple[CensoredTime, ...]:
    """For each probability q in (0, 1], the least time by which a share q of the items was done.

    Args:
        times: [items], infinity where the item was not done by the end of observation.
        censored_at: The end of observation, the same for all items.
        probabilities: One quantile each, the ceil(q * items)-th smallest time.

    Raises:
        ValueError: times are not a non-empty list, one is NaN, -infinity or after the end of
            observation, or a probability is outside (0, 1].
    """
    ordered = _ordered(times, censored_at)
    for probability in probabilities:
        if not 0 < probability <= 1:
            raise ValueError(f"probability {probability}: give quantiles above 0 and at most 1.")
    return tuple(
        CensoredTime(_quantile(ordered, probability), censored_at) for probability in probabilities
    )


def median_with_censoring(
    times: ArrayLike, censored_at: float, confidence: float = 0.95
) -> MedianInterval:
    """Median of independent items and its interval from the r-th smallest to the r-th largest time.

    r is the largest with P(Binomial(items, 1/2) < r) <= (1 - confidence) / 2, so that the interval
    is distribution-free and conservative; censored times rank above all others. Items must be
    independent: with several seeds, first take each game's median over its seeds.

    Args:
        times: [items], infinity where the item was not done by the end of observation.
        censored_at: The end of observation, the same for all items.
        confidence: In (0, 1).

    Raises:
        ValueError: as in `quantiles_with_censoring`, or the confidence is outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: give a probability between 0 and 1.")
    ordered = _ordered(times, censored_at)
    items = len(ordered)
    tails = special.bdtr(np.arange(items // 2 + 1), items, 0.5)
    rank = int((tails <= (1 - confidence) / 2).sum())  # P(Binomial < rank), rank counted from 1
    lower = float(ordered[rank - 1]) if rank else float("nan")
    upper = float(ordered[items - rank]) if rank else float("nan")
    return MedianInterval(
        estimate=CensoredTime(_quantile(ordered, 0.5), censored_at),
        lower=CensoredTime(lower, censored_at),
        upper=CensoredTime(upper, censored_at),
        coverage=1 - 2 * float(tails[rank - 1]) if rank else float("nan"),
        items=items,
        censored=int(np.isinf(ordered).sum()),
    )


def _quantile(ordered: Array, probability: float) -> float:
    # The product is rounded first: .07 * 100 exceeds 7 by rounding alone.
    rank = ceil(round(probability * len(ordered), 9))
    return float(ordered[max(rank, 1) - 1])


def _ordered(times: ArrayLike, censored_at: float) -> Array:
    values = np.asarray(times, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"times has shape {values.shape}: give a non-empty list [items].")
    if not isfinite(censored_at):
        raise ValueError(f"censored_at is {censored_at}: give the end of observation.")
    wrong = ~(np.isposinf(values) | (values <= censored_at)) | np.isneginf(values)
    if wrong.any():
        item = int(wrong.argmax())
        raise ValueError(
            f"times[{item}] is {values[item]}: give a time up to the end of observation "
            f"({censored_at:g}), or infinity where the item was not done by then."
        )
    return np.sort(values)
