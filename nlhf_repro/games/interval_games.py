"""Games of which only bounds are known: what their equilibria, and a policy's losses, can be."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

from nlhf_repro.games.checks import MalformedGameError, check_policy
from nlhf_repro.games.equilibria import EquilibriumError
from nlhf_repro.interfaces import Array

SHARE_TOLERANCE = 1e-7
"""A share below it is none: the programs are solved to 1e-9 of the largest margin."""

INFEASIBLE = 2  # scipy's status


def equilibrium_share_bounds(lower: ArrayLike) -> tuple[Array, Array]:
    """The least and the largest share of every action in any equilibrium, each [actions].

    `lower` [actions, actions] bounds P from below, and 1 - lower^T from above, since P + P^T = 1.
    An equilibrium p of P has P p <= 1/2, and (P p)_y = 1/2 where p_y > 0; hence lower p <= 1/2, and
    (upper p)_y >= 1/2 where p_y > 0. The least share of y is a linear program over the first, the
    largest one over both; an action whose largest share is 0 is left out of the others' programs,
    until none is found. The bounds err outward, as P[i, j] and P[j, i] are let vary apart, and of
    the second condition only that of y itself is used. Where `lower` is P itself they are the
    extent of its equilibria. Where bounds hold all entries of an unknown P at once with some
    confidence, so do these the shares of all its equilibria.

    Raises:
        MalformedGameError: not a square matrix of numbers with 1/2 on its diagonal, or a pair's
            lower bounds sum to more than 1.
        EquilibriumError: a linear program was not solved.
    """
    margins = _checked(lower) - 0.5
    possible = np.full(len(margins), True)
    while True:
        most = np.array([_largest_share(margins, y, possible) for y in range(len(margins))])
        if (possible == (most > SHARE_TOLERANCE)).all():
            break
        possible &= most > SHARE_TOLERANCE
    least = np.array([_least_share(margins, y, possible) for y in range(len(margins))])
    return np.clip(least, 0.0, 1.0), np.clip(most, 0.0, 1.0)


def exploitability_upper_bound(lower: ArrayLike, policy: ArrayLike) -> float:
    """max_y of the largest P(y over policy) - 1/2 that the bounds allow, at least 0.

    With `lower` as in `equilibrium_share_bounds`, this is max_y sum_z (1 - lower[z, y]) policy(z) -
    1/2. Where the bounds hold all entries at once it holds for every policy, one that was chosen on
    the same data too.

    Raises:
        MalformedGameError: as `equilibrium_share_bounds`, or no policy of as many actions.
    """
    matrix = _checked(lower)
    shares = check_policy(policy, matrix.shape[:1])
    return max(float(((1 - matrix.T) @ shares).max()) - 0.5, 0.0)


def _checked(lower: ArrayLike) -> Array:
    matrix = np.asarray(lower, dtype=np.float64)
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] > 0
    if not square or not np.isfinite(matrix).all() or not (np.diag(matrix) == 0.5).all():
        raise MalformedGameError(
            f"lower has shape {matrix.shape}: give finite bounds [actions, actions] with 1/2 on "
            "the diagonal."
        )
    above = np.argwhere(matrix + matrix.T > 1 + 1e-9)
    if len(above):
        i, j = map(int, above[0])
        raise MalformedGameError(
            f"lower[{i}, {j}] + lower[{j}, {i}] = {matrix[i, j] + matrix[j, i]} is above 1: no "
            "preference lies within these bounds."
        )
    return matrix


def _least_share(margins: Array, action: int, possible: NDArray[np.bool_]) -> float:
    """The least share of the action in policies p of possible actions with margins p <= 0."""
    found = _program(np.eye(len(margins))[action], margins, possible)
    if found is None:
        raise EquilibriumError(f"No policy of {len(margins)} actions lies within the bounds.")
    return found


def _largest_share(margins: Array, action: int, possible: NDArray[np.bool_]) -> float:
    """The largest share of the action in such policies that let it be worth 1/2; 0 if none does."""
    worth = margins[:, action]  # minus what the action is worth at most, less 1/2
    found = _program(-np.eye(len(margins))[action], np.vstack([margins, worth]), possible)
    return 0.0 if found is None else -found


def _program(aim: Array, rows: Array, possible: NDArray[np.bool_]) -> float | None:
    """The least aim p over policies p of possible actions with rows p <= 0; None where none is."""
    actions = len(aim)
    solution = linprog(
        aim,
        A_ub=rows / (np.abs(rows).max() or 1.0),
        b_ub=np.full(len(rows), 1e-9),  # the rounding of an equilibrium
        A_eq=np.ones((1, actions)),
        b_eq=[1.0],
        bounds=[(0.0, float(each)) for each in possible],
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if solution.status == INFEASIBLE:
        return None
    if solution.x is None:
        raise EquilibriumError(
            f"The linear program of the shares of {actions} actions was not solved: "
            f"{solution.message}"
        )
    return float(solution.fun)
