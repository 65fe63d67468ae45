"""MyOracle: say in a line which preferences it draws, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlhf_repro.games import complete_preferences
from nlhf_repro.interfaces import Game
from nlhf_repro.oracles.references import (
    Reference,
    draw,
    refuse_impossible,
    refuse_unless_positive,
)


@dataclass(frozen=True)
class MyOracle:
    """P[i, j] = sigmoid(scale * z) with z N(0, 1) for i > j: a working start, to be changed."""

    games: int
    actions: int
    scale: float
    reference: Reference

    def __post_init__(self) -> None:
        # Refuse what has no meaning: one sentence, with the key and the remedy.
        refuse_impossible(self.games, self.actions, self.reference, one_matrix=False)
        refuse_unless_positive("scale", self.scale)

    def game(self, world: int) -> Game:
        """The games of this world: every number comes from the streams that `draw` returns."""
        log_reference, streams = draw("my_oracle", world, self.games, self.actions, self.reference)
        lower = np.zeros((self.games, self.actions, self.actions))
        rows, columns = np.tril_indices(self.actions, -1)
        for game, stream in enumerate(streams):
            # CHANGE: the strictly lower triangle; the rest follows from P + P^T = 1.
            logits = self.scale * stream.standard_normal(rows.size)
            lower[game, rows, columns] = 1 / (1 + np.exp(-logits))
        return Game(complete_preferences(lower), log_reference)
