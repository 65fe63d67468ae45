"""The probability of one action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nlhf_repro.games import check_game, check_log_policy
from nlhf_repro.interfaces import Array, Game, ImpossibleSettingError


@dataclass(frozen=True)
class ActionProbability:
    """policy(action), in [0, 1]; actions are counted from 0.

    For games whose actions have names, such as the responses y1, y2, y3 of Munos et al.
    (arXiv:2312.00886), section 3.2.
    """

    action: int
    floor: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.action < 0:
            raise ImpossibleSettingError(
                f"benchmark.action_probability.action = {self.action} is no action: count from 0."
            )

    def score(self, game: Game, log_policy: Array) -> Array:
        """[points, games, actions] to [points, games].

        Raises:
            ImpossibleSettingError: The games have no such action.
        """
        check_game(game)
        if self.action >= game.actions:
            raise ImpossibleSettingError(
                f"benchmark.action_probability.action = {self.action} is not among the "
                f"{game.actions} actions, which are counted from 0: lower it."
            )
        return np.exp(check_log_policy(log_policy, game)[..., self.action])
