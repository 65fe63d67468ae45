"""The judge's own variance: what scores would be by further draws of the judge.

A draw is a re-run of a random judge, or another member of a panel; the same D draws judge every
seed and cluster. A score is y[k, d, q] = mean + seed A_k + cluster B_q + (AB)_kq + draw J_d +
(JB)_dq + (AJ)_kd + noise, and the engine's Z is its mean over draws. V_prompt of the engine then
estimates (B + AB/K + JB/D + noise/(KD)) / n, and V_seed estimates (A + AJ/D) / K. What no mean
square of Z can see is J/D: a draw that likes everything better moves every entry of Z alike. With
all variances unbiased (ddof = 1) and W the mean over seeds, [draws, clusters],

    spread  = var(row means of W)                         estimates J + JB/n + AJ/K + noise/(Kn)
    counted = MS_int(W) / n + (MS_AJ - MS_noise / n) / K  estimates     JB/n + AJ/K + noise/(Kn)
    V_judge = max(spread - counted, 0) / D                estimates J/D

where MS_AJ is the interaction of seeds and draws in the means over clusters, and MS_noise that of
all three. V_judge is added to V, and spread / D with D - 1 degrees of freedom to the denominator of
df. The term with MS_AJ is left out where V has no V_seed (one seed: the draws' main effect is then
that on this checkpoint). A difference takes the differences of the draws, J then being what a draw
prefers of one algorithm over the other. Strata as in the engine.

The interval takes spread / D for a chi-square with D - 1 degrees of freedom and what it counts for
known (`error_law`), and errs on the wide side: a nominal 95 % interval covers 95 % and more from 2
draws on (Gaussian data, 1 to 5 seeds, 40 and 100 clusters). With one draw J cannot be known, nor
with draws that are all alike: a judge that repeats itself (or a cache) was not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty.components import Blocks, run_moments


@dataclass(frozen=True)
class Draws:
    """D draws: the variance of their means, and how much of it V_prompt and V_seed count."""

    count: int
    spread: float  # variance of the draws' means; NaN with a single draw
    counted: float
    alike: bool  # every score is the same in all draws: nothing was measured of the judge

    @property
    def variance(self) -> float:
        """J, truncated at 0; NaN with a single draw."""
        return float(np.maximum(self.spread - self.counted, 0.0))

    @property
    def error(self) -> float:
        """V_judge, to be added to V; 0 with a single draw, which knows nothing of others."""
        return 0.0 if self.count == 1 else self.variance / self.count


def draw_moments(sides: Sequence[Array], random: Sequence[Array], blocks: Blocks) -> Draws:
    """Moments of the draws.

    Args:
        sides: The scores, of a difference the first and the second, [seeds, draws, clusters] each.
        random: The sides whose variance over seeds is in V, [seeds, draws, clusters] each.
        blocks: The columns of every stratum.
    """
    table = sides[0].mean(axis=0) - sum(side.mean(axis=0) for side in sides[1:])
    means = run_moments(table, blocks)
    within_seeds = sum(_by_seed(side, blocks) for side in random)
    return Draws(
        count=len(table),
        spread=means.row_variance,
        counted=means.row_noise + within_seeds,
        alike=all(draws_alike(side) for side in sides),
    )


def draws_alike(scores: Array) -> bool:
    """Whether all draws of [seeds, draws, clusters] are exactly equal, as a single one is."""
    return bool((scores == scores[:, :1]).all())


def _by_seed(side: Array, blocks: Blocks) -> float:
    """(MS_AJ - MS_noise / n) / K, estimates AJ / K; NaN where a stratum has a single cluster."""
    seeds, draws, _ = side.shape
    if draws == 1 or any(len(block) == 1 for block in blocks):
        return float("nan")
    centered = side - side.mean(axis=1, keepdims=True)
    parts = [centered[:, :, block] for block in blocks]
    means = np.mean([part.mean(axis=2) for part in parts], axis=0)
    square = float(((means - means.mean(axis=0)) ** 2).sum())
    noise = sum(_within(part) / part.shape[2] for part in parts) / len(parts) ** 2
    return float((square - noise) / ((seeds - 1) * (draws - 1)) / seeds)


def _within(centered: Array) -> float:
    """Sum of squared interactions of all three factors, a cluster's degree of freedom each."""
    over_seeds = centered - centered.mean(axis=0)
    rest = over_seeds - over_seeds.mean(axis=2, keepdims=True)
    return float((rest**2).sum() / (centered.shape[2] - 1))


def checked_draws(values: ArrayLike, mean: Array, name: str) -> Array:
    """`values` as [seeds, draws, clusters], whose mean over draws is the matrix `mean`.

    Raises:
        ValueError: another shape, an entry that is not finite, or another mean.
    """
    draws = np.asarray(values, dtype=np.float64)
    if draws.ndim != 3 or draws.shape[::2] != mean.shape or not draws.shape[1]:
        raise ValueError(
            f"{name} has shape {draws.shape} beside a matrix of shape {mean.shape}: give [seeds, "
            "draws, clusters], the same seeds and clusters in the same order."
        )
    if not np.isfinite(draws).all():
        raise ValueError(f"{name} has an entry that is not finite: give every draw of every entry.")
    scale = max(float(np.abs(draws).max()), float(np.abs(mean).max()))
    if not np.allclose(draws.mean(axis=1), mean, rtol=0, atol=1e-9 * scale):
        raise ValueError(
            f"The mean of {name} over draws is not the matrix beside it: give the draws that the "
            "scores are means of."
        )
    return draws


def paired_draws(
    judge_draws: tuple[ArrayLike, ArrayLike], first: Array, second: Array
) -> tuple[Array, Array]:
    """Both sides' scores by the same draws, [seeds, draws, clusters] each.

    Raises:
        ValueError: as `checked_draws`, or the sides have not as many draws.
    """
    own = checked_draws(judge_draws[0], first, "judge_draws of A")
    other = checked_draws(judge_draws[1], second, "judge_draws of B")
    if own.shape[1] != other.shape[1]:
        raise ValueError(
            f"A has {own.shape[1]} judge draws and B has {other.shape[1]}: a difference is paired "
            "by draw, so give both the same draws in the same order."
        )
    return own, other


def judge_note(draws: int, alike: bool) -> str:
    """What a table has to print beside an interval from this many draws; 0: no draws are known.

    `alike`: all draws are equal.
    """
    if draws == 0:
        return ""
    if draws == 1:
        return (
            "1 judge draw: the interval says nothing about other draws of the judge (re-runs, or "
            "other members of a panel)"
        )
    if alike:
        return f"the judge answered alike in all {draws} draws: its variance was not measured"
    return f"{draws} judge draws, whose variance is in the interval"
