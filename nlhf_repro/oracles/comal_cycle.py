"""The cyclic game of COMAL's synthetic experiment."""

from __future__ import annotations

from dataclasses import dataclass

from nlhf_repro.interfaces import Game
from nlhf_repro.oracles.references import Reference, one_matrix_game, refuse_impossible

PREFERENCES = ((0.5, 0.1, 0.8), (0.9, 0.5, 0.1), (0.2, 0.9, 0.5))


@dataclass(frozen=True)
class ComalCycle:
    """Three actions: b is preferred over a with 0.9, c over b with 0.9, a over c with 0.8.

    Liu et al., "COMAL" (arXiv:2410.23223), the matrix as notes of the paper give it. The
    equilibrium is (4/11, 3/11, 4/11), unique and with full support.
    """

    games: int
    reference: Reference

    def __post_init__(self) -> None:
        refuse_impossible(self.games, 3, self.reference, one_matrix=True)

    def game(self, world: int) -> Game:
        """The matrix, and this world's references."""
        return one_matrix_game("comal_cycle", PREFERENCES, world, self.games, self.reference)
