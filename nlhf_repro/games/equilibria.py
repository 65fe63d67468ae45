"""Nash equilibria: a linear program, and Newton's method for the regularized game."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from nlhf_repro.games import log_space
from nlhf_repro.games.checks import (
    check_preference_matrix,
    check_reference,
    check_regularization,
)
from nlhf_repro.interfaces import Array

GAP_TOLERANCE = 1e-12
"""No equilibrium is returned whose duality gap (regularized or not) is above this."""

_WARM_TOLERANCE, _RESIDUAL_TOLERANCE = 1e-2, 1e-11
_NEWTON_STEPS, _HALVINGS, _POLISHING_STEPS = 400, 40, 2


class EquilibriumError(RuntimeError):
    """A solver did not reach the accuracy it promises; nothing was returned in its place."""


def nash_equilibrium(preference_matrix: ArrayLike) -> Array:
    """An equilibrium of P by linear programming, duality gap at most 1e-12 (about 1e-15 as a rule).

    Where the equilibrium is not unique it is a vertex of the set, which one is the solver's choice:
    report a distance to it only where uniqueness is known.

    Raises:
        EquilibriumError: the program was not solved to that gap.
    """
    matrix = check_preference_matrix(preference_matrix)
    margins = log_space.margins(matrix).reshape(-1, *matrix.shape[-2:])
    return np.stack([_solve_program(game) for game in margins]).reshape(matrix.shape[:-1])


def _solve_program(margins: Array) -> Array:
    """The policy p with max_y (M p)_y <= 0, the solver's or its refinement."""
    found = _minimize_best_response(margins)
    policy = min((found, _equalized(margins, found)), key=lambda p: _gap(margins, p))
    if _gap(margins, policy) > GAP_TOLERANCE:
        raise EquilibriumError(
            f"The linear program of a game of {len(margins)} actions stopped at a duality gap of "
            f"{_gap(margins, policy):.1e}, above {GAP_TOLERANCE}."
        )
    return policy


def _minimize_best_response(margins: Array) -> Array:
    """Minimizes max_y (M p)_y over policies p, on a scale of its own, by HiGHS."""
    actions = len(margins)
    scale = np.abs(margins).max() or 1.0
    solution = linprog(
        np.r_[np.zeros(actions), 1.0],
        A_ub=np.c_[margins / scale, -np.ones(actions)],
        b_ub=np.zeros(actions),
        A_eq=np.r_[np.ones(actions), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * actions + [(None, None)],
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if solution.x is None:
        raise EquilibriumError(
            f"The linear program of a game of {actions} actions was not solved: {solution.message}"
        )
    policy = np.maximum(solution.x[:actions], 0.0)
    return np.asarray(policy / policy.sum())


def _gap(margins: Array, policy: Array) -> float:
    return float(2 * (margins @ policy).max())


def _equalized(margins: Array, policy: Array) -> Array:
    """The policy on the same support whose actions are all worth 1/2 (complementary slackness).

    It takes the solver's tolerance out of the solution. Where the support is not that of an
    equilibrium some entries may be clipped, and the gap says so.
    """
    support = np.flatnonzero(policy)
    system = np.vstack([margins[np.ix_(support, support)], np.ones(support.size)])
    right = np.r_[np.zeros(support.size), 1.0]
    start = policy[support]
    refined = start + np.linalg.lstsq(system, right - system @ start, rcond=None)[0]
    equalized = np.zeros_like(policy)
    equalized[support] = np.maximum(refined, 0.0)
    return np.asarray(equalized / equalized.sum())


def regularized_nash_equilibrium(
    preference_matrix: ArrayLike, reference_policy: ArrayLike, regularization: float
) -> Array:
    """The unique pi with log pi = log reference + P pi / tau + const, to a gap of 1e-12.

    See `log_regularized_nash_equilibrium`, which takes references too small for probabilities.
    """
    matrix = check_preference_matrix(preference_matrix)
    log_reference = np.log(check_reference(reference_policy, matrix.shape[:-1]))
    return np.exp(log_regularized_nash_equilibrium(matrix, log_reference, regularization))


def log_regularized_nash_equilibrium(
    preference_matrix: Array, log_reference: Array, regularization: float
) -> Array:
    """Normalized log-probabilities of the equilibrium of J (see `regularized_duality_gap`).

    Damped Newton on F(theta) = theta - log reference - M softmax(theta) / tau, with M = P - 1/2.
    Its Jacobian I - M (diag p - p p^T) / tau has the eigenvalues 1 + i x, x real, as M is
    skew-symmetric: it is never singular, F has one root, and the Newton direction always shortens
    F. Warm starts come down from tau = 2 by factors of 1.6. Games of a batch are solved at once,
    each stopped by its own residual. Measured to tau = 1e-3 with 2 to 100 actions: gap below 1e-20.

    Raises:
        EquilibriumError: a game's regularized duality gap stayed above 1e-12.
    """
    weight = check_regularization(regularization)
    actions = preference_matrix.shape[-1]
    margins = log_space.margins(preference_matrix).reshape(-1, actions, actions)
    reference = log_reference.reshape(-1, actions)
    logits = reference.copy()
    for level in _levels(weight):
        tolerance = _RESIDUAL_TOLERANCE if level == weight else _WARM_TOLERANCE
        _newton(margins, reference, level, logits, tolerance)
    for _ in range(_POLISHING_STEPS):
        logits += _direction(margins, reference, weight, logits)
    log_policy = log_space.log_normalize(logits).reshape(log_reference.shape)
    gap = log_space.regularized_duality_gap(preference_matrix, log_policy, log_reference, weight)
    if not (gap <= GAP_TOLERANCE).all():
        raise EquilibriumError(
            f"Newton's method left a regularized duality gap of {np.max(gap):.1e} at "
            f"regularization = {weight}, above {GAP_TOLERANCE}: take a larger regularization."
        )
    return log_policy


def _levels(regularization: float) -> Iterator[float]:
    level = 2.0
    while level > regularization:
        yield level
        level /= 1.6
    yield regularization


def _residual(margins: Array, reference: Array, weight: float, logits: Array) -> Array:
    policy = np.exp(log_space.log_normalize(logits))
    return logits - reference - log_space.advantage(margins, policy) / weight


def _direction(margins: Array, reference: Array, weight: float, logits: Array) -> Array:
    """-F' ^-1 F, for every game."""
    policy = np.exp(log_space.log_normalize(logits))
    gains = log_space.advantage(margins, policy)
    slope = (margins - gains[..., :, None]) * policy[..., None, :]  # M (diag p - p p^T)
    jacobian = np.eye(policy.shape[-1]) - slope / weight
    residual = logits - reference - gains / weight
    return np.asarray(-np.linalg.solve(jacobian, residual[..., None])[..., 0])


def _newton(
    margins: Array, reference: Array, weight: float, logits: Array, tolerance: float
) -> None:
    """Moves `logits` in place until every |F| is below `tolerance`, or no step shortens it."""
    unfinished = np.arange(len(logits))
    for _ in range(_NEWTON_STEPS):
        residual = _residual(margins[unfinished], reference[unfinished], weight, logits[unfinished])
        unfinished = unfinished[np.abs(residual).max(axis=-1) > tolerance]
        if not unfinished.size:
            return
        moved = _damped_step(margins[unfinished], reference[unfinished], weight, logits[unfinished])
        stuck = (moved == logits[unfinished]).all(axis=-1)
        logits[unfinished] = moved
        unfinished = unfinished[~stuck]


def _damped_step(margins: Array, reference: Array, weight: float, logits: Array) -> Array:
    """The longest of the steps 1, 1/2, 1/4, ... that shortens |F| enough (Armijo), if any does."""
    direction = _direction(margins, reference, weight, logits)
    before = np.linalg.norm(_residual(margins, reference, weight, logits), axis=-1)
    moved, waiting, step = logits.copy(), np.arange(len(logits)), 1.0
    for _ in range(_HALVINGS):
        trial = logits[waiting] + step * direction[waiting]
        after = np.linalg.norm(
            _residual(margins[waiting], reference[waiting], weight, trial), axis=-1
        )
        shorter = after <= (1 - 1e-4 * step) * before[waiting]
        moved[waiting[shorter]] = trial[shorter]
        waiting, step = waiting[~shorter], step / 2
        if not waiting.size:
            break
    return moved
