"""Shares and other bounded means, with intervals that never leave what is possible."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, sqrt
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from nlhf_repro.uncertainty.engine import estimate
from nlhf_repro.uncertainty.records import Estimate, Inference, Level

_ROUNDING = 1e-9
_LEAST = 1e-12  # a count of 0 (a mean at an end of the range, yet with an error) has width 1


@final
@dataclass(frozen=True)
class Proportion:
    """A share of successes with its Wilson interval; the ends are NaN for a single game."""

    estimate: float  # in [0, 1]
    lower: float
    upper: float
    confidence: float
    effective_count: float  # p (1 - p) / V: independent games of the same variance
    successes: int  # over all seeds and games
    level: Level
    note: str
    seeds: int
    games: int


def proportion(
    successes: ArrayLike,
    deterministic: bool = False,
    confidence: float = 0.95,
    nested: bool = False,
) -> Proportion:
    """Share of True in a boolean matrix [seeds, games], a game being the cluster.

    One seed: Wilson's interval with n games. Several: Wilson's formula with the variance V and the
    quantile of the engine's law in standard errors for z, and p(1 - p)/V for the count, at most the
    number of cells. The engine's own symmetric interval would shrink to nothing near 0 and 1:
    at a share of .99 over 20 games it covers 19 to 60 %, this one 96 % or more. Where V = 0, as
    when all succeed, the cells of a game count as one, n games. What no run shows is not covered:
    K runs that all succeed are no evidence against a whole-run failure in one of K + 1. `nested`
    as in `estimate`.

    Raises:
        ValueError: the matrix is not boolean, empty or not two-dimensional.
    """
    matrix = np.asarray(successes)
    if matrix.dtype != np.bool_:
        raise ValueError(
            f"successes has entries of type {matrix.dtype}: give booleans [seeds, games], such as "
            "gaps <= threshold, with missing runs left out."
        )
    moments = estimate(matrix, deterministic, confidence, nested)
    count, lower, upper = _wilson(matrix, moments)
    return Proportion(
        estimate=moments.estimate,
        lower=lower,
        upper=upper,
        confidence=confidence,
        effective_count=count,
        successes=int(matrix.sum()),
        level=moments.level,
        note=moments.note,
        seeds=moments.seeds,
        games=moments.clusters,
    )


def bounded_interval(found: Inference, lowest: float, highest: float) -> tuple[float, float]:
    """Ends of a mean of bounded scores: the engine's, or Wilson's where they would leave the range.

    Near an end of the range, or over few clusters, the engine's interval reaches beyond what is
    possible, and the error that it rests on is often far too small: with the mean at 98 % of the
    range over 80 skewed scores it covers 79 %, at 90 % over five 54 %. There the ends are those of
    Wilson's formula with the engine's variance V and quantile, p (1 - p) / V being the count and p
    the place in the range, but never more than one success or failure a cluster, since no bounded
    scores vary more than those. Measured: 98 % and more for these scores; for wins and losses of
    10 and 30 questions at 97 % it covers 89 to 92 %.

    Args:
        found: From the engine; its interval is returned where it lies in the range, or is NaN, or
            has no width.
        lowest: The least possible score.
        highest: The largest.

    Raises:
        ValueError: the range is empty, or the estimate lies outside it.
    """
    span = highest - lowest
    share = (found.estimate - lowest) / span if span > 0 else float("nan")
    if not -_ROUNDING <= share <= 1 + _ROUNDING:
        raise ValueError(
            f"The estimate {found.estimate} does not lie in the range {lowest} to {highest}: give "
            "the least and the largest score that is possible."
        )
    inside = lowest <= found.lower and found.upper <= highest
    if inside or not found.has_interval:
        return found.lower, found.upper
    share = min(max(share, 0.0), 1.0)
    half = (found.upper - found.lower) / 2 / span
    penalty = half**2 / max(share * (1 - share), _LEAST)
    if found.standard_error > 0:
        quantile = half * span / found.standard_error
        penalty = max(penalty, quantile**2 / found.clusters)
    lower, upper = _wilson_interval(share, penalty)
    return lowest + span * lower, lowest + span * upper


def _wilson(matrix: NDArray[np.bool_], moments: Estimate) -> tuple[float, float, float]:
    """Effective count, lower and upper end."""
    games, share, variance = moments.clusters, moments.estimate, moments.standard_error**2
    if isnan(variance):
        return float("nan"), float("nan"), float("nan")
    tail = (1 + moments.confidence) / 2
    half, by_games = moments.law.quantile(tail), float(special.ndtri(tail)) ** 2 / games
    if moments.seeds == 1 or not half > 0:
        return float(games), *_wilson_interval(share, by_games)
    if variance == 0:  # the runs show none beyond their noise, which may be chance
        spread = half**2 / (share * (1 - share))
        return float(games), *_wilson_interval(share, max(spread, by_games))
    count = min(share * (1 - share) / variance, float(matrix.size))
    return count, *_wilson_interval(share, half**2 / variance / count)


def _wilson_interval(share: float, penalty: float) -> tuple[float, float]:
    """Wilson's score interval: the p with (share - p)^2 <= penalty p (1 - p); z^2 / n in his."""
    center = (share + penalty / 2) / (1 + penalty)
    half = sqrt(penalty * (share * (1 - share) + penalty / 4)) / (1 + penalty)
    return max(center - half, 0.0), min(center + half, 1.0)
