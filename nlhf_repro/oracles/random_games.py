"""Random games of EGPO's numerical simulations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlhf_repro.games import complete_preferences
from nlhf_repro.interfaces import Game
from nlhf_repro.oracles.references import Reference, draw, refuse_impossible


@dataclass(frozen=True)
class RandomGames:
    """Independent preferences: P[i, j] is uniform on [0, 1] for i > j.

    Zhou, Fazel, Du, "Extragradient Preference Optimization" (arXiv:2503.08942), released code: the
    reference logits N(0, 1) first, then the strictly lower triangle row by row. Departures: a
    stream for each game; the paper's own matrices depend on its device and are not these.
    """

    games: int
    actions: int
    reference: Reference

    def __post_init__(self) -> None:
        refuse_impossible(self.games, self.actions, self.reference, one_matrix=False)

    def game(self, world: int) -> Game:
        """The games of this world."""
        log_reference, streams = draw(
            "random_games", world, self.games, self.actions, self.reference
        )
        lower = np.zeros((self.games, self.actions, self.actions))
        rows, columns = np.tril_indices(self.actions, -1)
        for game, stream in enumerate(streams):
            lower[game, rows, columns] = stream.random(rows.size)
        return Game(complete_preferences(lower), log_reference)
