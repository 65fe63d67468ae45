"""Every family of conf/oracle, and the oracles that answer from a game."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from nlhf_repro import games
from nlhf_repro.interfaces import Game, ImpossibleSettingError
from nlhf_repro.oracles.annotator_types import AnnotatorTypes
from nlhf_repro.oracles.bradley_terry import BradleyTerry
from nlhf_repro.oracles.comal_cycle import ComalCycle
from nlhf_repro.oracles.cyclic_game import CyclicGame
from nlhf_repro.oracles.dice import Dice
from nlhf_repro.oracles.matrix import MatrixOracle
from nlhf_repro.oracles.munos_restricted import MunosRestricted
from nlhf_repro.oracles.noisy import Noisy
from nlhf_repro.oracles.population import Population
from nlhf_repro.oracles.random_games import RandomGames
from nlhf_repro.seeds import generator_for, seed_for

CONF = Path(__file__).parents[1] / "conf"
FAMILIES = [  # of games; oracles that read text are tested by what they read
    path
    for path in sorted((CONF / "oracle").glob("*.yaml"))
    if hasattr(get_class(OmegaConf.load(path)._target_), "game")
]


def family(path: Path, **overrides: object) -> Any:
    return instantiate(OmegaConf.merge(OmegaConf.load(path), overrides))


def same(first: Game, second: Game) -> bool:
    return (
        first.preference_matrix.tobytes() == second.preference_matrix.tobytes()
        and first.log_reference.tobytes() == second.log_reference.tobytes()
    )


# --- conformance, for every file


@pytest.mark.parametrize("path", FAMILIES, ids=lambda path: path.stem)
class TestEveryFamily:
    def test_is_documented_and_one_class_a_file(self, path: Path) -> None:
        assert path.read_text().startswith("# ")
        target = OmegaConf.load(path)._target_
        assert target.rsplit(".", 1)[0] == f"nlhf_repro.oracles.{path.stem}"
        assert get_class(target).__doc__

    def test_draws_symmetric_games(self, path: Path) -> None:
        game = family(path).game(0)
        matrix = game.preference_matrix
        assert matrix.dtype == game.log_reference.dtype == np.float64
        assert np.abs(matrix + np.swapaxes(matrix, 1, 2) - 1).max() <= 1e-15
        np.testing.assert_array_equal(np.diagonal(matrix, axis1=1, axis2=2), 0.5)
        np.testing.assert_allclose(np.exp(game.log_reference).sum(-1), 1, rtol=0, atol=1e-14)
        games.check_game(game)

    def test_scores_explain_the_preferences(self, path: Path) -> None:
        game = family(path).game(0)
        if game.scores is not None:
            gaps = game.scores[:, :, None] - game.scores[:, None, :]
            expected = 1 / (1 + np.exp(-gaps))
            np.testing.assert_allclose(game.preference_matrix, expected, rtol=0, atol=1e-14)

    def test_world_decides_everything(self, path: Path) -> None:
        drawn = family(path, games=3, reference="normal_logits")
        assert same(drawn.game(4), drawn.game(4))
        assert not same(drawn.game(4), drawn.game(5))

    def test_a_game_does_not_depend_on_their_number(self, path: Path) -> None:
        few = family(path, games=2, reference="normal_logits").game(1)
        many = family(path, games=5, reference="normal_logits").game(1)
        np.testing.assert_array_equal(many.preference_matrix[:2], few.preference_matrix)
        np.testing.assert_array_equal(many.log_reference[:2], few.log_reference)
        assert len(np.unique(many.log_reference[:, 0])) == 5

    def test_reference_does_not_change_the_preferences(self, path: Path) -> None:
        uniform = family(path, games=1, reference="uniform").game(2)
        normal = family(path, games=1, reference="normal_logits").game(2)
        np.testing.assert_array_equal(uniform.preference_matrix, normal.preference_matrix)
        np.testing.assert_allclose(np.exp(uniform.log_reference), 1 / uniform.actions, rtol=1e-15)

    def test_common_fields_are_refused_by_key(self, path: Path) -> None:
        with pytest.raises(Exception, match=r"oracle\.reference = flat is unknown") as caught:
            family(path, reference="flat")
        assert isinstance(caught.value.__cause__, ImpossibleSettingError)
        with pytest.raises(Exception, match=r"oracle\.games = 0 draws no game"):
            family(path, games=0)


def test_families_are_found() -> None:
    assert len(FAMILIES) >= 8


# --- goldens


def test_comal_cycle() -> None:
    matrix = ComalCycle(games=1, reference="uniform").game(0).preference_matrix[0]
    expected = [[0.5, 0.1, 0.8], [0.9, 0.5, 0.1], [0.2, 0.9, 0.5]]
    np.testing.assert_allclose(matrix, expected, rtol=0, atol=1e-16)


def test_dice() -> None:
    matrix = Dice(games=1, reference="uniform").game(0).preference_matrix[0]
    np.testing.assert_allclose(matrix[[0, 1, 2], [1, 2, 0]], 5 / 9, rtol=0, atol=1e-12)
    np.testing.assert_allclose(games.nash_equilibrium(matrix), 1 / 3, rtol=0, atol=1e-12)
    assert games.cycle_share(matrix) == 1


@pytest.mark.parametrize("epsilon", [-0.3, -0.1, 0.0, 0.1, 0.3])
def test_annotator_types(epsilon: float) -> None:
    """Type 1 prefers y2 to y1, type 2 y1 to y3, type 3 y3 to y2; the rest are ties."""
    shares = np.array([1 / 3 - epsilon, 1 / 3 + epsilon / 2, 1 / 3 + epsilon / 2])
    expected = np.full((3, 3), 0.5)
    for share, (better, worse) in zip(shares, ((1, 0), (0, 2), (2, 1)), strict=True):
        expected[better, worse] += share / 2
        expected[worse, better] -= share / 2
    game = AnnotatorTypes(games=1, epsilon=epsilon, reference="uniform").game(0)
    matrix = game.preference_matrix[0]
    np.testing.assert_allclose(matrix, expected, rtol=0, atol=1e-15)
    equilibrium = [1 / 3 + epsilon / 2, 1 / 3 + epsilon / 2, 1 / 3 - epsilon]
    np.testing.assert_allclose(games.nash_equilibrium(matrix), equilibrium, rtol=0, atol=1e-12)
    assert games.cycle_share(matrix) == 1
    if epsilon:
        assert matrix.mean(axis=1).argmax() == (0 if epsilon > 0 else 1)


def test_munos_restricted() -> None:
    full = MunosRestricted(games=1, restricted=False, reference="uniform").game(0)
    matrix = full.preference_matrix[0]
    np.testing.assert_allclose(matrix[2, :2], [2 / 3, 2 / 11], rtol=0, atol=1e-12)
    restricted = MunosRestricted(games=1, restricted=True, reference="uniform").game(0)
    assert restricted.preference_matrix[0, 1, 0] == pytest.approx(50 / 99, abs=1e-12)
    np.testing.assert_array_equal(games.nash_equilibrium(restricted.preference_matrix[0]), [0, 1])
    assert restricted.scores is None
    assert full.scores is not None
    means = np.array([[2 / 3, 1 / 3, 0], [0, 0, 1]]) @ full.scores[0]
    np.testing.assert_allclose(means, [np.log(9) / 3, np.log(2)], rtol=0, atol=1e-12)
    assert means[0] > means[1]
    inside = games.preference(matrix, [0, 0, 1], [2 / 3, 1 / 3, 0])
    assert inside == pytest.approx(50 / 99, abs=1e-12)


def test_cyclic_game() -> None:
    matrix = CyclicGame(games=1, actions=5, strength=0.3, reference="uniform").game(0)
    first = matrix.preference_matrix[0, 0]
    np.testing.assert_allclose(first, [0.5, 0.8, 0.8, 0.2, 0.2], rtol=0, atol=1e-15)
    equilibrium = games.nash_equilibrium(matrix.preference_matrix[0])
    np.testing.assert_allclose(equilibrium, 0.2, rtol=0, atol=1e-14)


def test_bradley_terry_is_a_ranking() -> None:
    game = BradleyTerry(games=5, actions=6, scale=2.0, reference="uniform").game(0)
    assert game.scores is not None
    np.testing.assert_array_equal(games.cycle_share(game.preference_matrix), 0)
    assert games.hodge_decomposition(game.preference_matrix).cyclic_share.max() < 1e-25
    best = games.nash_equilibrium(game.preference_matrix).argmax(axis=-1)
    np.testing.assert_array_equal(best, game.scores.argmax(axis=-1))


def test_population_cycles_from_three_groups_on() -> None:
    two = Population(300, 3, (0.5, 0.5), 3.0, "uniform").game(0)
    three = Population(300, 3, (1 / 3, 1 / 3, 1 / 3), 3.0, "uniform").game(0)
    assert games.cycle_share(two.preference_matrix).sum() == 0
    assert games.cycle_share(three.preference_matrix).sum() > 0


def test_random_games_are_uniform() -> None:
    """Three actions cycle in a quarter of the games; 4 standard errors are allowed."""
    matrix = RandomGames(games=4000, actions=3, reference="uniform").game(0).preference_matrix
    assert abs(games.cycle_share(matrix).mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)
    quantiles = np.quantile(matrix[:, 1, 0], [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quantiles, [0.25, 0.5, 0.75], rtol=0, atol=0.03)


def test_random_games_draw_the_reference_first() -> None:
    """The order of EGPO's generator, from the stream that names the game."""
    stream = generator_for("oracle", "random_games", 7, 1)
    logits, lower = stream.standard_normal(4), stream.random(6)
    game = RandomGames(games=2, actions=4, reference="normal_logits").game(7)
    expected = logits - np.log(np.exp(logits).sum())
    np.testing.assert_allclose(game.log_reference[1], expected, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(game.preference_matrix[1][np.tril_indices(4, -1)], lower)


# --- what is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomGames(1, 1, "uniform"), r"oracle\.actions = 1 leaves nothing to compare"),
        (lambda: ComalCycle(3, "uniform"), r"oracle\.games = 3 with oracle\.reference = uniform"),
        (lambda: CyclicGame(1, 4, 0.1, "uniform"), r"oracle\.actions = 4 must be odd"),
        (lambda: CyclicGame(1, 3, 0.6, "uniform"), r"oracle\.strength = 0\.6 must be in"),
        (lambda: CyclicGame(1, 3, 0.0, "uniform"), r"oracle\.strength = 0\.0 must be in"),
        (lambda: AnnotatorTypes(1, 0.4, "uniform"), r"oracle\.epsilon = 0\.4 must be in"),
        (lambda: BradleyTerry(1, 3, 0.0, "uniform"), r"oracle\.scale = 0\.0 must be positive"),
        (lambda: Population(1, 3, (1.0,), 1.0, "uniform"), r"oracle\.weights = \[1\.0\] is not a"),
        (lambda: Population(1, 3, (0.5, 0.6), 1.0, "uniform"), r"oracle\.weights = .* sum to 1"),
        (lambda: Population(1, 3, (1.5, -0.5), 1.0, "uniform"), r"oracle\.weights = .* positive"),
        (lambda: Noisy(0.5), r"oracle_wrapper\.noisy\.flip_rate = 0\.5 must be in"),
        (lambda: Noisy(-0.1), r"oracle_wrapper\.noisy\.flip_rate = -0\.1 must be in"),
    ],
)
def test_impossible_fields_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ImpossibleSettingError, match=message):
        make()


# --- oracles that answer


def test_matrix_oracle_gathers() -> None:
    game = RandomGames(games=3, actions=4, reference="uniform").game(0)
    oracle = MatrixOracle(game)
    prompts = torch.arange(3)[:, None, None]
    answers = oracle.preference(prompts, torch.arange(4)[None, :, None], torch.arange(4))
    assert answers.dtype == torch.float64
    np.testing.assert_array_equal(answers.numpy(), game.preference_matrix)
    with pytest.raises(ImpossibleSettingError, match="no scores"):
        oracle.score(torch.tensor([0]), torch.tensor([1]))


def test_matrix_oracle_scores() -> None:
    game = BradleyTerry(games=2, actions=3, scale=1.0, reference="uniform").game(0)
    assert game.scores is not None
    scores = MatrixOracle(game).score(torch.arange(2)[:, None], torch.arange(3))
    np.testing.assert_array_equal(scores.numpy(), game.scores)


def test_matrix_oracle_refuses_what_is_no_game() -> None:
    game = RandomGames(games=2, actions=3, reference="uniform").game(0)
    game.preference_matrix[1, 0, 2] += 0.25
    with pytest.raises(games.MalformedGameError, match=r"preference_matrix\[1, 0, 2\]"):
        MatrixOracle(game)
    broken = Game(np.full((1, 2, 2), 0.5), np.array([[0.0, -np.inf]]))
    with pytest.raises(games.MalformedGameError, match=r"log_reference\[0, 1\] = -inf"):
        MatrixOracle(broken)
    unnormalized = Game(np.full((1, 2, 2), 0.5), np.zeros((1, 2)))
    with pytest.raises(games.MalformedGameError, match=r"exp\(log_reference\)\[0\] sums to 2"):
        MatrixOracle(unnormalized)


def test_noise_flips_answers_and_passes_scores() -> None:
    game = BradleyTerry(games=2, actions=3, scale=1.0, reference="uniform").game(0)
    clean, noisy = MatrixOracle(game), Noisy(0.1).wrap(MatrixOracle(game))
    prompts, first, second = torch.tensor([0, 1]), torch.tensor([0, 2]), torch.tensor([1, 0])
    truth = clean.preference(prompts, first, second)
    answers = noisy.preference(prompts, first, second)
    flipped_draw = truth * 0.9 + (1 - truth) * 0.1
    torch.testing.assert_close(answers, flipped_draw, rtol=0, atol=1e-15)
    both = answers + noisy.preference(prompts, second, first)
    torch.testing.assert_close(both, torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-15)
    assert torch.equal(noisy.score(prompts, first), clean.score(prompts, first))


def test_noisy_configuration_nests_under_its_name() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        configured = compose("oracle_wrapper/noisy").oracle_wrapper.noisy
    assert instantiate(configured) == Noisy(flip_rate=0.1)


# --- seeds


def test_streams_belong_to_their_factors() -> None:
    first = generator_for("a", 1).standard_normal(4)
    np.testing.assert_array_equal(first, generator_for("a", 1).standard_normal(4))
    np.testing.assert_array_equal(first, generator_for("a", np.int64(1)).standard_normal(4))
    for other in (("a", "1"), ("a", 2), (1, "a"), ("a", 1, 0), ("a1",)):
        assert not np.array_equal(first, generator_for(*other).standard_normal(4))
        assert seed_for(*other) != seed_for("a", 1)
    with pytest.raises(TypeError):
        generator_for("a", 1.5)  # type: ignore[arg-type]


def test_streams_are_the_same_on_every_machine() -> None:
    """SHA-256 of "('world', 3)", worked out with sha256sum."""
    digest = "24d4da4e0a998d7037053354ba779d007532c01d3f1455694d6471c4f58ffa06"
    assert seed_for("world", 3) == int(digest[32:48], 16) // 2
    expected = np.random.Generator(np.random.PCG64(int(digest[:32], 16)))
    assert generator_for("world", 3).random() == expected.random()
