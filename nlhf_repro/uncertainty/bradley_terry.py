"""Bradley-Terry strengths of a round-robin, with errors clustered by question.

P(a beats b) = sigmoid(theta_a - theta_b), ties half a win each. Where every item meets only one
baseline this is the weighted win rate; fit it on round-robins, and publish it with the curl test
(`curl_test`), since judges need not be transitive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy.sparse.csgraph import connected_components

from nlhf_repro.interfaces import Array

_STEPS = 100
_LARGEST_STEP = 2.0  # Newton on a logistic likelihood may overshoot where one item wins nearly all


@final
@dataclass(frozen=True)
class BradleyTerry:
    """A fit: natural log-odds, item 0 fixed at 0."""

    strengths: Array  # [items]
    scores: Array  # [clusters, items], the gradient of each cluster's log-likelihood at the fit
    information: Array  # [items, items], negative Hessian of the log-likelihood


def bradley_terry(wins: ArrayLike) -> BradleyTerry:
    """Maximum-likelihood strengths of wins [clusters, items, items].

    Args:
        wins: Entry [p, a, b] is the weight of a's wins over b on question p, half of each tie
            included; the diagonal is not read.

    Raises:
        ValueError: wins are malformed, or the estimate is infinite or undefined: a group of items
            never lost to, or never met, the others (Ford 1957).
    """
    games = checked_wins(wins)
    totals = games.sum(axis=0)
    groups, _ = connected_components(totals > 0, connection="strong")
    if groups > 1:
        raise ValueError(
            f"Bradley-Terry strengths are not finite: the items fall into {groups} groups that "
            "never lost to, or never met, each other; report win rates instead."
        )
    strengths = bradley_terry_strengths(totals[None])[0]
    if not np.isfinite(strengths).all():
        raise ValueError("Bradley-Terry strengths did not converge: report win rates instead.")
    chance = special.expit(strengths[:, None] - strengths[None])
    met = games + games.transpose(0, 2, 1)
    curvature = met.sum(axis=0) * chance * chance.T
    return BradleyTerry(
        strengths=strengths,
        scores=(games - met * chance).sum(axis=2),
        information=np.diag(curvature.sum(axis=1)) - curvature,
    )


def bradley_terry_contrast(fit: BradleyTerry, contrast: ArrayLike) -> Array:
    """Pseudo-observations [clusters] of c . theta, z = c'theta + n c' H^-1 s.

    s are the clusters' scores and H is the information summed over clusters, item 0 fixed; their
    sd / sqrt(n) is the question-clustered sandwich error (n/(n-1) included).

    Args:
        fit: From `bradley_terry`.
        contrast: c [items], summing to 0, such as 1 for an item and -1 for the reference.

    Raises:
        ValueError: the contrast has the wrong length or does not sum to 0.
    """
    weights = np.asarray(contrast, dtype=np.float64)
    if weights.shape != fit.strengths.shape or abs(weights.sum()) > 1e-9 * abs(weights).sum():
        raise ValueError(
            f"contrast {weights.tolist()}: give one number for each of {len(fit.strengths)} items, "
            "summing to 0, because only differences of strengths are known."
        )
    direction = np.linalg.solve(fit.information[1:, 1:], weights[1:])
    influence = len(fit.scores) * fit.scores[:, 1:] @ direction
    return np.asarray(weights @ fit.strengths + influence, dtype=np.float64)


def bradley_terry_strengths(totals: Array) -> Array:
    """Strengths [batch, items] of summed wins [batch, items, items] by Newton's method.

    NaN where the maximum-likelihood estimate does not exist.
    """
    items = totals.shape[1]
    totals = totals * (1 - np.eye(items))
    strengths = np.full((len(totals), items), np.nan)
    active = np.flatnonzero(_estimable(totals))
    strengths[active] = 0.0
    met, won = totals + totals.transpose(0, 2, 1), totals.sum(axis=2)
    for _ in range(_STEPS):
        if not active.size:
            return strengths
        theta = strengths[active]
        chance = special.expit(theta[:, :, None] - theta[:, None])
        expected = met[active] * chance
        curvature = expected * chance.transpose(0, 2, 1)
        information = np.eye(items) * curvature.sum(axis=2)[:, :, None] - curvature
        slope = won[active] - expected.sum(axis=2)
        step = np.linalg.solve(information[:, 1:, 1:], slope[:, 1:, None])[..., 0]
        largest = np.abs(step).max(axis=1)
        step *= np.minimum(1, _LARGEST_STEP / np.maximum(largest, 1e-300))[:, None]
        strengths[active, 1:] += step
        active = active[largest > 1e-9]  # quadratic: the error left is far smaller
    strengths[active] = np.nan
    return strengths


def checked_wins(wins: ArrayLike) -> Array:
    """Wins as floats [clusters, items, items], the diagonal zero.

    Raises:
        ValueError: not of that shape with at least two items, or an entry is negative or not
            finite.
    """
    games = np.asarray(wins, dtype=np.float64)
    if games.ndim != 3 or games.shape[1] != games.shape[2] or games.shape[1] < 2 or not len(games):
        raise ValueError(f"wins has shape {games.shape}: give [clusters, items, items].")
    games = np.where(np.eye(games.shape[1], dtype=bool), 0.0, games)
    if not np.isfinite(games).all() or games.min() < 0:
        raise ValueError("wins has an entry that is negative or not finite: give weights of wins.")
    return games


def _estimable(totals: Array) -> Array:
    """Whether the wins connect all items in both directions, [batch] of booleans."""
    items = totals.shape[1]
    reach = (totals > 0) | np.eye(items, dtype=bool)
    open_ = np.flatnonzero(~reach.all(axis=(1, 2)))
    for _ in range(int(np.ceil(np.log2(items)))):
        paths = reach[open_].astype(np.float32)
        reach[open_] = paths @ paths > 0
    return np.asarray(reach.all(axis=(1, 2)))
