"""Adjustment that uses how correlated the tests are: the distribution of the largest statistic."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty.components import Blocks, blocks_of, residuals, row_means, run_moments
from nlhf_repro.uncertainty.engine import checked_matrix
from nlhf_repro.uncertainty.multiplicity import checked_family


@final
@dataclass(frozen=True)
class MaxT:
    """Adjusted p-values of one family, and what makes its intervals simultaneous."""

    p_values: Array  # [tests], adjusted; NaN where not estimable
    pointwise_confidence: float  # intervals of this confidence cover all tests at once
    critical_z: float  # above 1.96 for more than one test at 95 %


def max_t(
    p_values: ArrayLike,
    correlation: ArrayLike,
    rng: np.random.Generator,
    confidence: float = 0.95,
    draws: int = 100_000,
) -> MaxT:
    """Adjust two-sided p-values by the largest of correlated normal statistics, simulated.

    Each p-value becomes |z| = Phi^-1(1 - p/2), so that tests of different degrees of freedom are
    on one scale, and is adjusted to P(max over tests of |N(0, R)| >= |z|), single step, (count +
    1) / (draws + 1), at least the p-value itself and at most Bonferroni's. NaN p-values stay NaN
    and are not counted in the family.

    Args:
        p_values: [tests], two-sided, unadjusted, such as `Difference.p_value`.
        correlation: R [tests, tests], such as `contrast_correlation` gives.
        rng: Draws the normal statistics.
        confidence: Of all intervals at once, in (0, 1).
        draws: Simulated families; 100,000 leave an error of .0007 at a p-value of .05.

    Raises:
        ValueError: malformed p-values, correlation, confidence or draws.
    """
    raw = checked_family(p_values)
    matrix = np.asarray(correlation, dtype=np.float64)
    _check(matrix, len(raw), confidence, draws)
    known = ~np.isnan(raw)
    adjusted = np.full(raw.shape, np.nan)
    if not known.any():
        return MaxT(adjusted, float("nan"), float("nan"))
    largest = _largest(matrix[np.ix_(known, known)], rng, draws)
    sizes = special.ndtri(1 - raw[known] / 2)
    reached = draws - np.searchsorted(largest, sizes - 1e-12, side="left")
    simulated = (reached + 1) / (draws + 1)
    bonferroni = np.minimum(known.sum() * raw[known], 1)
    adjusted[known] = np.maximum(raw[known], np.minimum(simulated, bonferroni))
    critical = float(np.quantile(largest, confidence))
    return MaxT(adjusted, float(2 * special.ndtr(critical) - 1), critical)


def contrast_correlation(
    matrices: Sequence[ArrayLike],
    contrasts: ArrayLike,
    matched: bool = False,
    nested: bool = False,
    strata: Sequence[Hashable] | None = None,
) -> Array:
    """Correlation [tests, tests] of contrasts of algorithms, from their pseudo-observations.

    The covariance of the algorithms' estimates is that of the column means over n, within strata,
    plus the training-seed part: V_runs - V_noise of each algorithm, not below 0, or, for matched
    seeds, the matrix of both, with its negative eigenvalues set to 0. An algorithm with one seed
    has no seed part, nor have nested clusters (see `engine`). A contrast without variance is
    taken as uncorrelated with the others.

    Args:
        matrices: Z [seeds, clusters] of every algorithm, on the same clusters.
        contrasts: [tests, algorithms], such as 1 and -1 for a difference.
        matched: Seed s gives all algorithms the same draws.
        nested: Clusters share nothing in training.
        strata: The fixed stratum of every cluster.

    Raises:
        ValueError: matrices or contrasts are malformed, the clusters differ, matched seeds differ
            in number, or a stratum has a single cluster.
    """
    tables = [checked_matrix(each, f"matrices[{i}]") for i, each in enumerate(matrices)]
    weights = np.asarray(contrasts, dtype=np.float64)
    if weights.ndim != 2 or weights.shape[1] != len(tables):
        raise ValueError(
            f"contrasts has shape {weights.shape}: give [tests, {len(tables)} algorithms]."
        )
    clusters = tables[0].shape[1]
    blocks = blocks_of(strata, clusters)
    if any(table.shape[1] != clusters for table in tables) or min(map(len, blocks)) < 2:
        raise ValueError("The algorithms need the same clusters, at least two in every stratum.")
    if matched and len({len(table) for table in tables}) > 1:
        raise ValueError("Matched seeds need as many rows in every matrix: give the same seeds.")
    covariance = _prompt_covariance(tables, blocks)
    if not nested:
        covariance = covariance + (_matched if matched else _independent)(tables, blocks)
    joint = weights @ covariance @ weights.T
    spread = np.sqrt(np.maximum(np.diag(joint), 0))
    scale = np.where(spread > 1e-12 * max(spread.max(), 1e-300), spread, np.inf)
    result = joint / scale[:, None] / scale
    np.fill_diagonal(result, 1.0)
    return np.asarray(np.clip(result, -1, 1), dtype=np.float64)


def _prompt_covariance(tables: Sequence[Array], blocks: Blocks) -> Array:
    columns = np.stack([table.mean(axis=0) for table in tables])
    parts = [np.atleast_2d(np.cov(columns[:, block])) / len(block) for block in blocks]
    return np.asarray(sum(parts) / len(blocks) ** 2, dtype=np.float64)


def _independent(tables: Sequence[Array], blocks: Blocks) -> Array:
    runs = [run_moments(table, blocks) for table in tables]
    parts = [(side.row_variance - side.row_noise) / side.seeds for side in runs]
    return np.diag(np.maximum(np.nan_to_num(parts), 0.0))  # NaN: one seed


def _matched(tables: Sequence[Array], blocks: Blocks) -> Array:
    seeds = len(tables[0])
    if seeds == 1:
        return np.zeros((len(tables), len(tables)))
    runs = np.atleast_2d(np.cov([row_means(table, blocks) for table in tables]))
    noise = np.zeros_like(runs)
    for block in blocks:
        left = np.stack([residuals(table[:, block]).ravel() for table in tables])
        size = len(block)
        noise += left @ left.T / ((seeds - 1) * (size - 1)) / size / len(blocks) ** 2
    values, vectors = np.linalg.eigh((runs - noise) / seeds)
    return np.asarray(vectors * np.maximum(values, 0) @ vectors.T, dtype=np.float64)


def _largest(correlation: Array, rng: np.random.Generator, draws: int) -> Array:
    """Sorted max |N(0, correlation)|, [draws]."""
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0))
    drawn = rng.standard_normal((draws, len(correlation))) @ root.T
    return np.asarray(np.sort(np.abs(drawn).max(axis=1)), dtype=np.float64)


def _check(correlation: Array, tests: int, confidence: float, draws: int) -> None:
    if correlation.shape != (tests, tests) or not np.allclose(np.diag(correlation), 1):
        raise ValueError(
            f"correlation has shape {correlation.shape}: give [{tests}, {tests}] with ones on the "
            "diagonal, in the order of the p-values."
        )
    if not 0 < confidence < 1 or draws < 1:
        raise ValueError(
            f"confidence is {confidence} and draws {draws}: give a probability between 0 and 1, "
            "and at least one draw."
        )
