"""Population minimisers of the hinge loss of pairs: a linear program, a choice where it is flat.

Laws and utilities are those of `regressions`: law [games, actions, actions] weighs the pair whose
first (preferred) response is the row, and a utility has mean 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog, nnls
from scipy.sparse.csgraph import connected_components

from nlhf_repro.interfaces import Array, ImpossibleSettingError

RESOLVED = 1e-10
"""The share of its game's heaviest pair that some pair of every compared response has to weigh."""

TIED = 1e-9
"""Wins and losses that balance to this share of a pair's weight are taken to balance."""

_SEEN = 1e-13  # pairs of a smaller share are left out
_UNIT, _SOLVER_TOLERANCE, _ACCEPTED = 1e4, 1e-10, 1e-6

Index = NDArray[np.intp]


def hinge_utility(law: Array) -> Array:
    """The u of least norm that minimises sum_{w,l} law[w, l] max(0, 1 - (u_w - u_l)).

    The dual is the largest circulation f <= law on the graph of pairs, a network program; HiGHS
    solves it. Its f says what every minimiser does (complementary slackness): u_w - u_l is at least
    1 where f = 0, at most 1 where f = law, and 1 between. Minimisers are rarely unique where wins
    balance (all |u_w - u_l| <= 1 are, on a symmetric cycle), and of these the one with the least
    sum of squares is returned: what a vanishing weight decay of the log-ratios leaves. It is a
    choice of ours, and treats responses alike whatever their order.

    Where u is unique its gaps are whole numbers, as the program's vertices are; u spans at most
    actions - 1. A response that is compared with none is left at 0.

    Raises:
        ImpossibleSettingError: A response is compared, but all its pairs weigh less than
            `RESOLVED`, or rounding keeps the program from its tolerance.
    """
    weights = np.asarray(law * ~np.eye(law.shape[-1], dtype=bool), dtype=np.float64)
    games = weights.reshape(-1, *weights.shape[-2:])
    found = [_utility_of(game, index) for index, game in enumerate(games)]
    return np.stack(found).reshape(weights.shape[:-1])


def _utility_of(law: Array, game: int) -> Array:
    heaviest = float(law.max())
    if not heaviest > 0:
        return np.zeros(len(law))
    _require_resolved(law / heaviest, game)
    winner, loser = np.nonzero(law > _SEEN * heaviest)
    weight = law[winner, loser] / heaviest
    flow, potential = _largest_circulation(weight, winner, loser, len(law))
    never, always = flow <= TIED * weight, flow >= (1.0 - TIED) * weight
    block, offset = _rigid_blocks(potential, winner, loser, ~never & ~always, game)
    gap = np.where(never, 1.0, -1.0)  # of u_w - u_l >= 1, or of -(u_w - u_l) >= -1
    bound = gap - gap * (offset[winner] - offset[loser])
    between = (never | always) & (block[winner] != block[loser])
    sides = block[winner[between]], block[loser[between]]
    utility = _closest_to_zero(block, offset, sides, gap[between], bound[between])
    excess = gap * (utility[winner] - utility[loser]) - gap
    _require_optimal(float(-excess[never | always].min(initial=0.0)), game)
    return utility


def _require_resolved(share: Array, game: int) -> None:
    largest = np.maximum(share.max(axis=-1), share.max(axis=-2))
    lost = np.flatnonzero((largest > 0) & (largest < RESOLVED))
    if lost.size:
        raise ImpossibleSettingError(
            f"no pair of response {lost[0]} of game {game} weighs more than {largest[lost[0]]:.0e} "
            f"of the game's heaviest, below the {RESOLVED:g} that the linear program of the hinge "
            "loss resolves: raise algorithm.regularization, so that the policy keeps its support."
        )


def _largest_circulation(
    weight: Array, winner: Index, loser: Index, actions: int
) -> tuple[Array, Array]:
    """Flows of greatest sum that return as much to every response, and the dual u."""
    pairs = np.arange(len(weight))
    divergence = np.zeros((actions, len(weight)))
    divergence[winner, pairs] += 1.0
    divergence[loser, pairs] -= 1.0
    solution = linprog(
        -np.ones(len(weight)),
        A_eq=divergence,
        b_eq=np.zeros(actions),
        bounds=np.column_stack((np.zeros(len(weight)), _UNIT * weight)),
        method="highs-ds",
        options={
            "primal_feasibility_tolerance": _SOLVER_TOLERANCE,
            "dual_feasibility_tolerance": _SOLVER_TOLERANCE,
        },
    )
    if solution.x is None or solution.status != 0:
        raise ImpossibleSettingError(
            f"the linear program of the hinge loss was not solved ({solution.message}): raise "
            "algorithm.regularization, so that the policy keeps its support."
        )
    return solution.x / _UNIT, -solution.eqlin.marginals


def _rigid_blocks(
    potential: Array, winner: Index, loser: Index, exact: NDArray[np.bool_], game: int
) -> tuple[Index, Array]:
    """Responses whose gaps are settled by pairs with u_w - u_l = 1, and their whole offsets."""
    actions = len(potential)
    graph = np.zeros((actions, actions))
    graph[winner[exact], loser[exact]] = 1.0
    _, block = connected_components(graph, directed=False)
    _, first = np.unique(block, return_index=True)
    offset = potential - potential[first[block]]
    whole = np.round(offset)
    _require_optimal(float(np.abs(offset - whole).max()), game)
    return block, whole


def _closest_to_zero(
    block: Index, offset: Array, sides: tuple[Index, Index], gap: Array, bound: Array
) -> Array:
    """Offsets with every block shifted so that their squares sum to least within the bounds."""
    size = np.bincount(block).astype(np.float64)
    mean = np.bincount(block, offset) / size
    root = np.sqrt(size)  # s = root (shift + mean) has the sum of squares of its block, but for 1
    rows = np.arange(len(gap))
    matrix = np.zeros((len(gap), len(size)))
    matrix[rows, sides[0]] += gap / root[sides[0]]
    matrix[rows, sides[1]] -= gap / root[sides[1]]
    least = _least_distance(matrix, bound + gap * (mean[sides[0]] - mean[sides[1]]))
    return np.asarray(offset + (least / root - mean)[block])


def _least_distance(matrix: Array, bound: Array) -> Array:
    """The shortest x with matrix @ x >= bound (Lawson and Hanson, Solving Least Squares, LDP)."""
    if not (bound > 0).any():
        return np.zeros(matrix.shape[1])
    stacked = np.vstack((matrix.T, bound))
    unit = np.zeros(len(stacked))
    unit[-1] = 1.0
    residual = stacked @ nnls(stacked, unit)[0] - unit
    return np.asarray(-residual[:-1] / residual[-1])


def _require_optimal(violation: float, game: int) -> None:
    if not violation <= _ACCEPTED:
        raise ImpossibleSettingError(
            f"the minimiser of the hinge loss of game {game} was not reached (a condition is "
            f"violated by {violation:.1e}): raise algorithm.regularization, so that the policy "
            "keeps its support."
        )
