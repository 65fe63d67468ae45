"""The game whose reward-optimal and preference-optimal policies differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from nlhf_repro.interfaces import Array, Game
from nlhf_repro.oracles.references import Reference, one_matrix_game, refuse_impossible

SCORES = (0.0, float(np.log(9)), float(np.log(2)))
EXTREME_POINTS = ((2 / 3, 1 / 3, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class MunosRestricted:
    """Bradley-Terry preferences of scores (0, log 9, log 2), met by a restricted class of policies.

    Munos et al., "Nash Learning from Human Feedback" (arXiv:2312.00886), Appendix A. The class is
    pi(y1) = 2 pi(y2), with the extreme points (2/3, 1/3, 0) and (0, 0, 1). Preference is bilinear,
    so the class is a game between these two, the actions here when `restricted`. The first has the
    higher mean score, (log 9)/3 > log 2; the second is preferred, with 50/99. A restricted game has
    no scores, since no reward on the class gives its preferences and these means. Without
    `restricted` the actions are the three responses, with their scores.
    """

    games: int
    restricted: bool
    reference: Reference

    def __post_init__(self) -> None:
        refuse_impossible(self.games, 2 if self.restricted else 3, self.reference, one_matrix=True)

    def game(self, world: int) -> Game:
        """The matrix, and this world's references."""
        scores = np.asarray(SCORES)
        matrix: Array = expit(scores[:, None] - scores[None, :])
        if self.restricted:
            points = np.asarray(EXTREME_POINTS)
            return one_matrix_game(
                "munos_restricted", points @ matrix @ points.T, world, self.games, self.reference
            )
        game = one_matrix_game("munos_restricted", matrix, world, self.games, self.reference)
        return Game(game.preference_matrix, game.log_reference, np.tile(scores, (self.games, 1)))
