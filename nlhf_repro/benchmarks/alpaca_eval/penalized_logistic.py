"""Logistic regression on shares with an L1 penalty: the minimiser itself, for few features."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from nlhf_repro.interfaces import Array

INVERSE_PENALTIES: Array = np.logspace(-4, 4, 10)  # scikit-learn's Cs=10
FOLDS = 5
_STEPS = 200
_TOLERANCE = 1e-9
_ROUNDING = 1e-15  # of the objective: no step can be seen to improve on it
_CLIP = 1e-15  # alpaca-eval's, on probabilities before their logarithm


def fit(features: Array, shares: Array, weights: Array, inverse_penalty: Array) -> Array:
    """Minimisers w of a penalised log-loss, one for every problem b.

    With z = features @ w the objective is

        |w|_1 + C_b sum_r weights_br [log(1 + exp(z_r)) - shares_r z_r],

    that is scikit-learn's `LogisticRegression(C=C_b, penalty="l1", fit_intercept=False)` on every
    row twice, with label 1 and weight `weights * shares` and label 0 and the rest.

    Newton steps with a line search. In each, the quadratic model plus the L1 norm is minimised
    exactly: its minimiser solves a linear system once the signs of its entries (-, 0, +) are
    known, and all 3^features combinations are tried.

    Args:
        features: [rows, features], finite; no column of zeros only.
        shares: [rows], in [0, 1].
        weights: [problems, rows], not negative.
        inverse_penalty: [problems], C > 0.

    Returns:
        [problems, features], to about 1e-9.

    Raises:
        ArithmeticError: no convergence, as where features are collinear.
    """
    penalty = 1 / np.asarray(inverse_penalty, dtype=float)  # of the objective divided by C
    crossed = np.einsum("ri,rj->rij", features, features).reshape(len(features), -1)
    coefficients = np.zeros((len(weights), features.shape[1]))
    for _ in range(_STEPS):
        logits = coefficients @ features.T
        wins, losses = expit(logits), expit(-logits)  # both: 1 - wins has no digits near 1
        gradient = (weights * ((1 - shares) * wins - shares * losses)) @ features
        hessian = (weights * wins * losses) @ crossed
        hessian = hessian.reshape(-1, features.shape[1], features.shape[1])
        target = _penalized_quadratic_minimum(hessian, gradient, coefficients, penalty)
        step = target - coefficients
        cost = penalty * np.abs(target).sum(-1)
        slope = (gradient * step).sum(-1) + cost - penalty * np.abs(coefficients).sum(-1)
        close = np.all(np.abs(step) <= _TOLERANCE * (1 + np.abs(target)), axis=-1)
        if np.all(close | (np.abs(slope) <= _ROUNDING * cost)):
            return target
        size = _step_size(coefficients, step, slope, features, shares, weights, penalty)
        coefficients = coefficients + size[:, None] * step
    raise ArithmeticError(
        f"The penalised logistic fit did not converge in {_STEPS} Newton steps: are features "
        "collinear?"
    )


def choose_inverse_penalty(features: Array, shares: Array, weights: Array) -> float:
    """C of scikit-learn's default grid with the least cross-validated weighted log-loss.

    Five folds; row r of N is in fold (N - 1 - r) mod 5, as `GroupKFold(5)` of scikit-learn 1.9
    deals N groups of equal size. The score of a fold is the mean over its rows of weight times
    log-loss (the weights' sum does not divide), the folds' scores are added and the smallest C
    wins a tie, as in alpaca-eval.

    Raises:
        ValueError: fewer rows than folds.
        ArithmeticError: see `fit`.
    """
    rows = len(features)
    if rows < FOLDS:
        raise ValueError(f"{FOLDS} folds need at least {FOLDS} rows, not {rows}.")
    left_out: NDArray[np.bool_] = (rows - 1 - np.arange(rows)) % FOLDS == np.arange(FOLDS)[:, None]
    training = np.repeat(np.where(left_out, 0, weights), len(INVERSE_PENALTIES), axis=0)
    coefficients = fit(features, shares, training, np.tile(INVERSE_PENALTIES, FOLDS))
    means = np.clip(expit(coefficients @ features.T), _CLIP, 1 - _CLIP)
    loss = -weights * (shares * np.log(means) + (1 - shares) * np.log(1 - means))
    by_fold = loss.reshape(FOLDS, len(INVERSE_PENALTIES), rows)
    scores = np.einsum("fcr,fr->fc", by_fold, left_out) / left_out.sum(1)[:, None]
    return float(INVERSE_PENALTIES[np.argmin(scores.sum(0))])


def _penalized_quadratic_minimum(
    hessian: Array, gradient: Array, coefficients: Array, penalty: Array
) -> Array:
    """Minimiser over v of (v - w)'H(v - w)/2 + g'(v - w) + penalty |v|_1, for every problem."""
    size = coefficients.shape[1]
    signs = np.array(list(product((-1, 0, 1), repeat=size)), dtype=float)  # [patterns, features]
    free = signs != 0
    ridge = 1e-13 * np.trace(hessian, axis1=1, axis2=2)[:, None, None] * np.eye(size)
    curvature = hessian + ridge + np.finfo(float).tiny * np.eye(size)
    pull = (curvature @ coefficients[..., None])[..., 0] - gradient
    system = np.where(free[:, :, None] & free[:, None, :], curvature[:, None], np.eye(size))
    right = free * (pull[:, None] - penalty[:, None, None] * signs)
    candidates = np.linalg.solve(system, right[..., None])[..., 0]  # [problems, patterns, features]
    value = (
        ((candidates @ curvature) * candidates).sum(-1) / 2
        - (candidates * pull[:, None]).sum(-1)
        + penalty[:, None] * np.abs(candidates).sum(-1)
    )
    best = np.argmin(value, axis=1)
    return np.asarray(candidates[np.arange(len(candidates)), best])


def _step_size(
    coefficients: Array,
    step: Array,
    slope: Array,
    features: Array,
    shares: Array,
    weights: Array,
    penalty: Array,
) -> Array:
    """The first of 1, 1/2, 1/4, ... that decreases every problem's objective enough."""

    def objective(at: Array) -> Array:
        logits = at @ features.T
        loss = shares * np.logaddexp(0, -logits) + (1 - shares) * np.logaddexp(0, logits)
        return np.asarray((weights * loss).sum(-1) + penalty * np.abs(at).sum(-1))

    start = objective(coefficients)
    slack = 1e-12 * np.abs(start)
    size = np.ones(len(coefficients))
    for _ in range(40):
        value = objective(coefficients + size[:, None] * step)
        short = value > start + 1e-4 * size * slope + slack
        if not short.any():
            break
        size[short] /= 2
    return size
