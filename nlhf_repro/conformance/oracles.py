"""Families of games, and wrappers of oracles."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nlhf_repro.conformance.laboratory import bradley_terry_game, random_game
from nlhf_repro.conformance.outcomes import ConformanceError, NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.games import MalformedGameError, check_game
from nlhf_repro.interfaces import Array, Game, ImpossibleSettingError, PreferenceOracle
from nlhf_repro.oracles.matrix import MatrixOracle
from nlhf_repro.oracles.noisy import Noisy

WORLDS = (0, 1, 2)
ROUNDING = 1e-15


def games_are_symmetric_with_full_support(subject: Subject) -> None:
    """P + P^T = 1 in [0, 1], 1/2 on the diagonal, normalized references without zeros."""
    family = subject.build()
    for world in WORLDS:
        game: Game = family.game(world)
        shape = game.preference_matrix.shape
        require(
            len(shape) == 3 and shape[1] == shape[2] and game.log_reference.shape == shape[:2],
            f"world {world} has preferences of shape {shape} and references of shape "
            f"{game.log_reference.shape}: they are [games, actions, actions] and [games, actions].",
        )
        _require_symmetric(game.preference_matrix, f"preferences of world {world}")
        try:
            check_game(game)
        except MalformedGameError as error:
            raise ConformanceError(f"world {world} is no batch of games: {error}") from error


def scores_explain_the_preferences(subject: Subject) -> None:
    """Where there are scores, P[i, j] = sigmoid(score_i - score_j)."""
    game: Game = subject.build().game(0)
    if game.scores is None:
        raise NotApplicableError("the games have no scores")
    gaps = game.scores[:, :, None] - game.scores[:, None, :]
    worst = float(np.abs(game.preference_matrix - 1 / (1 + np.exp(-gaps))).max())
    require(
        worst < 1e-13,
        f"the scores do not explain the preferences: sigmoid of their difference is {worst:.1e} "
        "away; leave scores out where no reward gives the preferences.",
    )


def the_world_decides_the_games(subject: Subject) -> None:
    """The same world draws the same bytes, another world others."""
    changes = _with_random_references(subject)
    one, again, other = (subject.build(**changes).game(world) for world in (4, 4, 5))
    require(
        _bytes(one) == _bytes(again),
        "two draws of world 4 differ: take every number from seeds.generator_for(..., world, ...).",
    )
    if _bytes(one) == _bytes(other):
        require(not changes, "worlds 4 and 5 have the same games and the same references.")
        raise NotApplicableError("its games are the same in every world")


def wrapped_answers_stay_symmetric(subject: Subject) -> None:
    """Asked both ways round, through noise, the answers of its games sum to 1."""
    game: Game = subject.build().game(0)
    oracle = MatrixOracle(game)
    _require_symmetric(_answers(oracle, game), "the answers")
    _require_symmetric(_answers(Noisy(0.1).wrap(oracle), game), "the noisy answers")


def a_wrapper_keeps_answers_symmetric(subject: Subject) -> None:
    """P + P^T = 1 in [0, 1] of the wrapped oracle; scores stay finite or are refused."""
    wrapper = subject.build()
    for game in (random_game(9, 3, 5), bradley_terry_game(9, 3, 5)):
        wrapped: PreferenceOracle = wrapper.wrap(MatrixOracle(game))
        answers = _answers(wrapped, game)
        _require_symmetric(answers, "the wrapped answers")
        require(
            answers.tobytes() == _answers(wrapped, game).tobytes(),
            "the wrapped oracle answers one question twice in different ways: return "
            "probabilities, draws are made elsewhere.",
        )
        try:
            scores = wrapped.score(torch.arange(3)[:, None], torch.arange(5)[None, :])
        except ImpossibleSettingError:
            continue
        require(bool(torch.isfinite(scores).all()), "a wrapped score is not finite.")


def _answers(oracle: PreferenceOracle, game: Game) -> Array:
    games, actions = torch.arange(game.games), torch.arange(game.actions)
    asked = (games[:, None, None], actions[None, :, None], actions[None, None, :])
    answers: Array = oracle.preference(*asked).numpy()
    return answers


def _require_symmetric(matrix: Array, what: str) -> None:
    require(
        bool(np.isfinite(matrix).all() and (matrix >= 0).all() and (matrix <= 1).all()),
        f"{what} are not all in [0, 1].",
    )
    off = float(np.abs(matrix + np.swapaxes(matrix, -1, -2) - 1).max())
    require(
        off <= ROUNDING,
        f"{what} are not symmetric: P + P^T is {off:.1e} away from 1; complete a strictly lower "
        "triangle with games.complete_preferences.",
    )
    diagonal = np.diagonal(matrix, axis1=-2, axis2=-1)
    off = float(np.abs(diagonal - 0.5).max())
    require(off <= ROUNDING, f"{what} of an action against itself are {off:.1e} away from 1/2.")


def _with_random_references(subject: Subject) -> dict[str, Any]:
    """The field of the shipped families that makes worlds differ even where the matrix is one."""
    options = {option for name, option in subject.options() if name == "reference"}
    return {"reference": "normal_logits"} if "normal_logits" in options else {}


def _bytes(game: Game) -> tuple[bytes, bytes]:
    return game.preference_matrix.tobytes(), game.log_reference.tobytes()
