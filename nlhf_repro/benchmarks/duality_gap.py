"""The duality gap of the preference game itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nlhf_repro.games import check_game, check_log_policy, log_space
from nlhf_repro.interfaces import Array, Game


@dataclass(frozen=True)
class DualityGap:
    """2 (max_y P(y over policy) - 1/2), in [0, 1]: what both players could gain, without a KL term.

    Twice the exploitability. The metric of ONPO and COMAL (their "equilibrium gap"); 0 exactly at
    the Nash equilibria of P.

    The gap is a difference of numbers near 1/2: measured at exact equilibria of 2 to 100 actions,
    its rounding stays below 4e-15. Values below `floor` are that noise.
    """

    floor: ClassVar[float] = 1e-14

    def score(self, game: Game, log_policy: Array) -> Array:
        """[points, games, actions] to [points, games]."""
        check_game(game)
        return log_space.duality_gap(game.preference_matrix, check_log_policy(log_policy, game))
