"""A cycle of three actions that dominate all others, and a reference that hardly plays them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlhf_repro.games import complete_preferences, log_space
from nlhf_repro.interfaces import Array, Game, ImpossibleSettingError
from nlhf_repro.oracles.references import Reference, draw, refuse_impossible

CYCLE = 3
STRENGTHS = (0.1, 0.4)


@dataclass(frozen=True)
class DominatedActions:
    """Actions 0, 1, 2 form a cycle and beat each of the others with 1/2 + dominance; those tie.

    Ours. In the cycle 0 beats 1, 1 beats 2 and 2 beats 0 with 1/2 + s, each game with its own s_01,
    s_12, s_20 uniform on [0.1, 0.4]. The equilibrium of P is unique and in closed form:
    proportional to (s_12, s_20, s_01) on the cycle and 0 elsewhere, because the cycle's equilibrium
    wins at least `dominance` more than any other action against every opponent.

    `support_exponent` k moves the reference: its mass on the cycle becomes exp(-k), what it says
    within the cycle and within the rest stays; None leaves it as drawn. A policy that plays the
    cycle alone then has a log-ratio to the reference of at least k on some action, so that a bound
    below k on log-ratios (INPO's Assumption A) keeps a policy from the equilibrium.
    """

    games: int
    actions: int
    dominance: float
    support_exponent: float | None
    reference: Reference

    def __post_init__(self) -> None:
        refuse_impossible(self.games, self.actions, self.reference, one_matrix=False)
        if self.actions <= CYCLE:
            raise ImpossibleSettingError(
                f"oracle.actions = {self.actions} leaves no action to dominate: give at least 4."
            )
        if not 0 < self.dominance <= 0.5:
            raise ImpossibleSettingError(
                f"oracle.dominance = {self.dominance} must be in (0, 1/2]: a preference "
                "is 1/2 + dominance."
            )
        if self.support_exponent is not None and not 0 < self.support_exponent <= 700:
            raise ImpossibleSettingError(
                f"oracle.support_exponent = {self.support_exponent} must be in (0, 700]: the "
                "reference's mass on the cycle is exp(-support_exponent)."
            )

    def game(self, world: int) -> Game:
        """The games of this world."""
        log_reference, streams = draw(
            "dominated_actions", world, self.games, self.actions, self.reference
        )
        lower = np.full((self.games, self.actions, self.actions), 0.5)
        lower[:, CYCLE:, :CYCLE] = 0.5 - self.dominance
        strengths = np.stack([stream.uniform(*STRENGTHS, CYCLE) for stream in streams])
        # The lower triangle holds 1 over 0, 2 over 1 and 2 over 0.
        lower[:, [1, 2], [0, 1]] = 0.5 - strengths[:, :2]
        lower[:, 2, 0] = 0.5 + strengths[:, 2]
        return Game(complete_preferences(lower), self._moved(log_reference))

    def _moved(self, log_reference: Array) -> Array:
        if self.support_exponent is None:
            return log_reference
        inside = log_space.log_normalize(log_reference[:, :CYCLE]) - self.support_exponent
        outside = log_space.log_normalize(log_reference[:, CYCLE:])
        outside += np.log(-np.expm1(-self.support_exponent))
        return np.concatenate([inside, outside], axis=-1)
