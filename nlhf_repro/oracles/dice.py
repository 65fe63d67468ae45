"""Intransitive dice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlhf_repro.interfaces import Game
from nlhf_repro.oracles.references import Reference, one_matrix_game, refuse_impossible

FACES = ((2, 4, 9), (1, 6, 8), (3, 5, 7))


@dataclass(frozen=True)
class Dice:
    """P[i, j] is the probability that die i shows more than die j: a cycle of 5/9.

    Munos et al., "Nash Learning from Human Feedback" (arXiv:2312.00886): no reward explains these
    preferences. The equilibrium is uniform.
    """

    games: int
    reference: Reference

    def __post_init__(self) -> None:
        refuse_impossible(self.games, len(FACES), self.reference, one_matrix=True)

    def game(self, world: int) -> Game:
        """The matrix, and this world's references."""
        faces = np.asarray(FACES)
        more = faces[:, None, :, None] > faces[None, :, None, :]
        return one_matrix_game("dice", more.mean(axis=(2, 3)), world, self.games, self.reference)
