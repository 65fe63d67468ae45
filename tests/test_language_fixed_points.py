"""The whole path on a model whose responses are enumerated: it ends where its algorithm says.

The reference is half a nat or more from the target, so that standing still fails.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from enumerated_language import (
    EnumeratedOracle,
    game_of,
    log_policy,
    trained,
    wide_matrix,
)
from laboratory import algorithm

from nlhf_repro.games import log_space, regularized_duality_gap, regularized_nash_equilibrium
from nlhf_repro.interfaces import Game

TAU, BETA = 0.1, 0.5
SCORES = 1.5 * np.random.default_rng(5).standard_normal(15)
CYCLIC, TRANSITIVE = wide_matrix(0), 1 / (1 + np.exp(SCORES[None] - SCORES[:, None]))
SHARE = 0.01  # of the reference's distance to the target, and of its gap
ONCE = {"iterations": 1, "learning_rate": 0.02}  # of data that are collected once


def ended(name: str, folder: Path, matrix, changes, training) -> tuple[Game, np.ndarray]:
    """The enumerated game, and the log-policy after training."""
    method = algorithm(name, **{"labels": "probability", **changes})
    settings = {"groups_per_iteration": 1000, "learning_rate": 5e-3, **training}
    language = {"schedule": "cosine_over_run"}
    oracle = EnumeratedOracle(matrix, SCORES)
    run, _ = trained(method, oracle, folder, language=language, **settings)
    reference = log_policy(run.run.trainable, run.run.slots["reference"])
    found = log_policy(run.run.trainable, run.run.slots["current"])
    return game_of(matrix, reference), found


def check_distance(game: Game, target: np.ndarray, found: np.ndarray) -> None:
    """KL(target, policy) at most 1% of KL(target, reference), which is half a nat or more."""
    far = float(target @ (np.log(target) - game.log_reference[0]))
    near = float(target @ (np.log(target) - found))
    assert far >= 0.5
    assert near <= SHARE * far


def gap(game: Game, log_policy: np.ndarray) -> float:
    policy = np.exp(log_space.log_normalize(log_policy[None]))
    reference = np.exp(game.log_reference)
    return float(regularized_duality_gap(game.preference_matrix, policy, reference, TAU)[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes", "training"),
    [
        ("inpo", {"step_size": 2.0, "gradient_steps": 20}, {"iterations": 30}),
        ("mmd", {"proximal_step": 2.0, "gradient_steps": 20}, {"iterations": 30}),
        ("td_mnpo", {"step_size": 2.0, "gradient_steps": 20}, {"iterations": 30}),
        ("nash_mp", {"proximal_step": 0.2, "gradient_steps": 15}, {"iterations": 25}),
        (
            "online_ipo",
            {},
            {"iterations": 200, "groups_per_iteration": 500, "learning_rate": 0.01},
        ),
        (
            "self_play",
            {"opponents": 4},
            {"iterations": 450, "groups_per_iteration": 300, "learning_rate": 0.015},
        ),
        (
            "nash_ema_pg",
            {},
            {"iterations": 300, "groups_per_iteration": 500, "learning_rate": 0.01},
        ),
    ],
)
def test_it_ends_at_the_regularized_equilibrium(name, changes, training, tmp_path: Path) -> None:
    """Mirror descent, its relatives and policy gradients; the regularized gap is 1% of the first.

    Of policies that are averaged, the one that is reported is checked.
    """
    changes = {"regularization": TAU, **changes}
    assert algorithm(name, **changes).fixed_point == "regularized_nash"
    game, found = ended(name, tmp_path, CYCLIC, changes, training)
    reference = np.exp(game.log_reference)
    target = regularized_nash_equilibrium(game.preference_matrix, reference, TAU)[0]
    check_distance(game, target, found)
    assert gap(game, found) <= SHARE * gap(game, game.log_reference[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes", "training"),
    [
        ("ipo", {"gradient_steps": 150}, {"groups_per_iteration": 10000, **ONCE}),
        (
            "best_response",
            {"opponents": 4},
            {"iterations": 200, "groups_per_iteration": 300, "learning_rate": 0.015},
        ),
    ],
)
def test_it_ends_at_the_best_response_to_the_reference(
    name, changes, training, tmp_path: Path
) -> None:
    """By policy gradient; and by IPO's loss on data that are collected once."""
    changes = {"regularization": TAU, **changes}
    assert algorithm(name, **changes).fixed_point == "best_response_to_reference"
    game, found = ended(name, tmp_path, CYCLIC, changes, training)
    reward = game.preference_matrix[0] @ np.exp(game.log_reference[0])
    target = log_space.log_normalize(game.log_reference + reward / TAU)[0]
    check_distance(game, np.exp(target), found)
    if name == "ipo":  # whose exact face is that minimiser
        method = algorithm(name, **changes)
        exact = method.exact_update(method.initial_state(game), game).policy[0]
        np.testing.assert_allclose(exact, np.exp(target), atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes", "training"),
    [
        ("dpo", {"gradient_steps": 200}, {"groups_per_iteration": 2000, **ONCE}),
        (
            "iterative_dpo",
            {"gradient_steps": 20},
            {"iterations": 30, "groups_per_iteration": 500, "learning_rate": 0.01},
        ),
        (
            "rlhf",
            {"reward_steps": 200, "regularization": 0.8},
            {"iterations": 600, "groups_per_iteration": 300, "learning_rate": 0.015},
        ),
    ],
)
def test_it_ends_at_the_optimum_of_a_bradley_terry_reward(
    name, changes, training, tmp_path: Path
) -> None:
    """Log pi = log ref + scores / beta, where scores explain every preference."""
    changes = {"regularization": BETA, **changes}
    beta = changes["regularization"]
    assert algorithm(name, **changes).fixed_point == "bradley_terry_optimum"
    game, found = ended(name, tmp_path, TRANSITIVE, changes, training)
    target = np.exp(log_space.log_normalize(game.log_reference + SCORES / beta)[0])
    check_distance(game, target, found)


@pytest.mark.slow
def test_bradley_terry_methods_miss_the_equilibrium_of_a_cycle(tmp_path: Path) -> None:
    """What the others reach is no accident of the game: iterative DPO ends elsewhere on it."""
    changes = {"regularization": TAU, "gradient_steps": 20}
    training = {"iterations": 30, "groups_per_iteration": 500, "learning_rate": 0.01}
    game, found = ended("iterative_dpo", tmp_path, CYCLIC, changes, training)
    assert gap(game, found) > 0.1 * gap(game, game.log_reference[0])


@pytest.mark.parametrize("name", ["comal", "sppo", "mnpo", "dno", "onpo", "rebel"])
def test_what_plays_the_unregularized_game_declares_no_regularized_point(name: str) -> None:
    """Their points lie where responses vanish: no finite training is held to 1% of a KL."""
    assert algorithm(name).fixed_point == "nash"
