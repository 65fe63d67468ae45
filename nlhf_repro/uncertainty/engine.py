"""The variance engine: one interval for every metric that is a mean over seeds and clusters.

A metric of one algorithm is a matrix Z [seeds, clusters] of cluster scores (or
pseudo-observations): a cluster is a game, a question or a world, shared by all seeds and
algorithms. The model is z[s, p] = mean + seed effect A_s + cluster effect B_p + noise C_sp, all
with expectation zero, and the estimand is the mean over further seeds and further clusters. Then,
all variances with ddof = 1,

    V_prompt = var(column means) / n                               estimates B/n + C/(nK)
    V_runs   = var(row means) / K                                  estimates A/K + C/(nK)
    V_noise  = MS_int / (nK)                                       estimates C/(nK)
    V        = V_prompt + max(V_runs - V_noise, 0)
    MS_int   = sum (Z - row mean - column mean + grand mean)^2 / ((K - 1)(n - 1))
    df       = n - 1 if V_runs <= V_noise, else V^2 / (V_runs^2 / (K - 1) + V_prompt^2 / (n - 1)),
               not below min(K, n) - 1                             (Satterthwaite)

The standard error is sqrt(V), and df says how well it is known. The interval is no t interval with
that df, whose tails are too thin where K is small, but that of `error_law`, which takes V_prompt
and V_runs for the chi-squares that they are, with n - 1 and K - 1 degrees of freedom. The runs of
two sides are a mean square each, or one for both where the sides have as many
(`variance.pooled_freedom`). It is a t interval where one part is all there is.

Fixed strata of equal weight (the eight categories of MT-Bench; the benchmarks of a macro-average)
take V_prompt and MS_int within strata and row means over strata, which keeps what strata share
within a seed: with n_c clusters in each of C strata,

    V_prompt = sum_c var_c(column means) / n_c / C^2     V_noise = sum_c MS_int,c / (n_c K) / C^2

and the degrees of freedom of V_prompt are Satterthwaite's over strata (an approximation: of strata
of 5 and 500 clusters p < .001 comes up to 1.9 times too often). Clusters that share nothing
in training (games with a policy and draws of their own: `nested`) have no seed effect by
construction, A = 0: V = V_prompt with df = n - 1, exactly, for any K. The truncated V_runs -
V_noise, positive half of the time, would then cover 96 to 97 %. Simply adding V_prompt and V_runs
would count the noise twice. A bootstrap over seeds is no substitute: the nominal 95 % percentile
interval over 3 seeds covers 75 %.

Scores that are means over draws of a judge vary with them too: `uncertainty.judges` adds V_judge.

A nominal 95 % interval covers 94.8 % and more from 2 seeds on, and p < .01 and < .001 come at most
1.3 % and .15 % of the time (Gaussian data, 3 to 800 clusters; one side or both varying, alike or
not, with as many runs or not). It errs on the wide side where seeds are few and do not vary, or
vary alike on both sides: with no seed variance at all it covers 99 % with 2 seeds, 98 to 99 % with
3, 97 % with 5.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty.components import (
    Columns,
    Runs,
    blocks_of,
    column_moments,
    run_moments,
)
from nlhf_repro.uncertainty.judges import (
    Draws,
    checked_draws,
    draw_moments,
    judge_note,
    paired_draws,
)
from nlhf_repro.uncertainty.records import Difference, Estimate, Inference
from nlhf_repro.uncertainty.variance import floored, law_of, seed_variance, variance_of

_ROUNDING = 16 * float(np.finfo(np.float64).eps)


def estimate(
    Z: ArrayLike,
    deterministic: bool = False,
    confidence: float = 0.95,
    nested: bool = False,
    strata: Sequence[Hashable] | None = None,
    judge_draws: ArrayLike | None = None,
) -> Estimate:
    """Mean of Z [seeds, clusters] with the interval of the module's docstring.

    With one seed V = V_prompt and df = n - 1, at checkpoint level: another training run would
    differ by more. `deterministic` declares that training draws nothing at random, so that one
    seed is all there is. `nested` declares that clusters share nothing in training, so that every
    entry is a run of its own and seeds are repeats inside a cluster. `strata` names the fixed
    stratum of every cluster: the estimate is the mean over strata of the stratum means. For a
    macro-average, put the benchmarks' matrices side by side, the benchmark as the stratum.
    `judge_draws` [seeds, draws, clusters] are the scores by every draw of a judge, of which Z is
    the mean: the estimand is then the mean over further draws too (`uncertainty.judges`).

    Raises:
        ValueError: Z is no non-empty matrix, has an entry that is not finite, strata are not one
            label a cluster, or the judge's draws do not belong to Z.
    """
    values = checked_matrix(Z, "Z")
    known = len(values) > 1 or deterministic or nested
    blocks = blocks_of(strata, values.shape[1])
    runs = [run_moments(side, blocks) for side in _random([values], known, nested)]
    columns = column_moments(values.mean(axis=0), blocks)
    draws = None
    if judge_draws is not None:
        judged = checked_draws(judge_draws, values, "judge_draws")
        draws = draw_moments([judged], _random([judged], known, nested), blocks)
    moments = _moments(columns, runs, draws, known, confidence, _scale(values))
    return Estimate(**vars(moments), seeds=len(values))


def difference(
    A: ArrayLike,
    B: ArrayLike,
    matched: bool = False,
    deterministic: bool | tuple[bool, bool] = False,
    confidence: float = 0.95,
    nested: bool = False,
    strata: Sequence[Hashable] | None = None,
    judge_draws: tuple[ArrayLike, ArrayLike] | None = None,
) -> Difference:
    """Mean of A minus mean of B, [seeds, clusters] each, paired by cluster.

    Independent seeds, whose numbers may differ: D = column means of A minus those of B, V_prompt =
    var(D)/n, V_runs and V_noise are the sums over the two sides, and so is the denominator of df.
    `matched` seeds (seed s gives both algorithms the same draws, declared
    beforehand): the one-algorithm formulas on A - B, whose rows are independent. `deterministic`
    (both sides, or one flag each) declares that training draws nothing at random; a side with one
    seed that is not deterministic makes the difference a checkpoint-level one, V = V_prompt.
    `nested` declares of both sides that clusters share nothing in training: V = V_prompt, for
    independent and for matched seeds. `strata` as in `estimate`. `judge_draws` are the scores of
    either side by every draw, as in `estimate`, the same draws in the same order.

    Raises:
        ValueError: a matrix is malformed, the clusters differ, matched seeds differ in number,
            strata are not one label a cluster, or the judge's draws do not belong to the matrices.
    """
    first, second = checked_matrix(A, "A"), checked_matrix(B, "B")
    _check_pairing(first, second, matched)
    fixed = (deterministic,) * 2 if isinstance(deterministic, bool) else deterministic
    sides = zip((first, second), fixed, strict=True)
    known = nested or all(len(side) > 1 or flag for side, flag in sides)
    blocks = blocks_of(strata, first.shape[1])
    random = _random([first - second] if matched else [first, second], known, nested)
    runs = [run_moments(side, blocks) for side in random]
    columns = column_moments(first.mean(axis=0) - second.mean(axis=0), blocks)
    draws = None
    if judge_draws is not None:
        own, other = paired_draws(judge_draws, first, second)
        random = _random([own - other] if matched else [own, other], known, nested)
        draws = draw_moments([own, other], random, blocks)
    moments = _moments(columns, runs, draws, known, confidence, _scale(first, second))
    return Difference(
        **vars(moments),
        seeds=(len(first), len(second)),
        matched=matched,
        p_value=_p_value(moments, _scale(first, second)),
    )


def checked_matrix(values: ArrayLike, name: str) -> Array:
    """`values` as a float matrix [seeds, clusters]; `name` stands in the error.

    Raises:
        ValueError: not two-dimensional, empty, or an entry that is not finite.
    """
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(
            f"{name} has shape {matrix.shape}: give a non-empty matrix [seeds, clusters]."
        )
    bad = np.argwhere(~np.isfinite(matrix))
    if len(bad):
        seed, cluster = bad[0]
        raise ValueError(
            f"{name}[{seed}, {cluster}] (seed row, cluster column) is {matrix[seed, cluster]}: "
            "finish the run, or drop that cluster from every seed and algorithm."
        )
    return matrix


def _check_pairing(first: Array, second: Array, matched: bool) -> None:
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"A has {first.shape[1]} clusters and B has {second.shape[1]}: a difference is paired "
            "by cluster, so give both the same clusters in the same order."
        )
    if matched and len(first) != len(second):
        raise ValueError(
            f"Matched seeds need as many rows in A ({len(first)}) as in B ({len(second)}): give "
            "the same seeds in the same order, or use matched=False for independent seeds."
        )


def _random(sides: Sequence[Array], known: bool, nested: bool) -> list[Array]:
    """The sides [seeds, ...] whose runs vary and are in V; none at checkpoint level."""
    return [side for side in sides if len(side) > 1] if known and not nested else []


def _scale(*matrices: Array) -> float:
    return max(float(np.abs(matrix).max()) for matrix in matrices)


def _moments(
    columns: Columns,
    random: Sequence[Runs],
    draws: Draws | None,
    known: bool,
    confidence: float,
    scale: float,
) -> Inference:
    """The interval for the mean of `columns`; `known`: the training variance of all sides is."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: give a probability between 0 and 1.")
    center = columns.mean
    variance, freedom = variance_of(columns, random, draws)
    # Rows that are equal in exact arithmetic differ by rounding once they are averaged.
    smallest = (_ROUNDING * scale) ** 2
    variance = 0.0 if variance <= smallest else variance
    law = law_of(columns, random, draws, smallest)
    half = law.quantile((1 + confidence) / 2)
    seed, low, high = seed_variance(random, known, confidence)
    return Inference(
        estimate=center,
        standard_error=float(np.sqrt(variance)),
        degrees_of_freedom=freedom,
        law=law,
        lower=center - half,
        upper=center + half,
        confidence=confidence,
        level="algorithm" if known else "checkpoint",
        note=_note(columns, draws, known),
        clusters=columns.clusters,
        seed_variance=seed,
        cluster_variance=floored(
            columns.spread - sum(side.interaction / side.seeds for side in random)
        ),
        noise_variance=sum(side.interaction for side in random) if random else float("nan"),
        seed_standard_deviation=float(np.sqrt(seed)),
        seed_standard_deviation_lower=float(np.sqrt(low)),
        seed_standard_deviation_upper=float(np.sqrt(high)),
        judge_variance=draws.variance if draws else 0.0,
        judge_draws=draws.count if draws else 0,
        judge_alike=draws.alike if draws else False,
    )


def _note(columns: Columns, draws: Draws | None, known: bool) -> str:
    if np.isnan(columns.variance):
        where = "a single cluster" if columns.strata == 1 else "a stratum with a single cluster"
        return f"not estimable: {where}"
    said = [f"{columns.strata} fixed strata of equal weight"] if columns.strata > 1 else []
    if not known:
        said.append("checkpoint level: no training variance")
    if draws:
        said.append(judge_note(draws.count, draws.alike))
    return "; ".join(said)


def _p_value(moments: Inference, scale: float) -> float:
    if moments.lower == moments.upper and abs(moments.estimate) <= _ROUNDING * scale:
        return float("nan")
    return float(min(2 * moments.law.tail(abs(moments.estimate)), 1.0))
