"""Rock-paper-scissors with any odd number of actions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlhf_repro.interfaces import Game, ImpossibleSettingError
from nlhf_repro.oracles.references import Reference, one_matrix_game, refuse_impossible


@dataclass(frozen=True)
class CyclicGame:
    """Action i is preferred over the next (actions - 1) / 2 around a circle, with 1/2 + strength.

    The equilibrium of P is unique and uniform; with a uniform reference the regularized one is too.
    """

    games: int
    actions: int
    strength: float
    reference: Reference

    def __post_init__(self) -> None:
        refuse_impossible(self.games, self.actions, self.reference, one_matrix=True)
        if self.actions % 2 == 0:
            raise ImpossibleSettingError(
                f"oracle.actions = {self.actions} must be odd: each action beats "
                "as many as beat it."
            )
        if not 0 < self.strength <= 0.5:
            raise ImpossibleSettingError(
                f"oracle.strength = {self.strength} must be in (0, 1/2]: a preference "
                "is 1/2 + strength."
            )

    def game(self, world: int) -> Game:
        """One matrix, and this world's references."""
        row, column = np.indices((self.actions, self.actions))
        beats = (column - row) % self.actions <= (self.actions - 1) // 2
        lower = 0.5 + np.where(beats, self.strength, -self.strength)
        return one_matrix_game("cyclic_game", lower, world, self.games, self.reference)
