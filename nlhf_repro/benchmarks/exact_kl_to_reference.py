"""The divergence from the reference, on games."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nlhf_repro.games import check_game, check_log_policy, log_space
from nlhf_repro.interfaces import Array, Game


@dataclass(frozen=True)
class ExactKLToReference:
    """KL(policy || reference) in nats, the quantity that a KL term weighs with tau.

    The exact side of `kl_to_reference`, which estimates it from a language model's answers. At most
    `reference_divergence`; finite without full support, as 0 log 0 = 0.
    """

    floor: ClassVar[float] = 0.0

    def score(self, game: Game, log_policy: Array) -> Array:
        """[points, games, actions] to [points, games]."""
        check_game(game)
        return log_space.kl_divergence(check_log_policy(log_policy, game), game.log_reference)
