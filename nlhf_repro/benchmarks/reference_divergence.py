"""How far any policy can be from the reference: the constant D of regret bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nlhf_repro.games import check_game, check_log_policy
from nlhf_repro.interfaces import Array, Game


@dataclass(frozen=True)
class ReferenceDivergence:
    """D = max_pi KL(pi || reference) = max_y -log reference(y) in nats, the same at every point.

    The constant of INPO's Theorem 3 (arXiv:2407.00617) and of the mirror-descent bounds.
    """

    floor: ClassVar[float] = 0.0

    def score(self, game: Game, log_policy: Array) -> Array:
        """[points, games, actions] to [points, games]."""
        check_game(game)
        points = check_log_policy(log_policy, game).shape[0]
        return np.tile(-game.log_reference.min(axis=-1), (points, 1))
