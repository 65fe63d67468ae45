"""The population updates that the algorithms share: pure functions on batches of games.

Every step returns logits, defined up to a constant per game, with their softmax. `reward` is P @
opponent, the win rate of every action against the opponent policy.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from nlhf_repro.interfaces import Array, ExactState, Game, ImpossibleSettingError

StepSize = float | Literal["harmonic"]


def softmax(logits: Array) -> tuple[Array, Array]:
    """Logits shifted to a maximum of 0 and exp(logits) / sum, each [games, actions]."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    policy = np.exp(shifted)
    policy /= policy.sum(axis=-1, keepdims=True)
    return shifted, policy


def win_rates(game: Game, opponent: Array) -> Array:
    """(P opponent)(y) = P(y preferred over opponent), [games, actions]."""
    rates: Array = np.matmul(game.preference_matrix, opponent[..., None])[..., 0]
    return rates


def independent_wins(game: Game, policy: Array) -> Array:
    """pi(w) pi(l) P(w > l), the law of preferred pairs of two independent draws."""
    return policy[..., :, None] * policy[..., None, :] * game.preference_matrix


def game_scores(game: Game) -> Array:
    """The Bradley-Terry scores; ImpossibleSettingError where no reward explains preferences."""
    if game.scores is None:
        raise ImpossibleSettingError(
            "the algorithm asks for scores, and no reward explains these preferences: take "
            "oracle=bradley_terry, or labels probability or bernoulli."
        )
    return game.scores


def reference_state(game: Game) -> ExactState:
    """The state that starts at the reference policy and remembers nothing."""
    return ExactState(*softmax(game.log_reference))


def effective_step(step_size: StepSize, regularization: float, update: int) -> float:
    """alpha_t: the constant, or for `harmonic` 2 / (tau (t + 2)) with t = `update`.

    The harmonic schedule is the one of Theorem 1 of Nash-MD (arXiv:2312.00886) and of Theorem 4 of
    INPO (arXiv:2407.00617, eta_t = tau (t + 2) / 2).
    """
    return 2.0 / (regularization * (update + 2)) if step_size == "harmonic" else step_size


def check_step(name: str, step_size: StepSize, regularization: float) -> None:
    """Raise ImpossibleSettingError where a step or a KL weight of `name` has no meaning."""
    if regularization < 0:
        raise ImpossibleSettingError(
            f"algorithm.regularization = {regularization} of {name} is negative: raise it to 0."
        )
    if step_size == "harmonic":
        if regularization == 0:
            raise ImpossibleSettingError(
                f"algorithm.step_size = harmonic of {name} divides by a regularization of 0: "
                "set a positive algorithm.regularization or a constant step_size."
            )
        return
    if step_size <= 0:
        raise ImpossibleSettingError(
            f"algorithm.step_size = {step_size} of {name} must be positive: set it above 0."
        )
    pull = step_size * regularization
    if pull > 1:
        raise ImpossibleSettingError(
            f"algorithm.step_size * algorithm.regularization = {pull:g} of {name} exceeds 1, "
            "where the reference's weight would pass 1: lower one of them."
        )


def check_mixture_weight(name: str, mixture_weight: float) -> None:
    """Raise ImpossibleSettingError where the reference's share of a mixture of `name` is none."""
    if not 0 <= mixture_weight <= 1:
        raise ImpossibleSettingError(
            f"algorithm.mixture_weight = {mixture_weight} of {name} is outside [0, 1]: set it "
            "inside."
        )


def require_regularization(name: str, regularization: float, why: str) -> None:
    """Raise ImpossibleSettingError where algorithm `name` divides by a regularization of 0."""
    if regularization <= 0:
        raise ImpossibleSettingError(
            f"algorithm.regularization = {regularization} of {name} must be positive: {why}."
        )


def mirror_step(
    log_policy: Array, reward: Array, log_reference: Array, step: float, regularization: float
) -> tuple[Array, Array]:
    """theta+ = (1 - alpha tau) theta + alpha tau log ref + alpha reward, and its softmax.

    Online mirror descent with the entropy: argmax_pi <reward, pi> - tau KL(pi, ref) linearized at
    theta, minus KL(pi, pi_t) / alpha (INPO, arXiv:2407.00617, Eq. 5 with alpha = 1 / eta).
    """
    pull = step * regularization
    logits = (1.0 - pull) * log_policy
    logits += step * reward
    if pull:
        logits += pull * log_reference
    return softmax(logits)


def policy_gradient_step(
    state: ExactState, reward: Array, log_reference: Array, rate: float, regularization: float
) -> tuple[Array, Array]:
    """theta+ = theta + rate * pi (A - pi.A), A = reward - tau (log pi - log ref); its softmax.

    The gradient, in the logits of a softmax policy, of E_pi[reward] - tau KL(pi, ref) with the
    opponent held fixed. Constants in A, the normalizer of log pi among them, cancel.
    """
    advantage = reward - regularization * (state.log_policy - log_reference)
    mean = (state.policy * advantage).sum(axis=-1, keepdims=True)
    return softmax(state.log_policy + rate * state.policy * (advantage - mean))


def geometric_mixture(log_policy: Array, log_reference: Array, mixture_weight: float) -> Array:
    """Probabilities of pi^(1 - w) ref^w, normalized; w is the reference's share."""
    return softmax((1.0 - mixture_weight) * log_policy + mixture_weight * log_reference)[1]
