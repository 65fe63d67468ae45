"""Preference games for policies given as normalized log-probabilities; nothing is checked.

Log-probabilities keep what probabilities lose: an action of probability e^-800 still has a
log-ratio. Arrays are [..., actions] for policies, [..., actions, actions] for games, and broadcast
on the left, so that a trajectory [points, games, actions] meets a batch [games, actions, actions].

Everything is written in margins M = (P - P^T) / 2, which is P - 1/2 wherever P + P^T = 1, and
exactly skew-symmetric in floating point.
"""

from __future__ import annotations

import numpy as np

from nlhf_repro.interfaces import Array

_SERIES_BELOW = 0.1
# e^-d - 1 + d = d^2 (1/2! - d/3! + d^2/4! - ...): ten terms leave 1e-17 of the sum at d = 0.1.
_SERIES = [(-1.0) ** k / float(np.prod(np.arange(1, k + 3))) for k in range(10)]


def log_normalize(logits: Array) -> Array:
    """Logits less their log-sum-exp: the log-probabilities of their softmax."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def log_probabilities(policy: Array) -> Array:
    """The logarithm, -inf where the probability is 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(policy))


def margins(preference_matrix: Array) -> Array:
    """(P - P^T) / 2: the preference above 1/2, skew-symmetric."""
    return np.asarray((preference_matrix - np.swapaxes(preference_matrix, -1, -2)) / 2)


def advantage(margin_matrix: Array, policy: Array) -> Array:
    """P(y over policy) - 1/2 for every action y, in [-1/2, 1/2]; the policy as probabilities."""
    return np.asarray((margin_matrix @ policy[..., None])[..., 0])


def kl_divergence(log_first: Array, log_second: Array) -> Array:
    """KL(first || second) >= 0 in nats; inf where second lacks support that first has.

    With d = log first - log second, KL = sum_y first(y) (e^-d - 1 + d), since both sum to 1: every
    term is nonnegative, so that nothing cancels and a divergence of 1e-28 still has its digits. An
    error of size e in the normalization of either argument enters as e^2.
    """
    first, second = np.exp(log_first), np.exp(log_second)
    never = first == 0
    ratio = np.where(never, 0.0, log_first) - np.where(never, 0.0, log_second)
    near = np.where(np.abs(ratio) < _SERIES_BELOW, ratio, 0.0)
    series = first * near**2 * np.polynomial.polynomial.polyval(near, _SERIES)
    direct = second - first + np.where(never, 0.0, first * ratio)
    terms = np.where((np.abs(ratio) < _SERIES_BELOW) & ~never, series, direct)
    return np.asarray(terms.sum(axis=-1))


def duality_gap(preference_matrix: Array, log_policy: Array) -> Array:
    """2 (max_y P(y over policy) - 1/2), at least 0: the same as `games.duality_gap`."""
    best = advantage(margins(preference_matrix), np.exp(log_policy)).max(axis=-1)
    return np.asarray(2 * np.maximum(best, 0.0))


def regularized_best_response(
    preference_matrix: Array, log_policy: Array, log_reference: Array, regularization: float
) -> Array:
    """Log softmax(log reference + P policy / tau): as `games.regularized_best_response`."""
    gain = advantage(margins(preference_matrix), np.exp(log_policy))
    return log_normalize(log_reference + gain / regularization)


def regularized_duality_gap(
    preference_matrix: Array, log_policy: Array, log_reference: Array, regularization: float
) -> Array:
    """2 tau KL(policy || regularized best response): as `games.regularized_duality_gap`."""
    response = regularized_best_response(
        preference_matrix, log_policy, log_reference, regularization
    )
    return 2 * regularization * kl_divergence(log_policy, response)
