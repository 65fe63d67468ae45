"""How far a policy has gone from its reference, in log-probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nlhf_repro.games import check_game, check_log_policy
from nlhf_repro.interfaces import Array, Game


@dataclass(frozen=True)
class LogRatioToReference:
    """max_y |log policy(y) - log reference(y)| in nats; inf for a policy without full support.

    INPO's Assumption A bounds it. Exact updates that start at the reference with step_size at most
    1/tau keep it at or below 1/tau.
    """

    floor: ClassVar[float] = 0.0

    def score(self, game: Game, log_policy: Array) -> Array:
        """[points, games, actions] to [points, games]."""
        check_game(game)
        ratios = check_log_policy(log_policy, game) - game.log_reference
        return np.asarray(np.abs(ratios).max(axis=-1))
