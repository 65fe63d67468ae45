"""Noise, minibatches, records and refusals of training."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from conftest import random_game
from laboratory import algorithm, run_of, trained
from scipy.special import log_softmax, softmax

from nlhf_repro import games
from nlhf_repro.interfaces import (
    ImpossibleSettingError,
)
from nlhf_repro.models.tabular_mlp import TabularMLP
from nlhf_repro.models.tabular_softmax import TabularSoftmax
from nlhf_repro.models.token_tree import TokenTree
from nlhf_repro.oracles.noisy import Noisy
from nlhf_repro.pipeline.fitting import objective
from nlhf_repro.pipeline.training import recorded_updates


def test_flips_change_the_target_as_derived():
    """P' = (1 - 2 e) P + e moves the regularized Nash of tau to that of tau / (1 - 2 e)."""
    game, rate, tau = random_game(28, 3, 4), 0.2, 0.3
    method = algorithm("egpo", step_size=1.0, regularization=tau)
    found = trained(method, game, wrappers=(Noisy(rate),), face="exact", iterations=400)
    expected = games.regularized_nash_equilibrium(
        game.preference_matrix, np.exp(game.log_reference), tau / (1 - 2 * rate)
    )
    np.testing.assert_allclose(np.exp(found.last[-1]), expected, atol=1e-11)


def test_minibatches_visit_every_item_once_a_pass():
    method, game = algorithm("inpo", gradient_steps=3), random_game(31, 2, 4)
    run = run_of(method, game, minibatch_size=3)
    seen = []
    collect, fit = method.phases(0)
    data = run.collector.collect(collect, run.slots)
    loss = objective(run.tabular_policy, fit, data, run.slots, run.collector.prompts(data))

    class Spy:
        prompts = loss.prompts

        def __call__(self, items):
            seen.append(items)
            return loss(items)

    run.trainer.fit(fit, run.slots["current"], Spy(), 0.01)
    for problem in range(2):
        items = torch.cat([batch[problem] for batch in seen])
        assert sorted(items.tolist()) == list(range(7))


def test_sampling_follows_the_mixture():
    game = random_game(32, 2, 4)
    policy = TabularSoftmax().build(game, np.random.default_rng(0))
    snapshot = policy.snapshot({})
    other = replace(snapshot, parameters={"logits": snapshot.parameters["logits"] * -0.5})
    prompts = torch.arange(2)[:, None].expand(-1, 100_000)
    for temperature in (1.0, 2.0, float("inf")):
        mixture = [(snapshot, 0.7), (other, 0.3)]
        drawn = policy.sample(mixture, temperature, prompts, 2, np.random.default_rng(1))
        assert drawn.shape == (2, 100_000, 2)
        expected = softmax((0.7 - 0.15) * game.log_reference / temperature, axis=-1)
        for problem in range(2):
            counts = np.bincount(drawn[problem].flatten(), minlength=4)
            error = np.sqrt(expected[problem] * (1 - expected[problem]) / 200_000)
            assert (np.abs(counts / 200_000 - expected[problem]) < 5 * error).all()


def test_recorded_updates_are_declared_and_complete():
    assert recorded_updates(5, 9) == [0, 1, 2, 3, 4, 5]
    grid = recorded_updates(100_000, 61)
    assert grid[0] == 0 and grid[1] == 1 and grid[-1] == 100_000
    assert grid == sorted(set(grid))


def test_the_average_is_of_the_policies_that_were_played():
    game, method = random_game(33, 2, 4), algorithm("egpo")
    found = trained(method, game, face="exact", iterations=4, record_points=4)
    played = np.exp(found.last)
    for point in range(1, 5):
        mean = played[:point].mean(axis=0)
        np.testing.assert_allclose(np.exp(found.average[point]), mean, atol=1e-14)
    np.testing.assert_allclose(found.average[0], found.last[0], atol=1e-14)


def test_a_diverging_run_says_where():
    method, game = algorithm("nash_md", labels="probability"), random_game(34, 2, 4)
    with pytest.raises(FloatingPointError, match="no longer finite"):
        trained(method, game, iterations=2000, learning_rate=1e6)


@pytest.mark.parametrize(
    ("changes", "budget", "message"),
    [
        ({"iterations": 0}, None, "training.iterations = 0"),
        ({"groups_per_iteration": 0}, None, "training.groups_per_iteration"),
        ({"minibatch_size": 0}, None, "training.minibatch_size"),
        ({"learning_rate": -1.0}, None, "training.learning_rate"),
        ({"face": "exact"}, 10, "budget.comparisons = 10"),
        ({"learning_rate": None, "optimizer": "adam"}, None, "training.learning_rate = null"),
    ],
)
def test_impossible_training_is_refused(changes, budget, message):
    with pytest.raises(ImpossibleSettingError, match=message):
        trained(algorithm("egpo"), random_game(35, 1, 3), budget=budget, **changes)


@pytest.mark.parametrize(
    ("name", "changes", "settings", "message"),
    [
        ("inpo", {"design": "best_worst", "responses": 8}, {"face": "exact"}, "outcomes"),
        ("dno_prct", {"responses": 9, "labels": "bernoulli"}, {"face": "exact"}, "outcomes"),
        ("rlhf", {"reward": "oracle"}, {"face": "exact"}, "asks for scores"),
        ("rlhf", {"reward_steps": None}, {}, "drawn data"),
        ("rebel", {"labels": "score"}, {}, "with scores"),
        ("sppo", {"normalizer": "exact"}, {}, "unknown to a sampled loss"),
        ("nash_md", {"step_size": "harmonic"}, {}, "schedules"),
        ("egpo", {}, {"learning_rate": None, "model": TabularMLP(2, 4)}, "has no such rate"),
        ("egpo", {}, {"face": "expected", "minibatch_size": 3}, "would distort"),
        ("inpo", {"gradient_steps": None}, {}, "drawn data"),
        ("inpo", {"gradient_steps": None}, {"face": "expected", "model": TabularMLP(2, 4)}, "free"),
        (
            "inpo",
            {"design": "best_worst", "responses": 8},
            {"face": "expected"},
            "outcomes",
        ),
        ("iterative_dpo", {"design": "best_worst", "labels": "score"}, {}, "with scores"),
    ],
)
def test_what_a_face_would_ignore_is_refused(name, changes, settings, message):
    with pytest.raises(ImpossibleSettingError, match=message):
        trained(algorithm(name, **changes), random_game(35, 1, 3), **settings)


def test_unsolved_regressions_are_an_error_not_an_answer():
    """At a step of 5 rare responses drown: the solver says so instead of passing them on."""
    method = algorithm("sppo", step_size=5.0, gradient_steps=None)
    game = random_game(22, 2, 4)
    state = method.initial_state(game)
    try:
        found = trained(method, game, face="expected", iterations=10)
    except RuntimeError as error:
        assert "did not converge" in str(error)
        return
    for _ in range(10):
        state = method.exact_update(state, game)
    np.testing.assert_allclose(found.last[-1], log_softmax(state.log_policy, -1), atol=1e-4)


def test_a_policy_gradient_on_tempered_responses_is_refused():
    inner = algorithm("nash_md_pg")

    @dataclass(frozen=True)
    class Tempered:
        fixed_point, tie, regularization, preference_evaluations = "none", inner.tie, 0.1, 1
        initial_state, exact_update = inner.initial_state, inner.exact_update
        learning_rate = inner.learning_rate

        def phases(self, iteration):
            collect, fit = inner.phases(iteration)
            yield replace(collect, candidate=replace(collect.candidate, temperature=0.9))
            yield fit

    with pytest.raises(ImpossibleSettingError, match=r"temperature 0.9, which are off policy"):
        trained(Tempered(), random_game(0, 1, 3))


def test_a_model_that_does_not_fit_the_games_is_refused_before_any_work():
    with pytest.raises(ImpossibleSettingError, match=r"spell 9 responses, .* 10 actions"):
        trained(algorithm("inpo"), random_game(0, 1, 10), model=TokenTree(3, 2, "sequence"))
