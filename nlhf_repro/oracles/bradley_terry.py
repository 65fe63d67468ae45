"""Games that a scalar reward explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from nlhf_repro.games import complete_preferences
from nlhf_repro.interfaces import Game
from nlhf_repro.oracles.references import (
    Reference,
    draw,
    refuse_impossible,
    refuse_unless_positive,
)


@dataclass(frozen=True)
class BradleyTerry:
    """P[i, j] = sigmoid(score_i - score_j) with scores N(0, scale^2), drawn after the reference.

    Bradley and Terry (1952). Transitive: the best score wins every comparison, and the
    unregularized equilibrium is that action.
    """

    games: int
    actions: int
    scale: float
    reference: Reference

    def __post_init__(self) -> None:
        refuse_impossible(self.games, self.actions, self.reference, one_matrix=False)
        refuse_unless_positive("scale", self.scale)

    def game(self, world: int) -> Game:
        """The games of this world, with their scores."""
        log_reference, streams = draw(
            "bradley_terry", world, self.games, self.actions, self.reference
        )
        scores = self.scale * np.stack([stream.standard_normal(self.actions) for stream in streams])
        matrix = complete_preferences(expit(scores[:, :, None] - scores[:, None, :]))
        return Game(matrix, log_reference, scores)
