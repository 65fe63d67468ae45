"""What a comparison of two algorithms can detect, before it is run.

K independent seeds of each, n questions paired, R repeats of generation and judging averaged in
every cell. In the notation of the engine's model, with s the components below,

    V_seed  = 2 s_seed^2 / K       V_prompt = [2 s_prompt^2 + 2 (s_run^2 + s_repeat^2 / R) / K] / n
    V_noise = 2 (s_run^2 + s_repeat^2 / R) / (K n)               V_runs = V_seed + V_noise
    power   = E Phi((MDE - q(X, Y)) / sqrt(V_seed + V_prompt)),  X, Y ~ chi^2(K - 1) independent

with q the 1 - significance / 2 quantile of the engine's law of the error (`error_law`) where the
runs of the two sides happen to show V_runs X / (2 (K - 1)) and V_runs Y / (2 (K - 1)). One seed
each (a t quantile, df = n - 1) is for planning only: no test of algorithms exists with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import final

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty.engine import difference
from nlhf_repro.uncertainty.error_law import Component, MeanSquare, error_law
from nlhf_repro.uncertainty.records import Inference
from nlhf_repro.uncertainty.variance import pooled_freedom

_MOST = 10**7
_POINTS = 4  # equally likely parts of what the runs of a side happen to show of their variance


@final
@dataclass(frozen=True)
class Components:
    """Standard deviations of one algorithm's scores, in the metric's unit (share or points)."""

    seed: float  # training seeds
    prompt_by_algorithm: float  # which questions suit which algorithm; not the common difficulty
    run_by_prompt: float  # the same question under another training run
    repeat: float  # generation and judging again; 0 where it is contained in run_by_prompt

    def __post_init__(self) -> None:
        """Refuse what is no standard deviation."""
        for name, value in vars(self).items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} is {value}: a standard deviation is 0 or positive.")


@final
@dataclass(frozen=True)
class Pilot:
    """Components measured by a pilot, and how far the seed's may be off."""

    components: Components
    seed_lower: float  # 95 % chi-square interval of the seed SD
    seed_upper: float
    note: str  # what a plan has to print beside the components


def minimum_detectable_effect(
    components: Components,
    seeds: int,
    clusters: int,
    repeats: int = 1,
    power: float = 0.8,
    significance: float = 0.05,
) -> float:
    """Smallest true difference that is found with the given power, in the metric's unit.

    Args:
        components: Declared, or from `components_from_pilot`.
        seeds: K of each algorithm.
        clusters: n questions; NaN is returned for one.
        repeats: R generations and judge calls in a cell.
        power: In (0, 1).
        significance: Two-sided, in (0, 1); for Holm over m tests give 0.05 / m.

    Raises:
        ValueError: a count below 1, or a probability outside (0, 1).
    """
    _check(power, significance, seeds, clusters, repeats)
    if clusters == 1:
        return float("nan")
    by_seed, by_prompt, noise = _variances(components, seeds, clusters, repeats)
    spread = float(np.sqrt(by_seed + by_prompt))
    if spread == 0:
        return 0.0
    if seeds == 1:
        return float(special.stdtrit(clusters - 1, [1 - significance / 2, power]).sum() * spread)
    prompts = MeanSquare(by_prompt, clusters - 1.0)
    shown = _shown_by_runs(by_seed + noise, seeds)
    laws = [error_law(prompts, [Component((x,), noise)], 0.0) for x, _ in shown]
    needed = np.array([law.quantile(1 - significance / 2) for law in laws])
    return _effect_found(needed, np.array([weight for _, weight in shown]), spread, power)


def _shown_by_runs(variance: float, seeds: int) -> list[tuple[MeanSquare, float]]:
    """What both sides' runs may show of V_runs, and the probability."""
    half = (seeds - 1) / 2
    edges = special.gammaincinv(half, np.arange(_POINTS + 1) / _POINTS)
    means = 2 * half * np.diff(special.gammainc(half + 1, edges)) * _POINTS  # of every part
    found = []
    for first, second in combinations_with_replacement(means.tolist(), 2):
        square = MeanSquare(
            variance * (first + second) / (2 * (seeds - 1)), pooled_freedom((first, second), seeds)
        )
        found.append((square, (1 if first == second else 2) / _POINTS**2))
    return found


def _effect_found(needed: Array, weights: Array, spread: float, power: float) -> float:
    """The effect that exceeds what is needed with that power, Gaussian with this spread."""

    def lacking(effect: float) -> float:
        return float(weights @ special.ndtr((effect - needed) / spread)) - power

    reach, rounding = float(special.ndtri(power)) * spread, 1e-6 * spread
    least, most = needed.min() + reach - rounding, needed.max() + reach + rounding
    return float(optimize.brentq(lacking, least, most))


def detectable_difference(
    found: Inference, power: float = 0.8, significance: float = 0.05
) -> float:
    """Smallest true difference that a comparison as precise as this one finds with that power.

    The module's MDE with the comparison's own law and V in place of planned ones; of gaps, on the
    log scale. NaN where the comparison has no standard error. It says what was within reach, not
    how likely this result was.

    Raises:
        ValueError: a probability outside (0, 1).
    """
    _check(power, significance)
    if found.clusters == 1:
        return float("nan")
    beyond = float(special.stdtrit(found.clusters - 1, power)) * found.standard_error
    return found.law.quantile(1 - significance / 2) + beyond


def seeds_needed(
    components: Components,
    effect: float,
    clusters: int,
    repeats: int = 1,
    power: float = 0.8,
    significance: float = 0.05,
) -> int | None:
    """Fewest seeds of each algorithm, at least 2, that detect `effect`; None: no number does.

    Arguments as in `minimum_detectable_effect`.

    Raises:
        ValueError: as there, or the effect is not positive.
    """

    def found(seeds: int) -> bool:
        detectable = minimum_detectable_effect(
            components, seeds, clusters, repeats, power, significance
        )
        return detectable <= effect

    _check_effect(effect)
    return _fewest(found, 2)


def clusters_needed(
    components: Components,
    effect: float,
    seeds: int,
    repeats: int = 1,
    power: float = 0.8,
    significance: float = 0.05,
) -> int | None:
    """Fewest questions that detect `effect`; None: none do, the seeds vary too much.

    Arguments as in `minimum_detectable_effect`.

    Raises:
        ValueError: as there, or the effect is not positive.
    """

    def found(clusters: int) -> bool:
        detectable = minimum_detectable_effect(
            components, seeds, clusters, repeats, power, significance
        )
        return detectable <= effect

    _check_effect(effect)
    return _fewest(found, 2)


def components_from_pilot(A: ArrayLike, B: ArrayLike) -> Pilot:
    """Components of two algorithms on the same questions, averaged over the two, floored at 0.

    Args:
        A: First algorithm, [seeds, clusters, repeats] with at least 2 seeds; with one repeat, what
            repeats vary is contained in `run_by_prompt`, and more repeats promise nothing.
        B: Second algorithm, seeds independent of the first's.

    Raises:
        ValueError: an array has another number of dimensions or fewer than 2 seeds or clusters, or
            the clusters or repeats differ.
    """
    first, second = np.asarray(A, dtype=np.float64), np.asarray(B, dtype=np.float64)
    shapes = first.shape, second.shape
    if (
        {first.ndim, second.ndim} != {3}
        or shapes[0][1:] != shapes[1][1:]
        or min(*shapes[0][:2]) < 2
    ):
        raise ValueError(
            f"The pilot has shapes {shapes[0]} and {shapes[1]}: give [seeds, clusters, repeats], "
            "at least 2 seeds and 2 clusters, the same clusters and repeats for both."
        )
    if shapes[1][0] < 2:
        raise ValueError("The second algorithm has one seed: pilot at least 2, better 3.")
    moments = difference(first.mean(axis=2), second.mean(axis=2))
    repeat = _repeat_variance(first, second)
    noise = moments.noise_variance / 2 - repeat / first.shape[2]
    half = 2**-0.5  # the components of a difference are those of two algorithms
    return Pilot(
        components=Components(
            seed=half * moments.seed_standard_deviation,
            prompt_by_algorithm=half * float(np.sqrt(moments.cluster_variance)),
            run_by_prompt=float(np.sqrt(max(noise, 0.0))),
            repeat=float(np.sqrt(repeat)),
        ),
        seed_lower=half * moments.seed_standard_deviation_lower,
        seed_upper=half * moments.seed_standard_deviation_upper,
        note=f"pilot of {len(first)} and {len(second)} seeds: plan with the upper end too",
    )


def _repeat_variance(first: Array, second: Array) -> float:
    if first.shape[2] == 1:
        return 0.0
    return float(np.mean([each.var(axis=2, ddof=1).mean() for each in (first, second)]))


def _variances(
    components: Components, seeds: int, clusters: int, repeats: int
) -> tuple[float, float, float]:
    """V_seed, V_prompt and V_noise."""
    noise = 2 * (components.run_by_prompt**2 + components.repeat**2 / repeats) / seeds / clusters
    by_prompt = 2 * components.prompt_by_algorithm**2 / clusters + noise
    return 2 * components.seed**2 / seeds, by_prompt, noise


def _fewest(enough: Callable[[int], bool], start: int) -> int | None:
    """Smallest number, from `start` on, that is enough: eightfold until it is, then halves."""
    if not enough(_MOST):
        return None
    low, high = start - 1, start
    while not enough(high):
        low, high = high, 8 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _check(power: float, significance: float, *counts: int) -> None:
    if not (0 < power < 1 and 0 < significance < 1):
        raise ValueError(
            f"power is {power} and significance {significance}: give probabilities between 0 and 1."
        )
    if min(counts, default=1) < 1:
        raise ValueError(f"seeds, clusters and repeats are {counts}: count each from 1.")


def _check_effect(effect: float) -> None:
    if not effect > 0:
        raise ValueError(f"effect is {effect}: give the difference to be found, positive.")
