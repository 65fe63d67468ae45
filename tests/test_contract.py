"""The phase contract carries harder algorithms: each is written here as a user would write it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from conftest import random_game
from laboratory import streams
from scipy.special import log_softmax, softmax

from nlhf_repro.algorithms.inpo import INPO
from nlhf_repro.interfaces import (
    Advance,
    Algorithm,
    Collect,
    Fit,
    ImpossibleSettingError,
    Responder,
    Tie,
    TrainingSettings,
)
from nlhf_repro.losses import PolicyGradient, SquaredPair
from nlhf_repro.models.tabular_softmax import TabularSoftmax
from nlhf_repro.pipeline.training import train
from nlhf_repro.updates import mirror_step, reference_state, win_rates

CURRENT = Responder({"current": 1.0})


@dataclass(frozen=True)
class UserAlgorithm:
    """What the examples below share; a user's class would spell it out."""

    step_size: float = 0.5
    regularization: float = 0.0

    fixed_point = "none"
    tie = Tie("minimiser")
    preference_evaluations = 1

    def initial_state(self, game):
        return reference_state(game)

    def exact_update(self, state, game):
        raise NotImplementedError("these examples are run through their phases")

    def learning_rate(self, actions, update):
        return None


def expected_path(method, game, iterations, rate=0.1):
    settings = TrainingSettings("expected", iterations, iterations, False, 1, None, "sgd", rate)
    return train(method, TabularSoftmax(), game, (), settings, None, streams(0)).last


def rates(game, log_policy):
    return win_rates(game, softmax(log_policy, axis=-1))


def close(log_policies, expected):
    np.testing.assert_allclose(np.exp(log_policies), softmax(expected, axis=-1), atol=3e-6, rtol=0)


@dataclass(frozen=True)
class ONPO(UserAlgorithm):
    """Two regressions on the same data (arXiv:2502.16852)."""

    def phases(self, iteration):
        yield Collect("pairs", CURRENT, 2, "unfiltered", "probability")
        loss = SquaredPair(self.step_size)
        yield Fit("pairs", "base", "base", {"base": 1.0}, loss, None, "fresh")
        yield Fit("pairs", "base", "current", {"base": 1.0}, loss, None, "fresh")


def test_onpo_is_optimistic_multiplicative_weights():
    game, alpha = random_game(41, 2, 4), 0.5
    found = expected_path(ONPO(alpha), game, 4)
    theta, previous = game.log_reference, 0.0
    for update in range(1, 5):
        reward = rates(game, theta)
        theta, previous = theta + alpha * (2 * reward - previous), reward
        close(found[update], theta)


@dataclass(frozen=True)
class COMAL(UserAlgorithm):
    """INPO whose reference moves to the current policy every `period` iterations (2410.23223)."""

    period: int = 2

    def phases(self, iteration):
        inner = INPO(self.step_size, self.regularization, 2, "unfiltered", "probability", None)
        yield from inner.phases(iteration)
        if (iteration + 1) % self.period == 0:
            yield Advance("reference", "current")


def test_comal_moves_its_reference_and_with_period_one_is_multiplicative_weights():
    game, alpha, tau = random_game(42, 2, 4), 0.5, 0.4
    for period in (1, 2):
        found = expected_path(COMAL(alpha, tau, period), game, 4)
        theta = anchor = game.log_reference
        weights = game.log_reference
        for update in range(1, 5):
            theta = mirror_step(theta, rates(game, theta), anchor, alpha, tau)[0]
            weights = mirror_step(weights, rates(game, weights), weights, alpha, 0.0)[0]
            if update % period == 0:
                anchor = theta
            close(found[update], theta)
            if period == 1:
                close(found[update], weights)


@dataclass(frozen=True)
class MNPO(UserAlgorithm):
    """Three players, each anchored at the others and playing against them (2509.23102, Eq. 10)."""

    players: tuple[str, ...] = ("current", "second", "third")

    def phases(self, iteration):
        for player in self.players:
            others = [other for other in self.players if other != player]
            opponents = tuple(Responder({other: 1.0}) for other in others)
            yield Collect(
                "pairs", CURRENT, 2, "against", "probability", opponent=opponents, opponents=1
            )
            anchors = {other: 1.0 / len(others) for other in others}
            loss = SquaredPair(self.step_size)
            yield Fit("pairs", player, f"next_{player}", anchors, loss, None, "fresh")
        for player in self.players:
            yield Advance(player, f"next_{player}")


def test_mnpo_from_identical_starts_is_multiplicative_weights():
    game, alpha = random_game(43, 2, 4), 0.5
    found, theta = expected_path(MNPO(alpha), game, 3), game.log_reference
    for update in range(1, 4):
        theta = theta + alpha * rates(game, theta)
        close(found[update], theta)


@dataclass(frozen=True)
class History(UserAlgorithm):
    """Anchors at the reference and at two past policies (TD-MNPO, Eq. 17)."""

    weights: tuple[float, float] = (0.5, 0.5)

    def phases(self, iteration):
        yield Collect("pairs", CURRENT, 2, "unfiltered", "probability")
        pull = self.step_size * self.regularization
        anchors = {
            "reference": pull,
            "current": (1 - pull) * self.weights[0],
            "previous": (1 - pull) * self.weights[1],
        }
        loss = SquaredPair(self.step_size)
        yield Fit("pairs", "current", "next", anchors, loss, None, "fresh")
        yield Advance("previous", "current")
        yield Advance("current", "next")


def test_time_dependent_anchors_follow_their_recursion():
    game, alpha, tau = random_game(44, 2, 4), 0.5, 0.4
    for weights in ((0.5, 0.5), (1.0, 0.0)):
        found = expected_path(History(alpha, tau, weights), game, 4)
        theta = previous = game.log_reference
        for update in range(1, 5):
            mean = weights[0] * log_softmax(theta, -1) + weights[1] * log_softmax(previous, -1)
            new = mirror_step(mean, rates(game, theta), game.log_reference, alpha, tau)[0]
            theta, previous = new, theta
            close(found[update], theta)


@dataclass(frozen=True)
class NashEMA(UserAlgorithm):
    """Policy gradient against an exponential moving average of the weights (2312.00886)."""

    share: float = 0.25

    def phases(self, iteration):
        opponent = (Responder({"average": 1.0}),)
        yield Collect(
            "points", CURRENT, 1, "against", "probability", opponent=opponent, opponents=1
        )
        loss = PolicyGradient(self.regularization, 0.5)
        yield Fit("points", "current", "current", {"reference": 1.0}, loss, 1, "continued")
        yield Advance("average", "current", share=self.share)


def test_nash_ema_plays_against_the_average_of_the_weights():
    game, tau, rate = random_game(45, 2, 4), 0.3, 0.7
    found = expected_path(NashEMA(0.5, tau), game, 4, rate=rate)
    theta = average = game.log_reference
    for update in range(1, 5):
        policy = softmax(theta, axis=-1)
        ratio = log_softmax(theta, axis=-1) - game.log_reference
        value = rates(game, average) - tau * ratio
        theta = theta + rate * policy * (value - (policy * value).sum(-1, keepdims=True))
        average = 0.75 * average + 0.25 * theta
        np.testing.assert_allclose(np.exp(found[update]), softmax(theta, -1), atol=1e-13)


@dataclass(frozen=True)
class Reinforce(UserAlgorithm):
    """Policy gradient on a Bradley-Terry reward with a KL penalty (RLHF)."""

    def phases(self, iteration):
        yield Collect("points", CURRENT, 4, "win_rate", "score")
        loss = PolicyGradient(self.regularization, 0.0)
        yield Fit("points", "current", "current", {"reference": 1.0}, loss, 1, "continued")


@dataclass(frozen=True)
class REBEL(UserAlgorithm):
    """Regression of log-ratio gaps on differences of reward, anchored at pi_t."""

    steps: int | None = None

    def phases(self, iteration):
        yield Collect("pairs", CURRENT, 2, "unfiltered", "score")
        loss = SquaredPair(self.step_size)
        yield Fit("pairs", "current", "current", {"current": 1.0}, loss, self.steps, "fresh")


def test_algorithms_on_scores():
    scores = np.random.default_rng(0).standard_normal((2, 4))
    game = replace(random_game(46, 2, 4), scores=scores)
    close(expected_path(REBEL(0.5), game, 3)[3], game.log_reference + 3 * 0.5 * scores)
    found = expected_path(Reinforce(0.5, 0.8), game, 4000, rate=1.0)[-1]
    close(found, game.log_reference + scores / 0.8)
    settings = TrainingSettings("sampled", 2, 2, False, 5, None, "sgd", 0.1)
    for method, responses in ((Reinforce(0.5, 0.8), 4), (REBEL(0.1, steps=3), 2)):
        sampled = train(method, TabularSoftmax(), game, (), settings, None, streams(0))
        assert sampled.ledger.scores == sampled.ledger.responses == 2 * 5 * responses
        assert sampled.ledger.comparisons == 0


def test_user_algorithms_are_algorithms():
    for kind in (ONPO, COMAL, MNPO, History, NashEMA, Reinforce, REBEL):
        assert isinstance(kind(), Algorithm)


@pytest.mark.parametrize(
    "phase",
    [
        Collect("x", CURRENT, 2, "against", "probability"),
        Collect("x", CURRENT, 8, "tournament", "score"),
        Collect("x", CURRENT, 2, "unfiltered", "none"),
    ],
)
def test_impossible_phases_are_refused(phase):
    @dataclass(frozen=True)
    class Wrong(UserAlgorithm):
        def phases(self, iteration):
            yield phase

    for face in ("sampled", "expected"):
        settings = TrainingSettings(face, 1, 1, False, 1, None, "sgd", 0.1)
        with pytest.raises(ImpossibleSettingError):
            train(Wrong(), TabularSoftmax(), random_game(0, 1, 3), (), settings, None, streams(0))
