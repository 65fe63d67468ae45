"""The tabular benchmarks against the games they measure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from nlhf_repro import games
from nlhf_repro.benchmarks.duality_gap import DualityGap
from nlhf_repro.benchmarks.exact_kl_to_reference import ExactKLToReference
from nlhf_repro.benchmarks.kl_to_equilibrium import KLToEquilibrium
from nlhf_repro.benchmarks.log_ratio_to_reference import LogRatioToReference
from nlhf_repro.benchmarks.reference_divergence import ReferenceDivergence
from nlhf_repro.benchmarks.regularized_duality_gap import RegularizedDualityGap
from nlhf_repro.games import log_space
from nlhf_repro.interfaces import Array, Benchmark, Game, ImpossibleSettingError
from nlhf_repro.oracles.random_games import RandomGames

CONF = Path(__file__).parents[1] / "conf"
NAMES = (
    *("duality_gap", "regularized_duality_gap", "kl_to_equilibrium", "log_ratio_to_reference"),
    "exact_kl_to_reference",
)
GAME = RandomGames(games=3, actions=6, reference="normal_logits").game(0)
TRAJECTORY = log_space.log_normalize(np.random.default_rng(0).standard_normal((4, 3, 6)))


def configured(name: str, regularization: float = 0.1) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(f"benchmark/{name}", [f"+algorithm.regularization={regularization}"])
    return instantiate(config.benchmark[name])


def equilibrium(regularization: float) -> Array:
    return games.log_regularized_nash_equilibrium(
        GAME.preference_matrix, GAME.log_reference, regularization
    )


@pytest.mark.parametrize("name", NAMES)
def test_conforms(name: str) -> None:
    benchmark: Benchmark = configured(name)
    before = TRAJECTORY.copy()
    scores = benchmark.score(GAME, TRAJECTORY)
    assert scores.shape == (4, 3)
    assert np.isfinite(scores).all()
    assert (scores > 0).all()
    assert 0 <= benchmark.floor < 1e-13
    np.testing.assert_array_equal(TRAJECTORY, before)
    np.testing.assert_array_equal(benchmark.score(GAME, TRAJECTORY[2:3]), scores[2:3])
    assert (
        (CONF / "benchmark" / f"{name}.yaml")
        .read_text()
        .startswith(f"# @package benchmark.{name}\n# ")
    )


@pytest.mark.parametrize("name", NAMES)
def test_refuses_what_is_no_policy(name: str) -> None:
    benchmark = configured(name)
    with pytest.raises(games.MalformedGameError, match=r"exp\(log_policy\)\[1, 2\] sums to"):
        broken = TRAJECTORY.copy()
        broken[1, 2] += 0.1
        benchmark.score(GAME, broken)
    with pytest.raises(games.MalformedGameError, match=r"log_policy\[0, 0, 1\] is not a number"):
        broken = TRAJECTORY.copy()
        broken[0, 0, 1] = np.nan
        benchmark.score(GAME, broken)


def test_values_are_those_of_the_games() -> None:
    policy, reference = np.exp(TRAJECTORY), np.exp(GAME.log_reference)
    matrix = GAME.preference_matrix
    for found, expected in (
        (DualityGap().score(GAME, TRAJECTORY), games.duality_gap(matrix, policy)),
        (
            RegularizedDualityGap(0.3).score(GAME, TRAJECTORY),
            games.regularized_duality_gap(matrix, policy, reference, 0.3),
        ),
        (
            LogRatioToReference().score(GAME, TRAJECTORY),
            np.abs(np.log(policy / reference)).max(axis=-1),
        ),
        (
            ExactKLToReference().score(GAME, TRAJECTORY),
            (policy * np.log(policy / reference)).sum(axis=-1),
        ),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    optimum = games.regularized_nash_equilibrium(matrix, reference, 0.3)
    direct = (optimum * np.log(optimum / policy)).sum(axis=-1)
    np.testing.assert_allclose(KLToEquilibrium(0.3).score(GAME, TRAJECTORY), direct, rtol=1e-12)


@pytest.mark.parametrize("regularization", [10.0, 1.0, 0.1, 0.01, 1e-3])
def test_equilibrium_is_below_the_floors(regularization: float) -> None:
    optimum = equilibrium(regularization)[None]
    for benchmark in (RegularizedDualityGap(regularization), KLToEquilibrium(regularization)):
        assert benchmark.score(GAME, optimum).max() < benchmark.floor * 1e-6


def test_nash_equilibrium_is_below_the_floor() -> None:
    for actions in (3, 10, 100):
        game = RandomGames(games=5, actions=actions, reference="uniform").game(actions)
        nash = games.nash_equilibrium(game.preference_matrix)
        with np.errstate(divide="ignore"):
            scores = DualityGap().score(game, np.log(nash)[None])
        assert scores.max() < DualityGap().floor


def test_iterates_that_round_stay_below_the_floors() -> None:
    """2000 updates of online mirror descent from the equilibrium: what is left is rounding."""
    regularization, step_size = 0.01, 0.02
    logits = equilibrium(regularization)
    for _ in range(2000):
        gain = (GAME.preference_matrix @ np.exp(log_space.log_normalize(logits))[..., None])[..., 0]
        share = step_size * regularization
        logits = (1 - share) * logits + share * GAME.log_reference + step_size * gain
        logits -= logits.mean(axis=-1, keepdims=True)
    last = log_space.log_normalize(logits)[None]
    for benchmark in (RegularizedDualityGap(regularization), KLToEquilibrium(regularization)):
        assert benchmark.score(GAME, last).max() < benchmark.floor


def test_small_gaps_keep_their_digits() -> None:
    """A policy that is d away from equilibrium has gap tau Var(J d), quartered by halving d."""
    optimum = equilibrium(0.5)
    direction = np.random.default_rng(1).standard_normal(optimum.shape)
    scores = [
        RegularizedDualityGap(0.5).score(
            GAME, log_space.log_normalize(optimum + distance * direction)[None]
        )
        for distance in (1e-7, 5e-8)
    ]
    assert scores[0].max() < 1e-12
    np.testing.assert_allclose(scores[0] / scores[1], 4, rtol=1e-5)


def test_policies_too_small_for_probabilities() -> None:
    game = Game(np.full((1, 2, 2), 0.5), log_space.log_normalize(np.array([[0.0, -900.0]])))
    policy = log_space.log_normalize(np.array([[[0.0, -800.0]]]))
    np.testing.assert_allclose(LogRatioToReference().score(game, policy), 100.0)
    # The mass of the second action, e^-800, is 0 in float64, and so is its part of the divergence.
    np.testing.assert_array_equal(RegularizedDualityGap(0.1).score(game, policy), 0.0)
    never = np.array([[[0.0, -np.inf]]])
    np.testing.assert_array_equal(LogRatioToReference().score(game, never), np.inf)
    vertices = log_space.log_probabilities(np.eye(6)[None, :3])
    np.testing.assert_array_equal(KLToEquilibrium(1.0).score(GAME, vertices), np.inf)


@pytest.mark.parametrize("name", ["regularized_duality_gap", "kl_to_equilibrium"])
def test_no_regularization_is_refused(name: str) -> None:
    with pytest.raises(
        Exception, match=rf"benchmark\.{name}\.regularization = 0.* positive"
    ) as caught:
        configured(name, 0.0)
    assert isinstance(caught.value.__cause__, ImpossibleSettingError)


def test_the_reference_divergence_is_the_largest_kl_of_any_policy():
    rng = np.random.default_rng(4)
    found = ReferenceDivergence().score(GAME, TRAJECTORY)
    assert found.shape == TRAJECTORY.shape[:2]
    assert (found == found[0]).all()
    policies = rng.dirichlet(np.full(GAME.actions, 0.2), size=(2000, 1))
    kl = (policies * (np.log(np.maximum(policies, 1e-300)) - GAME.log_reference)).sum(axis=-1)
    vertex = (np.eye(GAME.actions)[:, None] * -GAME.log_reference).sum(axis=-1).max(axis=0)
    assert (kl.max(axis=0) <= found[0] + 1e-12).all()
    np.testing.assert_allclose(found[0], vertex, atol=1e-15)
    certain = log_space.log_probabilities(np.eye(GAME.actions)[:, None].repeat(len(vertex), axis=1))
    reached = ExactKLToReference().score(GAME, certain)
    np.testing.assert_allclose(reached, -GAME.log_reference.T, atol=1e-14)
    np.testing.assert_allclose(reached.max(axis=0), found[0], atol=1e-14)
