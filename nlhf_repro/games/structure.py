"""How far a preference is from a ranking: majority cycles and a Hodge decomposition."""

from __future__ import annotations

from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nlhf_repro.games.checks import (
    SYMMETRY_TOLERANCE,
    MalformedGameError,
    check_preference_matrix,
)
from nlhf_repro.interfaces import Array


class HodgeDecomposition(NamedTuple):
    """Logits = transitive + cyclic, both skew-symmetric, and orthogonal entry by entry.

    scores: [..., actions], of mean 0; their Bradley-Terry game has the nearest logits.
    transitive: [..., actions, actions], score_i - score_j.
    cyclic: [..., actions, actions]; every row sums to 0.
    cyclic_share: [...], |cyclic|^2 / |logits|^2 in [0, 1]; 0 where all preferences tie.
    """

    scores: Array
    transitive: Array
    cyclic: Array
    cyclic_share: Array


class MajorityCycles(NamedTuple):
    """How often a majority cycles on a batch of preference matrices, as shares in [0, 1].

    triples: of the triples of actions, those that are majority cycles, see `cycle_share`.
    games: of the games, those without a Condorcet winner: every action is beaten by another. An
    action that is there twice ties with itself, and may still win.
    """

    triples: float
    games: float


def complete_preferences(lower: ArrayLike) -> Array:
    """The preference matrix of this strictly lower triangle; P + P^T = 1 gives the rest."""
    below = np.tril(np.asarray(lower, dtype=np.float64), -1)
    above = np.triu(1 - np.swapaxes(below, -1, -2), 1)
    return np.asarray(below + above + np.eye(below.shape[-1]) / 2)


def cycle_share(preference_matrix: ArrayLike) -> Array:
    """Share of the triples of actions that are majority cycles, i beats j beats k beats i.

    In [0, 1]. To beat is to be preferred with more than 1/2 + 1e-12; a tie breaks a cycle. With
    fewer than three actions there is no triple, and the share is 0.
    """
    matrix = check_preference_matrix(preference_matrix)
    beats = (matrix - 0.5 > SYMMETRY_TOLERANCE).astype(np.float64)
    cycles = np.trace(beats @ beats @ beats, axis1=-2, axis2=-1) / 3
    return np.asarray(cycles / max(comb(matrix.shape[-1], 3), 1))


def majority_cycles(preference_matrices: ArrayLike) -> MajorityCycles:
    """Both shares over all matrices [games, actions, actions], every game with equal weight.

    On samples a game is a prompt and an action a response that was drawn for it.
    """
    matrices = check_preference_matrix(preference_matrices)
    beaten = (matrices - 0.5 < -SYMMETRY_TOLERANCE).any(axis=-1)
    return MajorityCycles(
        triples=float(np.mean(cycle_share(matrices))), games=float(np.mean(beaten.all(axis=-1)))
    )


def hodge_decomposition(preference_matrix: ArrayLike) -> HodgeDecomposition:
    """Splits the logits log P_ij / P_ji into a ranking's part and a cyclic part.

    Jiang, Lim, Yao, Ye, "Statistical ranking and combinatorial Hodge theory" (2011), on the
    complete graph with equal weights, where the gradient part has the scores mean_j logit_ij. A
    Bradley-Terry game has cyclic part 0.

    Raises:
        MalformedGameError: a preference is 0 or 1, whose logit is infinite.
    """
    matrix = check_preference_matrix(preference_matrix)
    sure = np.argwhere((matrix == 0) | (matrix == 1))
    if sure.size:
        where = tuple(int(i) for i in sure[0])
        raise MalformedGameError(
            f"preference_matrix[{', '.join(map(str, where))}] = {matrix[where]} has an infinite "
            "logit: a Hodge decomposition needs preferences strictly between 0 and 1."
        )
    logits = np.log(matrix) - np.log(np.swapaxes(matrix, -1, -2))
    scores = logits.mean(axis=-1)
    transitive = scores[..., :, None] - scores[..., None, :]
    cyclic = logits - transitive
    whole, part = (logits**2).sum(axis=(-1, -2)), (cyclic**2).sum(axis=(-1, -2))
    share = np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
    return HodgeDecomposition(scores, transitive, cyclic, share)
