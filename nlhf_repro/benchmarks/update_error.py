"""Bias and variance of one step's estimate from comparisons, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from nlhf_repro.games import check_game, check_log_policy
from nlhf_repro.interfaces import Array, Game, ImpossibleSettingError

Estimator = Literal["pair", "response", "response_without_baseline", "uniform_pair"]


@dataclass(frozen=True)
class UpdateError:
    """How well comparisons tell the direction g(y) = P(y over pi) - 1/2 of mirror descent at pi.

    Every estimator is the gradient step that a loss takes at pi = pi_t, for one group of responses;
    the KL term is known there and left out. With e_y a unit vector, answers a(y, y') in {0, 1} (or
    P itself), F = diag(pi) - pi pi^T the Fisher matrix of the logits and F^+ its inverse up to a
    constant per game:

      pair                       1/2 (a - 1/2) (e_y - e_y'), y and y' from pi. INPO's regression
                                 (gradient / (4 alpha)), on-policy online IPO's, and SPPO's with
                                 K = 1 where both responses are trained on (gradient / (2 alpha)).
                                 One comparison.
      response                   (w - 1/2) (e_y - pi), y from pi, w the mean answer against m =
                                 `opponents` responses of pi: direct policy gradient, SPPO's point
                                 loss on one response. m comparisons.
      response_without_baseline  w (e_y - pi): the same without subtracting 1/2.
      uniform_pair               (n / 2) (w - w') (e_y - e_y'), y and y' uniform over n actions,
                                 both against the same m responses of pi: OMD in the form of the
                                 EGPO simulations. 2 m comparisons.

    What is fair: the first three have the mean F g, the policy gradient, and the last has the mean
    g up to a constant, so that equal learning rates are not equal steps. All are therefore made to
    estimate the natural-gradient step g itself (F^+ for the first three), and lengths are measured
    by |d|^2 = d^T F d, which ignores the constant that logits do not have, does not change with the
    parametrization, and is twice the KL divergence that a small error d moves the policy.
    Estimators are compared per comparison: the variance is that of one group times its number of
    comparisons, which is what a mean over groups has for an equal number of answers.

    `quantity` bias: |E d - g|; variance: comparisons x E |d - E d|^2; signal: |g|^2 = Var_pi(g), so
    that variance / signal comparisons make the error as long as the step.

    With drawn answers E |d|^2 is (n - 1) / 8 for pair, (n - 1) / 4 for one response and (n - 1) / 2
    + sum g without a baseline (ours): a pair is the mean of `response` over which of the two is
    called first, given the same two responses and answer, so by Rao and Blackwell its variance is
    never larger. What its second response adds is information that costs no comparison.
    """

    estimator: Estimator
    opponents: int
    labels: Literal["probability", "bernoulli"]
    quantity: Literal["bias", "variance", "signal"]
    floor: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.opponents < 1:
            raise ImpossibleSettingError(
                f"benchmark.update_error.opponents = {self.opponents} asks nothing: give at least "
                "1."
            )
        if self.estimator == "pair" and self.opponents != 1:
            raise ImpossibleSettingError(
                f"benchmark.update_error.opponents = {self.opponents} has no meaning for a pair, "
                "whose responses meet each other: set it to 1."
            )

    @property
    def comparisons(self) -> int:
        """Comparisons of one group."""
        return 2 * self.opponents if self.estimator == "uniform_pair" else self.opponents

    def score(self, game: Game, log_policy: Array) -> Array:
        """[points, games, actions] to [points, games]."""
        check_game(game)
        policy = np.exp(check_log_policy(log_policy, game))
        preferences = game.preference_matrix
        direction = np.einsum("gij,pgj->pgi", preferences, policy) - 0.5
        if self.quantity == "signal":
            return squared_length(direction, policy)
        mean, second = self.moments(preferences, policy)
        if self.quantity == "bias":
            return np.sqrt(squared_length(mean - direction, policy))
        return self.comparisons * (second - squared_length(mean, policy))

    def moments(self, preferences: Array, policy: Array) -> tuple[Array, Array]:
        """E d [points, games, actions], up to a constant a game, and E |d|^2 [points, games]."""
        rates = np.einsum("gij,pgj->pgi", preferences, policy)
        # E answer^2 is P for drawn answers.
        squares = preferences if self.labels == "bernoulli" else preferences**2
        if self.estimator == "pair":
            return _pair(preferences, squares, policy)
        if self.estimator == "uniform_pair":
            return _uniform_pair(preferences, squares, policy, self.opponents)
        baseline = 0.5 if self.estimator == "response" else 0.0
        within = np.einsum("gij,pgj->pgi", squares, policy) - rates**2
        second = (rates - baseline) ** 2 + within / self.opponents
        # |F^+ (e_y - pi)|^2 = 1 / pi(y) - 1.
        return rates - baseline, ((1 - policy) * second).sum(axis=-1)


def squared_length(step: Array, policy: Array) -> Array:
    """d^T F d, the variance of d(y) for y from the policy: [..., actions] to [...]."""
    mean = (policy * step).sum(axis=-1, keepdims=True)
    return np.asarray((policy * (step - mean) ** 2).sum(axis=-1))


def _pair(preferences: Array, squares: Array, policy: Array) -> tuple[Array, Array]:
    """Of d = 1/2 (a - 1/2) (e_y / pi(y) - e_y' / pi(y')), 0 where y = y'."""
    mean = np.einsum("gij,pgj->pgi", preferences - 0.5, policy)
    squared_margin = squares - preferences + 0.25
    others = squared_margin * (1 - np.eye(policy.shape[-1]))
    # pi pi' (1 / pi + 1 / pi') = pi' + pi, and the two halves of the sum are equal.
    return mean, 0.25 * 2 * np.einsum("gij,pgj->pg", others, policy)


def _uniform_pair(
    preferences: Array, squares: Array, policy: Array, opponents: int
) -> tuple[Array, Array]:
    """Of d = (n / 2) (w - w') (e_y - e_y') for uniform y, y' and shared opponents."""
    actions = policy.shape[-1]
    rates = np.einsum("gij,pgj->pgi", preferences, policy)
    gap = rates[..., :, None] - rates[..., None, :]
    # Answers to y and y' are drawn apart, against the same opponent.
    answer_noise = np.einsum("gij,pgj->pgi", squares - preferences**2, policy)
    products = np.einsum("gik,gjk,pgk->pgij", preferences, preferences, policy)
    own = np.einsum("gij,pgj->pgi", preferences**2, policy)
    same_opponent = own[..., :, None] + own[..., None, :] - 2 * products
    noise = answer_noise[..., :, None] + answer_noise[..., None, :]
    second = gap**2 + (same_opponent - gap**2 + noise) / opponents
    # |e_y - e_y'|^2 = pi(y) + pi(y') - (pi(y) - pi(y'))^2, which is 0 only with y = y'.
    first, other = policy[..., :, None], policy[..., None, :]
    length = (first + other - (first - other) ** 2) * (1 - np.eye(actions))
    return rates - rates.mean(axis=-1, keepdims=True), 0.25 * (length * second).sum(axis=(-2, -1))
