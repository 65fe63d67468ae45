"""Offline methods and their iterated kin: identities, closed forms, minimisers, departures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import random_game
from laboratory import algorithm, at, bradley_terry_game, inpo, run, sppo, trained
from scipy.optimize import minimize
from scipy.special import softmax

from nlhf_repro.interfaces import Game, ImpossibleSettingError
from nlhf_repro.losses import MarginLogisticPair, RewardLogisticPair, SmoothedLogisticPair
from nlhf_repro.pipeline.settings import offline_group

OFFLINE = ["ipo", "dpo", "simpo"]


def distance(one, other):
    """Total variation, the largest over games."""
    return 0.5 * np.abs(one - other).sum(axis=-1).max()


# --- Offline methods ---


@pytest.mark.parametrize(("tau", "value"), [(0.1, 0.993307), (0.5, 0.731059), (1.0, 0.622459)])
def test_ipo_on_two_actions(tau, value):
    """Azar et al.: y1 always preferred and a uniform reference give sigmoid(0.5 / tau)."""
    game = Game(np.array([[[0.5, 1.0], [0.0, 0.5]]]), np.log(np.full((1, 2), 0.5)))
    found = run(algorithm("ipo", regularization=tau), game, 1).policy[0, 0]
    assert found == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("ipo", {}),
        ("dpo", {}),
        ("dpo", {"label_smoothing": 0.1}),
        ("simpo", {}),
        ("simpo", {"inverse_temperature": 0.7, "target_margin": 0.0}),
    ],
)
def test_offline_updates_are_the_minimisers_of_their_losses(name, changes):
    """Against a general-purpose optimiser of the loss written out by hand."""
    method, game = algorithm(name, **changes), random_game(81, 1, 4)
    matrix, log_reference = game.preference_matrix[0], game.log_reference[0]
    weight = np.exp(log_reference[:, None] + log_reference[None, :]) * matrix

    def loss(theta):
        values = theta if name == "simpo" else theta - log_reference
        gap = values[:, None] - values[None, :]
        if name == "ipo":
            each = (gap - 0.5 / method.regularization) ** 2
        elif name == "dpo":
            scaled, smoothing = method.regularization * gap, method.label_smoothing
            each = (1 - smoothing) * np.logaddexp(0, -scaled) + smoothing * np.logaddexp(0, scaled)
        else:
            each = np.logaddexp(0, method.target_margin - method.inverse_temperature * gap)
        return (weight * each).sum() + theta.mean() ** 2

    found = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9})
    exact = run(method, game, 1).policy[0]
    np.testing.assert_allclose(softmax(found.x), exact, atol=1e-6)


@pytest.mark.parametrize("name", OFFLINE)
def test_offline_updates_do_not_depend_on_the_policy(name):
    game, method = random_game(82, 3, 4), algorithm(name)
    other = at(np.random.default_rng(0).standard_normal((3, 4)))
    moved = method.exact_update(other, game).policy
    np.testing.assert_allclose(moved, run(method, game, 1).policy, atol=1e-13)


@pytest.mark.parametrize("name", OFFLINE)
@pytest.mark.parametrize("labels", ["bernoulli", "probability"])
def test_offline_methods_pay_for_their_data_once(name, labels):
    method, game = algorithm(name, labels=labels), random_game(83, 2, 5)
    found = trained(method, game, budget=7, iterations=4)
    assert found.updates[-1] == 4
    ledger = found.ledger
    assert ledger.comparisons == 7 and ledger.responses == 14
    assert ledger.gradient_steps == 4 * method.gradient_steps
    with pytest.raises(ImpossibleSettingError, match="does not pay for one iteration of 7"):
        trained(method, game, budget=6)


@pytest.mark.parametrize("name", [*OFFLINE, "rlhf"])
def test_a_budget_is_the_size_of_an_offline_data_set(name):
    """Half of the groups would leave half of it unasked, and nothing would end training."""
    method, game = algorithm(name), random_game(83, 2, 5)
    with pytest.raises(ImpossibleSettingError, match="set it to 16, and training"):
        trained(method, game, budget=16, groups_per_iteration=8)
    found = trained(method, game, budget=16, groups_per_iteration=16, iterations=2)
    assert found.ledger.comparisons == 16
    assert trained(method, game, groups_per_iteration=8, iterations=1).ledger.comparisons == 8


def test_an_algorithm_that_collects_now_and_then_is_not_offline():
    class Periodic:
        def phases(self, iteration):
            method = algorithm("ipo")
            return method.phases(0) if iteration % 3 == 0 else method.phases(1)

    assert offline_group(algorithm("ipo")) == 1
    assert offline_group(Periodic()) is None
    assert offline_group(algorithm("inpo")) is None
    assert offline_group(algorithm("rlhf", reward="oracle")) is None


def test_training_offline_goes_on_where_it_stopped():
    """Two iterations of 30 Adam steps on one data set are one of 60."""
    game = random_game(84, 2, 4)
    short = trained(algorithm("ipo", gradient_steps=30), game, iterations=2, optimizer="adam")
    long = trained(algorithm("ipo", gradient_steps=60), game, iterations=1, optimizer="adam")
    np.testing.assert_allclose(short.last[-1], long.last[-1], atol=1e-13)


def test_dpo_on_bradley_terry_preferences_is_the_closed_form():
    game = bradley_terry_game()
    found = run(algorithm("dpo"), game, 1).policy
    expected = softmax(game.log_reference + game.scores / 0.5, axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-11)
    smoothed = run(algorithm("dpo", label_smoothing=0.2), game, 1).policy
    assert distance(smoothed, expected) > 0.01
    assert algorithm("dpo", label_smoothing=0.2).fixed_point == "population_minimiser"


def test_without_margin_simpo_is_dpo_less_its_reference():
    game = random_game(85, 3, 4)
    simpo = run(algorithm("simpo", inverse_temperature=0.5, target_margin=0.0), game, 1).log_policy
    dpo = run(algorithm("dpo", regularization=0.5), game, 1).log_policy - game.log_reference
    np.testing.assert_allclose(softmax(simpo, -1), softmax(dpo, -1), atol=1e-12)


# --- Iterated methods ---


def test_iterative_ipo_is_multiplicative_weights_or_best_responses():
    game = random_game(86, 3, 5)
    weights = run(algorithm("iterative_ipo"), game, 20).policy
    np.testing.assert_allclose(weights, run(sppo(0.3), game, 20).policy, atol=1e-14)
    method = algorithm("iterative_ipo", anchor="reference", regularization=0.4, step_size=2.5)
    assert (method.fixed_point, method.tie.kind) == ("regularized_nash", "minimiser")
    theta = game.log_reference
    for _ in range(20):
        reward = np.einsum("gij,gj->gi", game.preference_matrix, softmax(theta, axis=-1))
        theta = game.log_reference + reward / 0.4
    np.testing.assert_allclose(run(method, game, 20).policy, softmax(theta, -1), atol=1e-14)
    first = run(algorithm("ipo", regularization=0.4), game, 1).policy
    np.testing.assert_allclose(run(method, game, 1).policy, first, atol=1e-15)


def test_rebel_with_preferences_is_inpo_without_regularization():
    game = random_game(87, 3, 5)
    method = algorithm("rebel", labels="probability")
    np.testing.assert_allclose(
        run(method, game, 20).policy, run(inpo(0.3, 0.0), game, 20).policy, atol=1e-14
    )
    rebel, other = (
        trained(algorithm(name, gradient_steps=9, **changes), game)
        for name, changes in (("rebel", {}), ("inpo", {"regularization": 0.0}))
    )
    assert rebel.last.tobytes() == other.last.tobytes()


def test_rebel_with_scores_tilts_by_the_reward():
    game = bradley_terry_game()
    method = algorithm("rebel", labels="score")
    expected = softmax(game.log_reference + 5 * 0.3 * game.scores, axis=-1)
    np.testing.assert_allclose(run(method, game, 5).policy, expected, atol=1e-14)
    solved = replace(method, gradient_steps=None)
    found = trained(solved, game, face="expected", iterations=5)
    np.testing.assert_allclose(np.exp(found.last[-1]), expected, atol=3e-6)
    assert trained(method, game).ledger.scores == 3 * 7 * 2


def test_dno_prct_is_iterative_dpo_on_best_and_worst_of_the_previous_policy():
    game = random_game(88, 2, 4)
    same = algorithm(
        "iterative_dpo", regularization=2.0, responses=5, design="best_worst", anchor="previous"
    )
    found = trained(algorithm("dno_prct"), game)
    assert found.last.tobytes() == trained(same, game).last.tobytes()


def test_scores_always_prefer_the_better_so_that_no_optimum_is_finite():
    game = bradley_terry_game()
    changes = {"design": "best_worst", "labels": "score", "responses": 4}
    method = algorithm("iterative_dpo", **changes)
    assert method.tie.kind == "none" and method.fixed_point == "none"
    with pytest.raises(ImpossibleSettingError, match="one-sided"):
        trained(method, game, face="exact")
    with pytest.raises(Exception, match="lies at infinity"):
        algorithm("iterative_dpo", gradient_steps=None, **changes)
    with pytest.raises(ImpossibleSettingError, match="one-sided"):
        trained(algorithm("dno_prct", labels="probability"), game, face="exact")
    assert np.isfinite(trained(method, game, face="expected").last).all()


# --- Losses by hand ---


@pytest.mark.parametrize(
    "loss",
    [SmoothedLogisticPair(0.7, 0.1), MarginLogisticPair(1.5, 0.4), RewardLogisticPair(2.0)],
)
def test_gradients_of_the_logistic_losses_by_hand(loss):
    rng = np.random.default_rng(9)
    gap, margin = rng.standard_normal(20), rng.uniform(-0.5, 0.5, 20)
    variable = torch.tensor(gap, requires_grad=True)
    loss(variable, torch.from_numpy(margin)).sum().backward()
    beta, sigmoid = loss.inverse_temperature, lambda x: 1 / (1 + np.exp(-x))
    if isinstance(loss, MarginLogisticPair):
        won = -(0.5 + margin) * sigmoid(loss.target_margin - beta * gap)
        lost = (0.5 - margin) * sigmoid(loss.target_margin + beta * gap)
        expected = beta * (won + lost)
    else:
        preferred = (
            0.5 + margin * 0.8 if isinstance(loss, SmoothedLogisticPair) else sigmoid(margin)
        )
        expected = beta * (sigmoid(beta * gap) - preferred)
    np.testing.assert_allclose(variable.grad.numpy(), expected, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("ipo", {"regularization": 0.0}, "must be positive"),
        ("dpo", {"label_smoothing": 0.5}, r"outside \[0, 0.5\)"),
        ("simpo", {"inverse_temperature": 0.0}, "must be positive"),
        ("simpo", {"target_margin": -1.0}, "is negative"),
        ("simpo", {"regularization": 0.1}, "leave it at 0"),
        ("iterative_ipo", {"regularization": 0.1}, "set it to 0"),
        ("iterative_ipo", {"anchor": "reference"}, "1 / algorithm.step_size"),
        ("dno", {"opponents": 0}, "at least 1"),
        ("dno", {"regularization": 0.1}, "leave it at 0"),
        ("dno_prct", {"inverse_temperature": 0.0}, "must be positive"),
        ("rebel", {"step_size": 0.0}, "must be positive"),
        ("online_ipo", {"responses": 3}, "unfiltered takes 2"),
        ("online_ipo", {"opponents": 2}, "belongs to algorithm.form = uniform"),
        ("online_ipo", {"form": "uniform", "design": "all_pairs"}, "form = on_policy"),
        ("nash_md", {"opponents": 0}, "at least 1"),
        ("nash_md_pg", {"opponents": 0}, "at least 1"),
        ("egpo", {"opponents": 0}, "at least 1"),
    ],
)
def test_impossible_settings_are_refused(name, changes, message):
    with pytest.raises(Exception, match=message) as caught:
        algorithm(name, **changes)
    assert isinstance(caught.value.__cause__ or caught.value, ImpossibleSettingError)
