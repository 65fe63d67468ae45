"""Three types of annotators whose majority is a cycle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlhf_repro.interfaces import Game, ImpossibleSettingError
from nlhf_repro.oracles.references import Reference, one_matrix_game, refuse_impossible


@dataclass(frozen=True)
class AnnotatorTypes:
    """Type 1 prefers y2 to y1, type 2 y1 to y3, type 3 y3 to y2; each finds every other pair a tie.

    Munos et al., "Nash Learning from Human Feedback" (arXiv:2312.00886), section 3.2. Type 1 has
    the share 1/3 - epsilon, the others 1/3 + epsilon/2 each. The equilibrium (1/3 + epsilon/2, 1/3
    + epsilon/2, 1/3 - epsilon) is continuous in epsilon, where the argmax of a reward fitted on
    uniform pairs jumps from y2 to y1 at 0.
    """

    games: int
    epsilon: float
    reference: Reference

    def __post_init__(self) -> None:
        refuse_impossible(self.games, 3, self.reference, one_matrix=True)
        if not abs(self.epsilon) <= 1 / 3:
            raise ImpossibleSettingError(
                f"oracle.epsilon = {self.epsilon} must be in [-1/3, 1/3]: the types have "
                "the shares 1/3 - epsilon, 1/3 + epsilon/2 and 1/3 + epsilon/2."
            )

    def game(self, world: int) -> Game:
        """The matrix, and this world's references."""
        first, other = 1 / 3 - self.epsilon, 1 / 3 + self.epsilon / 2
        y1_over_y3 = y3_over_y2 = 0.5 + other / 2
        lower = np.zeros((3, 3))
        lower[1, 0], lower[2, 0], lower[2, 1] = 0.5 + first / 2, 1 - y1_over_y3, y3_over_y2
        return one_matrix_game("annotator_types", lower, world, self.games, self.reference)
