"""Games of which only bounds are known: what their equilibria, and a policy's losses, can be."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from nlhf_repro.games.checks import MalformedGameError, check_policy
from nlhf_repro.games.equilibria import EquilibriumError
from nlhf_repro.interfaces import Array


def equilibrium_share_bounds(lower: ArrayLike) -> tuple[Array, Array]:
    """The least and the largest share of every action in any equilibrium, each [actions].

    `lower` [actions, actions] bounds P from below, and 1 - lower^T from above, since P + P^T = 1.
    An equilibrium p of P has P p <= 1/2, hence lower p <= 1/2: the polytope of such p holds every
    equilibrium of every P within the bounds, and two linear programs an action give its extent.
    It may hold more, as entries P[i, j] and P[j, i] are let vary apart: the bounds err outward.
    Where `lower` is P itself the bounds are the extent of its equilibria. Where bounds hold all
    entries of an unknown P at once with some confidence, so do these the shares of all its
    equilibria.

    Raises:
        MalformedGameError: not a square matrix of numbers with 1/2 on its diagonal, or a pair's
            lower bounds sum to more than 1.
        EquilibriumError: a linear program was not solved.
    """
    matrix = _checked(lower)
    actions = len(matrix)
    ends = np.array(
        [
            [_least_share(matrix - 0.5, action, sign) for action in range(actions)]
            for sign in (1.0, -1.0)
        ]
    )
    return np.clip(ends[0], 0.0, 1.0), np.clip(-ends[1], 0.0, 1.0)


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


def _least_share(margins: Array, action: int, sign: float) -> float:
    """The least of sign times the action's share over policies p with margins p <= 0."""
    actions = len(margins)
    scale = np.abs(margins).max() or 1.0
    solution = linprog(
        sign * np.eye(actions)[action],
        A_ub=margins / scale,
        b_ub=np.full(actions, 1e-12),  # the rounding of an equilibrium
        A_eq=np.ones((1, actions)),
        b_eq=[1.0],
        bounds=(0.0, 1.0),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if solution.x is None:
        raise EquilibriumError(
            f"The linear program of the shares of {actions} actions was not solved: "
            f"{solution.message}"
        )
    return float(solution.fun)
