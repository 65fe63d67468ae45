"""What every family of games does in the same way: it draws references, and refuses fields."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from nlhf_repro.games import complete_preferences, log_space
from nlhf_repro.interfaces import Array, Game, ImpossibleSettingError
from nlhf_repro.seeds import generator_for

Reference = Literal["uniform", "normal_logits"]
"""uniform, or the softmax of independent N(0, 1) logits (EGPO, arXiv:2503.08942, released code)."""


def draw(
    family: str, world: int, games: int, actions: int, reference: Reference
) -> tuple[Array, list[np.random.Generator]]:
    """Log-references [games, actions], and each game's generator as the reference has left it.

    The stream of a game is named by family, world and its number, so that a game is the same
    whatever the number of games. The reference logits are drawn even where the reference is
    uniform, so that the matrices are the same for both references.
    """
    streams = [generator_for("oracle", family, world, game) for game in range(games)]
    logits = np.stack([stream.standard_normal(actions) for stream in streams])
    if reference == "uniform":
        logits = np.zeros_like(logits)
    return log_space.log_normalize(logits), streams


def one_matrix_game(
    family: str, lower: ArrayLike, world: int, games: int, reference: Reference
) -> Game:
    """The game of this strictly lower triangle, with each of the drawn references."""
    matrix = complete_preferences(lower)
    log_reference, _ = draw(family, world, games, len(matrix), reference)
    return Game(np.tile(matrix, (games, 1, 1)), log_reference)


def refuse_impossible(games: int, actions: int, reference: str, *, one_matrix: bool) -> None:
    """Refuses the common fields of a family that mean nothing.

    `one_matrix` says that the family has a single preference matrix, so that several games of a
    uniform reference would be one game counted several times.

    Raises:
        ImpossibleSettingError: naming the key.
    """
    if reference not in get_args(Reference):
        raise ImpossibleSettingError(
            f"oracle.reference = {reference} is unknown: "
            f"choose from {', '.join(get_args(Reference))}."
        )
    if games < 1:
        raise ImpossibleSettingError(f"oracle.games = {games} draws no game: give at least 1.")
    if actions < 2:
        raise ImpossibleSettingError(
            f"oracle.actions = {actions} leaves nothing to compare: give at least 2."
        )
    if one_matrix and games > 1 and reference == "uniform":
        raise ImpossibleSettingError(
            f"oracle.games = {games} with oracle.reference = uniform is one game counted "
            f"{games} times: set oracle.games to 1 or oracle.reference to normal_logits."
        )


def refuse_unless_positive(key: str, value: float) -> None:
    """Refuses a scale that is not positive and finite.

    Raises:
        ImpossibleSettingError: naming the key.
    """
    if not 0 < value < np.inf:
        raise ImpossibleSettingError(f"oracle.{key} = {value} must be positive and finite.")
