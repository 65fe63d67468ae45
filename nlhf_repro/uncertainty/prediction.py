"""Where one new run of the same algorithm on the same clusters would fall.

A published number is one run. With the model of the engine, z[s, p] = mean + seed A_s + cluster B_p
+ noise C_sp, a new run s' answers the same n clusters, so that its mean minus ours is

    A_s' - mean_s A_s + mean_p (C_s'p - mean_s C_sp)

and the cluster effect B cancels: V_prompt does not belong here, though the new run's own noise over
its clusters does. Both sides are means of row means, which given the clusters are independent with
variance A + C/n each. With M_K = var(row means), ddof = 1,

    V = M_K (1 + 1/K), df = K - 1

which is exact for Gaussian data: M_K estimates `Inference.seed_variance` + `noise_variance` / n.
A new run on other clusters would vary by 2 B/n more; this interval says nothing about it.

Where the scores are means over D draws of a judge, a published run had one draw: with draw effects
J_d, (AJ)_sd and noise as in `uncertainty.judges`, and the run means over clusters as a table
[seeds, draws] with the mean squares

    M_K = var(means over draws)     estimates A + AB/n + E/D
    M_D = var(means over seeds)     estimates J + JB/n + E/K
    E   = its interaction           estimates AJ + noise/n

    V = max(M_K - E/D, 0) (1 + 1/K) + max(M_D - E/K, 0) (1 + 1/D) + E (1 + 1/(KD))

with Satterthwaite's degrees of freedom, not below those of its scarcest mean square. It is not
exact: a nominal 95 % interval covers 94 to 99 %, most with 2 seeds or draws (Gaussian data, 2 to 5
seeds and draws, 20 clusters). A component that is truncated at 0 takes its mean square with it.
Strata as in the engine: a run's mean is that over strata of its stratum means.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty.components import Blocks, blocks_of, row_means
from nlhf_repro.uncertainty.engine import checked_matrix
from nlhf_repro.uncertainty.judges import checked_draws, draws_alike, judge_note


@final
@dataclass(frozen=True)
class Prediction:
    """The interval estimate +- t(df) * standard_deviation for the mean of one new run.

    NaN where it is not estimable: one training run that draws at random says nothing about others.
    """

    estimate: float
    standard_deviation: float  # of the new run's mean minus ours
    degrees_of_freedom: float  # NaN where nothing varies
    lower: float
    upper: float
    confidence: float  # in (0, 1)
    seeds: int
    judge_draws: int  # 0: none are known
    note: str  # what has to be printed beside the interval; empty where there is nothing to say


def prediction_interval(
    Z: ArrayLike,
    deterministic: bool = False,
    confidence: float = 0.95,
    strata: Sequence[Hashable] | None = None,
    judge_draws: ArrayLike | None = None,
) -> Prediction:
    """Interval for the mean of one new run on the clusters of Z [seeds, clusters].

    Args:
        Z: Cluster scores of every training seed.
        deterministic: Training draws nothing at random: a new run differs by the judge's draw only.
        confidence: In (0, 1).
        strata: The fixed stratum of every cluster, as in `estimate`.
        judge_draws: Scores by every draw of a judge, [seeds, draws, clusters], of which Z is the
            mean. One draw knows nothing of others, and the interval leaves the judge out.

    Raises:
        ValueError: as `estimate`.
    """
    values = checked_matrix(Z, "Z")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: give a probability between 0 and 1.")
    blocks = blocks_of(strata, values.shape[1])
    draws = None if judge_draws is None else checked_draws(judge_draws, values, "judge_draws")
    count = 0 if draws is None else draws.shape[1]
    center = float(row_means(values, blocks).mean())
    variance, freedom = _variance(_run_means(values, draws, blocks), deterministic)
    half = 0.0
    if variance != 0:
        half = float(special.stdtrit(freedom, (1 + confidence) / 2)) * float(np.sqrt(variance))
    return Prediction(
        estimate=center,
        standard_deviation=float(np.sqrt(variance)),
        degrees_of_freedom=freedom,
        lower=center - half,
        upper=center + half,
        confidence=confidence,
        seeds=len(values),
        judge_draws=count,
        note=_note(len(values), count, deterministic, draws is not None and draws_alike(draws)),
    )


def _run_means(values: Array, draws: Array | None, blocks: Blocks) -> Array:
    """The mean over clusters of every seed and draw, [seeds, draws]; one draw where none vary."""
    if draws is None or draws.shape[1] == 1:
        return row_means(values, blocks)[:, None]
    each = [row_means(draws[:, draw], blocks) for draw in range(draws.shape[1])]
    return np.stack(each, axis=1)


def _variance(means: Array, deterministic: bool) -> tuple[float, float]:
    """V and its degrees of freedom from run means [seeds, draws]."""
    seeds, draws = means.shape
    if deterministic:
        by_draw = means.mean(axis=0)
        return _of_one_factor(by_draw) if draws > 1 else (0.0, float("nan"))
    if seeds == 1:
        return float("nan"), float("nan")
    return _of_one_factor(means[:, 0]) if draws == 1 else _of_two_factors(means)


def _of_one_factor(means: Array) -> tuple[float, float]:
    return float(means.var(ddof=1)) * (1 + 1 / len(means)), len(means) - 1.0


def _of_two_factors(means: Array) -> tuple[float, float]:
    seeds, draws = means.shape
    by_seed, by_draw = means.mean(axis=1), means.mean(axis=0)
    rest = means - by_seed[:, None] - by_draw + means.mean()
    both = float((rest**2).sum()) / ((seeds - 1) * (draws - 1))
    square_seed, square_draw = float(by_seed.var(ddof=1)), float(by_draw.var(ddof=1))
    weights = {"seed": 1 + 1 / seeds, "draw": 1 + 1 / draws, "both": 1 + 1 / (seeds * draws)}
    # A truncated component leaves the sum, and with it what it would subtract.
    parts: list[tuple[float, int]] = []  # weighted mean squares and their degrees of freedom
    if square_seed > both / draws:
        parts.append((weights["seed"] * square_seed, seeds - 1))
        weights["both"] -= weights["seed"] / draws
    if square_draw > both / seeds:
        parts.append((weights["draw"] * square_draw, draws - 1))
        weights["both"] -= weights["draw"] / seeds
    parts.append((weights["both"] * both, (seeds - 1) * (draws - 1)))
    variance = sum(part for part, _ in parts)
    if variance <= 0:
        return 0.0, float("nan")
    freedom = 1 / sum((part / variance) ** 2 / each for part, each in parts)
    return variance, max(float(min(each for _, each in parts)), freedom)


def _note(seeds: int, draws: int, deterministic: bool, alike: bool) -> str:
    if seeds == 1 and not deterministic:
        return "one training run: nothing is known about another"
    if draws > 1 and alike:
        return judge_note(draws, alike)
    return "1 judge draw: what other draws add is not in the prediction interval" * (draws == 1)
