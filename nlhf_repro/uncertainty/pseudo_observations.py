"""One number a cluster whose mean is a metric and whose spread is its sampling error.

A pseudo-observation is the metric plus the cluster's influence on it. Rows of pseudo-observations,
one a seed, are the matrix Z of the variance engine, so that every metric has the same intervals
and is compared by cluster. A cluster is a question with all of its rows: several games, threefold
weights or turns are no independent observations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from nlhf_repro.interfaces import Array, MetricScores


def cluster_totals(
    scores: ArrayLike, weights: ArrayLike, clusters: ArrayLike
) -> tuple[Array, Array]:
    """Sums of weight * score and of weight over the rows of every cluster, [clusters] each.

    Args:
        scores: [rows], such as 1 for a win, 0.5 for a tie and 0 for a loss.
        weights: [rows], not negative.
        clusters: [rows], the position of each row's cluster; the clusters are 0 to its maximum.

    Raises:
        ValueError: shapes differ, an entry is not finite, a weight or a position is negative.
    """
    values, loads = _vector(scores, "scores"), _vector(weights, "weights")
    places = np.asarray(clusters)
    if not values.shape == loads.shape == places.shape or places.dtype.kind not in "iu":
        raise ValueError(
            f"scores {values.shape}, weights {loads.shape} and clusters {places.shape} "
            f"({places.dtype}): give one number, weight and integer position for every row."
        )
    if loads.min() < 0 or places.min() < 0:
        raise ValueError("A weight or a cluster's position is negative: count both from zero.")
    count = int(places.max()) + 1
    sums = np.bincount(places, loads * values, count).astype(np.float64)
    return sums, np.bincount(places, loads, count).astype(np.float64)


def cluster_means(scores: ArrayLike, clusters: ArrayLike) -> Array:
    """Mean score of the rows of every cluster, [clusters]: every cluster counts once.

    Args:
        scores: [rows].
        clusters: [rows], as in `cluster_totals`.

    Raises:
        ValueError: as in `cluster_totals`, or a cluster has no row.
    """
    sums, counts = cluster_totals(scores, np.ones(np.shape(scores)), clusters)
    if not counts.all():
        raise ValueError(f"Cluster {int(counts.argmin())} has no row: drop it, or give its rows.")
    return sums / counts


def weighted_ratio(score_totals: ArrayLike, weight_totals: ArrayLike) -> Array:
    """Pseudo-observations of sum(S) / sum(W), z = theta + (S - theta W) / mean(W), [clusters].

    Their sd(ddof=1) / sqrt(clusters) is the clustered standard error of the ratio, sqrt(C/(C-1)
    sum e^2) / sum(W) with e = S - theta W (Miller, arXiv:2411.00640, with C/(C-1)).

    Args:
        score_totals: S [clusters], sums of weight * score over a cluster's rows.
        weight_totals: W [clusters], sums of weight; 0 where a cluster has no row.

    Raises:
        ValueError: shapes differ, an entry is not finite, a weight is negative or all are zero.
    """
    scores, weights = _vector(score_totals, "score_totals"), _vector(weight_totals, "weight_totals")
    if scores.shape != weights.shape:
        raise ValueError(
            f"score_totals has shape {scores.shape} and weight_totals {weights.shape}: give one "
            "sum of each for every cluster."
        )
    if weights.min() < 0 or not weights.any():
        raise ValueError("weight_totals are negative or all zero: a ratio needs positive weight.")
    ratio = scores.sum() / weights.sum()
    return np.asarray(ratio + (scores - ratio * weights) / weights.mean(), dtype=np.float64)


def plain_values(metric: MetricScores) -> Array:
    """Values [questions] whose plain mean is the metric, strata of equal weight included.

    With S strata of n_s of the n questions, z_i = m + n / (S n_s) (x_i - m_s), where m is the mean
    of the strata's means m_s: the mean of z is m, and var(z) / n is the sum of the strata's
    sampling variances / S^2, up to (n - 1) / n and (n_s - 1) / n_s.
    """
    values = np.asarray(metric.values, dtype=np.float64)
    if metric.strata is None:
        return values
    names, places = np.unique(np.asarray(metric.strata), return_inverse=True)
    counts = np.bincount(places)
    means = np.bincount(places, values) / counts
    scale = len(values) / (len(names) * counts)
    return np.asarray(means.mean() + (values - means[places]) * scale[places])


def length_controlled(
    features: ArrayLike,
    labels: ArrayLike,
    coefficients: ArrayLike,
    gamed_features: ArrayLike | None = None,
    gamed_weights: ArrayLike | None = None,
) -> Array:
    """Pseudo-observations [instructions] of the length-controlled win rate, as a share in [0, 1].

    With mu = sigmoid(x . w) and p = sigmoid(x . w without the length term),

        LC  = mean(p)            A = sum over all rows, gamed ones included, of W mu (1 - mu) x x'
        g   = mean of p (1 - p) x with its length term set to 0           u_i = (y_i - mu_i) x_i
        z_i = p_i + n g' A^-1 (u_i - mean(u))

    The length scale sd(d) and the gamed rows count as fixed, and the L1 penalty and the choice of
    C are ignored; what justifies that is coverage (94 to 95 % on real annotations), not a theorem.

    Args:
        features: x [instructions, terms] of the evaluated rows (weight 1), the length term first.
        labels: y [instructions], preferences for the model in [0, 1].
        coefficients: w [terms], as fitted.
        gamed_features: [gamed rows, terms]; None where the fit had none.
        gamed_weights: [gamed rows], their weights in the fit.

    Raises:
        ValueError: shapes do not fit, an entry is not finite, a label is outside [0, 1], or the
            prediction does not follow from the rows (a term without variation that is not 0).
    """
    x, y, w = np.asarray(features, np.float64), _vector(labels, "labels"), np.asarray(coefficients)
    extra = np.empty((0, len(w))) if gamed_features is None else np.asarray(gamed_features)
    loads = np.empty(0) if gamed_weights is None else np.asarray(gamed_weights)
    _check_fit(x, y, w, extra, loads)
    fitted = special.expit(x @ w)
    without_length = x.copy()
    without_length[:, 0] = 0
    predicted = special.expit(without_length @ w)
    rows, weights = np.vstack([x, extra]), np.concatenate([np.ones(len(x)), loads])
    curvature = weights * special.expit(rows @ w) * special.expit(-(rows @ w))
    information = (rows * curvature[:, None]).T @ rows
    gradient = (predicted * (1 - predicted)) @ without_length / len(x)
    scores = (y - fitted)[:, None] * x
    direction = np.linalg.lstsq(information, gradient, rcond=None)[0]
    if not np.allclose(information @ direction, gradient, rtol=0, atol=1e-8 * abs(gradient).max()):
        raise ValueError(
            "The length-controlled prediction is not determined by the rows: drop a feature that "
            "is a combination of others."
        )
    return np.asarray(
        predicted + len(x) * (scores - scores.mean(axis=0)) @ direction, dtype=np.float64
    )


def _check_fit(x: Array, y: Array, w: Array, extra: Array, loads: Array) -> None:
    shapes = x.shape, y.shape, w.shape, extra.shape, loads.shape
    if shapes != ((len(y), len(w)), (len(y),), (len(w),), (len(loads), len(w)), (len(loads),)):
        raise ValueError(
            f"features {x.shape}, labels {y.shape}, coefficients {w.shape}, gamed features "
            f"{extra.shape} and weights {loads.shape} do not fit: rows and terms must agree."
        )
    if not all(np.isfinite(each).all() for each in (x, w, extra, loads)):
        raise ValueError("A feature, coefficient or weight is not finite: refit without that row.")
    if y.min() < 0 or y.max() > 1:
        raise ValueError("A label is outside [0, 1]: give preferences for the model as shares.")


def _vector(values: ArrayLike, name: str) -> NDArray[np.float64]:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or vector.size == 0 or not np.isfinite(vector).all():
        raise ValueError(f"{name}: give a non-empty list of finite numbers, one a row or cluster.")
    return vector
