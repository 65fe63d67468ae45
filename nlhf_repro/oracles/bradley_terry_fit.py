"""A reward fitted to comparisons: what a preference becomes in reinforcement learning from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit

from nlhf_repro.interfaces import (
    Array,
    FeatureOracle,
    ImpossibleSettingError,
    OracleCost,
    PreferenceOracle,
    Prompt,
    TextOracle,
)

_GRADIENT_TOLERANCE = 1e-8


@final
@dataclass(frozen=True)
class BradleyTerryFit:
    """A linear reward of the oracle's features, by logistic maximum likelihood.

    Minimizes the mean log-loss of the answers under P = sigmoid(reward(first) - reward(second))
    plus ridge/2 |weights|^2, the weights of standardized features; the ridge decides what the
    comparisons leave open. `comparisons` are asked before training; `labels` says whether an answer
    is drawn or the probability itself: rows that are compared need the same kind.

    What it cannot say: any cycle. Its preference is a ranking, so that of three responses that beat
    each other in turn one becomes the best, and it prefers with equal strength what one group or
    every group prefers. A policy that maximizes it answers in a single style. What it can say it
    says with the oracle's own features, so that its errors are those of Bradley and Terry's model
    and not of a reward model's training.
    """

    comparisons: int
    ridge: float
    labels: Literal["probability", "bernoulli"] = "bernoulli"

    def __post_init__(self) -> None:
        if self.comparisons < 1:
            raise ImpossibleSettingError(
                f"oracle_wrapper.bradley_terry_fit.comparisons = {self.comparisons} leaves nothing "
                "to fit: give at least 1."
            )
        if not 0 < self.ridge < np.inf:
            raise ImpossibleSettingError(
                f"oracle_wrapper.bradley_terry_fit.ridge = {self.ridge} must be positive and "
                "finite: without it the weights of features that never differ are undetermined."
            )

    def learn(
        self,
        oracle: TextOracle,
        prompts: Sequence[Prompt],
        first: Sequence[str],
        second: Sequence[str],
        answers: Array,
    ) -> FittedReward:
        """The reward fitted to these comparisons; an answer of 1 says that first was preferred.

        Answers between 0 and 1 are shares of the answers.

        Raises:
            ImpossibleSettingError: the oracle has no features.
            ValueError: no answers, another number of them, or one outside of [0, 1].
        """
        if not isinstance(oracle, FeatureOracle):
            raise ImpossibleSettingError(
                f"oracle_wrapper.bradley_terry_fit fits a reward on the features of an oracle, and "
                f"{type(oracle).__name__} has none: take oracle=annotators, or drop the wrapper."
            )
        given = _checked(answers, len(prompts))
        gaps = oracle.features(prompts, first) - oracle.features(prompts, second)
        weights = fit_logistic(gaps, given, self.ridge)
        margins = gaps @ weights
        right = np.where(margins == 0, 0.5, np.where(margins > 0, given, 1 - given))
        return FittedReward(
            oracle,
            weights,
            accuracy=float(right.mean()),
            log_loss=_log_loss(margins, given),
        )

    def wrap(self, oracle: PreferenceOracle) -> PreferenceOracle:
        """Refused: responses of a game have no features.

        Raises:
            ImpossibleSettingError: always.
        """
        raise ImpossibleSettingError(
            "oracle_wrapper.bradley_terry_fit fits a reward on the features of texts, and the "
            "responses of a game have none: take oracle=annotators, or drop the wrapper (algorithm="
            "rlhf fits rewards of games)."
        )


@final
@dataclass(frozen=True)
class FittedReward:
    """reward(y) = <weights, features(y)>; P = sigmoid of the difference of rewards.

    `accuracy` is the share of the training answers that the reward agrees with (a tie counts half),
    `log_loss` their mean negative log-likelihood in nats, without the ridge.
    """

    oracle: FeatureOracle  # asked for features, never for an answer
    weights: Array  # [features]
    accuracy: float
    log_loss: float

    @property
    def cost(self) -> OracleCost:
        """A score a response, and no pass over pairs."""
        return OracleCost(ordered_passes=0, scores=1)

    @property
    def feature_weights(self) -> dict[str, float]:
        """Feature to its weight."""
        return dict(zip(self.oracle.feature_names, self.weights.tolist(), strict=True))

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """Probabilities, [items]; exchanged responses sum to 1 within 1e-15."""
        gaps = self.score(prompts, first) - self.score(prompts, second)
        return np.asarray(0.5 + np.tanh(gaps / 2) / 2)

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """The rewards, [items]."""
        return np.asarray(self.oracle.features(prompts, responses) @ self.weights)


def fit_logistic(gaps: ArrayLike, answers: ArrayLike, ridge: float) -> Array:
    """Weights [features] that minimize mean log-loss of sigmoid(gaps @ weights) and the ridge.

    gaps: [comparisons, features]; answers: [comparisons] in [0, 1]. The ridge is on the weights of
    gaps that are divided by their root mean square; a feature that never differs has weight 0.

    Raises:
        RuntimeError: the minimum was not found.
    """
    x, y = np.asarray(gaps, dtype=np.float64), np.asarray(answers, dtype=np.float64)
    scale = np.sqrt((x**2).mean(axis=0))
    z = x / np.where(scale > 0, scale, 1.0)

    def objective(weights: Array) -> tuple[float, Array]:
        margins = z @ weights
        value = _log_loss(margins, y) + ridge / 2 * float(weights @ weights)
        return value, z.T @ (expit(margins) - y) / len(y) + ridge * weights

    def curvature(weights: Array) -> Array:
        spread = expit(z @ weights) * expit(-z @ weights)
        return np.asarray((z * spread[:, None]).T @ z / len(y) + ridge * np.eye(z.shape[1]))

    found = minimize(
        objective,
        np.zeros(z.shape[1]),
        jac=True,
        hess=curvature,
        method="trust-exact",
        options={"gtol": _GRADIENT_TOLERANCE},
    )
    slope = float(np.abs(objective(found.x)[1]).max())
    if not slope <= 100 * _GRADIENT_TOLERANCE:
        raise RuntimeError(
            f"the fit of {len(y)} comparisons stopped with a gradient of {slope:.1e}: raise the "
            "ridge."
        )
    return np.asarray(found.x / np.where(scale > 0, scale, np.inf))


def _checked(answers: ArrayLike, comparisons: int) -> Array:
    given = np.asarray(answers, dtype=np.float64)
    if given.shape != (comparisons,) or not comparisons:
        raise ValueError(
            f"{comparisons} comparisons have answers of shape {given.shape}: give one each, and "
            "one comparison at least."
        )
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError("an answer is no number from 0 to 1: give 1 where first was preferred.")
    return given


def _log_loss(margins: Array, answers: Array) -> float:
    return float(np.mean(np.logaddexp(0.0, margins) - answers * margins))
