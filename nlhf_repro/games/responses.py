"""Best responses, duality gaps and divergences of symmetric preference games.

P[i, j] is the probability that action i is preferred over j, P + P^T = 1. Every function takes one
game ([actions, actions] with policies [actions]) or a batch ([games, actions, actions] with [games,
actions]); policies may carry further axes in front, such as the points of a trajectory. What is one
number a game comes back as an array without the actions axis, of no dimension for a single game.
Malformed arguments raise `MalformedGameError`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nlhf_repro.games import log_space
from nlhf_repro.games.checks import (
    check_policy,
    check_preference_matrix,
    check_reference,
    check_regularization,
)
from nlhf_repro.interfaces import Array


def preference(preference_matrix: ArrayLike, policy: ArrayLike, opponent: ArrayLike) -> Array:
    """P(policy over opponent) = policy^T P opponent, in [0, 1]; 1/2 against itself."""
    matrix = check_preference_matrix(preference_matrix)
    rows = check_policy(policy, matrix.shape[:-1])
    columns = check_policy(opponent, matrix.shape[:-1], "opponent")
    gains = log_space.advantage(log_space.margins(matrix), columns)
    return np.asarray(0.5 + (rows * gains).sum(axis=-1))


def best_response(preference_matrix: ArrayLike, policy: ArrayLike) -> Array:
    """The vertex at argmax_y P(y over policy); of actions that tie, the one of lowest index."""
    matrix = check_preference_matrix(preference_matrix)
    gains = log_space.advantage(log_space.margins(matrix), check_policy(policy, matrix.shape[:-1]))
    return np.asarray(np.eye(matrix.shape[-1])[gains.argmax(axis=-1)])


def regularized_best_response(
    preference_matrix: ArrayLike,
    policy: ArrayLike,
    reference_policy: ArrayLike,
    regularization: float,
) -> Array:
    """The unique maximizer over p of p^T P policy - tau KL(p || reference).

    It is softmax(log reference + P policy / tau), and serves both players by symmetry.
    """
    matrix = check_preference_matrix(preference_matrix)
    log_response = log_space.regularized_best_response(
        matrix,
        log_space.log_probabilities(check_policy(policy, matrix.shape[:-1])),
        np.log(check_reference(reference_policy, matrix.shape[:-1])),
        check_regularization(regularization),
    )
    return np.exp(log_response)


def duality_gap(preference_matrix: ArrayLike, policy: ArrayLike) -> Array:
    """max_p P(p over policy) - min_q P(policy over q) = 2 (max_y P(y over policy) - 1/2).

    In [0, 1], and 0 exactly at the Nash equilibria of P. Rounding is about 1e-16 in absolute terms:
    values near it carry no digits.
    """
    matrix = check_preference_matrix(preference_matrix)
    probabilities = check_policy(policy, matrix.shape[:-1])
    return log_space.duality_gap(matrix, log_space.log_probabilities(probabilities))


def exploitability(preference_matrix: ArrayLike, policy: ArrayLike) -> Array:
    """max_y P(y over policy) - 1/2, in [0, 1/2]: half of the duality gap, one player's share."""
    return duality_gap(preference_matrix, policy) / 2


def regularized_duality_gap(
    preference_matrix: ArrayLike,
    policy: ArrayLike,
    reference_policy: ArrayLike,
    regularization: float,
) -> Array:
    """max_p J(p, policy) - min_q J(policy, q), where J(p, q) = p^T P q - tau KL(p) + tau KL(q).

    KL(.) is to the reference (INPO, arXiv:2407.00617, Eq. 3). With b the regularized best response
    to the policy pi and log Z = log sum_y reference(y) exp((P pi)_y / tau), the first term is tau
    log Z + tau KL(pi || reference) and the second is 1 less that, so the gap is 2 (tau log Z + tau
    KL(pi || reference) - 1/2). Since pi^T P pi = 1/2 and log b = log reference + P pi / tau - log
    Z, this is 2 tau KL(pi || b), the form computed here: it cancels nothing, and keeps its digits
    down to about 1e-28. It is 0 only at the regularized equilibrium.
    """
    matrix = check_preference_matrix(preference_matrix)
    return log_space.regularized_duality_gap(
        matrix,
        log_space.log_probabilities(check_policy(policy, matrix.shape[:-1])),
        np.log(check_reference(reference_policy, matrix.shape[:-1])),
        check_regularization(regularization),
    )


def regularized_exploitability(
    preference_matrix: ArrayLike,
    policy: ArrayLike,
    reference_policy: ArrayLike,
    regularization: float,
) -> Array:
    """max_p J(p, policy) - 1/2 = tau KL(policy || regularized best response): half of the gap."""
    return regularized_duality_gap(preference_matrix, policy, reference_policy, regularization) / 2


def kl_to_equilibrium(equilibrium: ArrayLike, policy: ArrayLike) -> Array:
    """KL(equilibrium || policy) in nats, the optimum first, as the convergence theorems have it.

    It is inf where the policy never takes an action that the equilibrium takes.
    """
    first = np.atleast_1d(np.asarray(equilibrium, dtype=np.float64))
    check_policy(first, first.shape, "equilibrium")
    return log_space.kl_divergence(
        log_space.log_probabilities(first),
        log_space.log_probabilities(check_policy(policy, first.shape)),
    )
