"""Games of a population of groups that each have a reward of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from nlhf_repro.games import complete_preferences
from nlhf_repro.interfaces import Array, Game, ImpossibleSettingError
from nlhf_repro.oracles.references import (
    Reference,
    draw,
    refuse_impossible,
    refuse_unless_positive,
)


@dataclass(frozen=True)
class Population:
    """P = sum_k weight_k sigmoid(u_k(i) - u_k(j)): a comparison is answered by a random member.

    Utilities are independent N(0, scale^2), drawn group by group after the reference. Two groups of
    equal weight never have a majority cycle, as sigmoid(a) + sigmoid(b) > 1 exactly when a + b > 0;
    from three groups on cycles occur. `games.cycle_share` tells how many there are.
    """

    games: int
    actions: int
    weights: Sequence[float]
    scale: float
    reference: Reference

    def __post_init__(self) -> None:
        refuse_impossible(self.games, self.actions, self.reference, one_matrix=False)
        refuse_unless_positive("scale", self.scale)
        weights = list(self.weights)
        if len(weights) < 2:
            raise ImpossibleSettingError(
                f"oracle.weights = {weights} is not a population: give at least 2 weights, or take "
                "oracle=bradley_terry."
            )
        if min(weights) <= 0 or abs(sum(weights) - 1) > 1e-9:
            raise ImpossibleSettingError(
                f"oracle.weights = {weights} must be positive shares that sum to 1."
            )

    def game(self, world: int) -> Game:
        """The games of this world."""
        log_reference, streams = draw("population", world, self.games, self.actions, self.reference)
        return Game(np.stack([self._matrix(stream) for stream in streams]), log_reference)

    def _matrix(self, stream: np.random.Generator) -> Array:
        utilities = self.scale * stream.standard_normal((len(self.weights), self.actions))
        preferences = expit(utilities[:, :, None] - utilities[:, None, :])
        shares = np.asarray(tuple(self.weights), dtype=np.float64)
        return complete_preferences(np.einsum("k,kij->ij", shares / shares.sum(), preferences))
