"""Adam against a hand-written one: continued, started afresh, and restored with its policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from conftest import random_game
from laboratory import run_of
from scipy.special import log_softmax, softmax

from nlhf_repro.interfaces import Collect, Fit, Responder, Tie
from nlhf_repro.losses import SquaredPair
from nlhf_repro.updates import reference_state

RATE = 0.05


class HandAdam:
    """Adam as in its paper, one weight vector."""

    def __init__(self):
        self.mean, self.square, self.steps = 0.0, 0.0, 0

    def step(self, weights, gradient):
        self.steps += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        mean = self.mean / (1 - 0.9**self.steps)
        square = self.square / (1 - 0.999**self.steps)
        return weights - RATE * mean / (np.sqrt(square) + 1e-8)

    def copy(self):
        other = HandAdam()
        other.mean, other.square, other.steps = self.mean, self.square, self.steps
        return other


@dataclass(frozen=True)
class Fits:
    """Fits of the expected pair loss, (start, produces) in turn."""

    fits: tuple[tuple[str, str], ...]
    optimizer: str
    regularization: float = 0.5

    fixed_point = "none"
    tie = Tie("none", "for the test")
    preference_evaluations = 1

    def initial_state(self, game):
        return reference_state(game)

    def learning_rate(self, actions, update):
        return None

    def phases(self, iteration):
        yield Collect("pairs", Responder({"reference": 1.0}), 2, "unfiltered", "probability")
        for start, produces in self.fits:
            loss = SquaredPair(2.0)
            yield Fit("pairs", start, produces, {"reference": 1.0}, loss, 1, self.optimizer)


def gradient(game, theta):
    """Of E over reference pairs of (gap of log pi / ref - 2 (P - 1/2))^2."""
    reference = softmax(game.log_reference[0])
    ratio = log_softmax(theta) - game.log_reference[0]
    win = game.preference_matrix[0] @ reference
    return 4 * reference * (ratio - reference @ ratio - 2 * (win - 0.5))


def policy(run, name="current"):
    return run.tabular_policy.frozen_log_policy(run.slots[name]).numpy()[0]


@pytest.mark.parametrize("optimizer", ["continued", "fresh"])
def test_one_policy_trained_on(optimizer):
    game = random_game(51, 1, 4)
    method = Fits((("current", "current"),), optimizer)
    run = run_of(method, game, face="expected", optimizer="adam", learning_rate=RATE)
    theta, adam = game.log_reference[0], HandAdam()
    for _ in range(5):
        run.advance()
        adam = HandAdam() if optimizer == "fresh" else adam
        theta = adam.step(theta, gradient(game, theta))
        np.testing.assert_allclose(policy(run), log_softmax(theta), atol=1e-12)


def test_a_policy_that_is_started_from_twice_is_the_same_both_times():
    """Extragradient and several players load one policy again and again, moments included."""
    game = random_game(52, 1, 4)
    fits = (("current", "one"), ("current", "two"), ("current", "current"))
    run = run_of(
        Fits(fits, "continued"), game, face="expected", optimizer="adam", learning_rate=RATE
    )
    theta, adam = game.log_reference[0], HandAdam()
    for _ in range(5):
        run.advance()
        theta = adam.step(theta, gradient(game, theta))
        for name in ("one", "two", "current"):
            np.testing.assert_allclose(policy(run, name), log_softmax(theta), atol=1e-12)


def test_each_policy_has_moments_of_its_own():
    game = random_game(53, 1, 4)
    fits = (("other", "other"), ("other", "other"), ("current", "current"))
    run = run_of(
        Fits(fits, "continued"), game, face="expected", optimizer="adam", learning_rate=RATE
    )
    weights = dict.fromkeys(("other", "current"), game.log_reference[0])
    moments = {name: HandAdam() for name in weights}
    for _ in range(4):
        run.advance()
        for name, _ in fits:
            weights[name] = moments[name].step(weights[name], gradient(game, weights[name]))
        for name, theta in weights.items():
            np.testing.assert_allclose(policy(run, name), log_softmax(theta), atol=1e-12)
