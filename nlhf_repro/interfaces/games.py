"""Games, states and what an algorithm declares of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FixedPoint = Literal[
    "regularized_nash",
    "nash",
    "mixture_point",
    "best_response_to_reference",
    "bradley_terry_optimum",
    "population_minimiser",  # of a loss whose data do not depend on the policy: one update away
    "start",
    "none",
]
TieKind = Literal["minimiser", "gradient_step", "identity", "none"]


class ImpossibleSettingError(ValueError):
    """A setting, or a combination of settings, that has no meaning: said before any work begins."""


@dataclass(frozen=True)
class Game:
    """A batch of symmetric preference games with a reference policy each.

    `preference_matrix[g, i, j]` is P(i preferred over j), in [0, 1], with P + P^T = 1.
    `log_reference` is normalized; every reference has full support.
    `scores` are the Bradley-Terry scores where P[i, j] = sigmoid(score_i - score_j), else None.
    """

    preference_matrix: Array  # [games, actions, actions]
    log_reference: Array  # [games, actions]
    scores: Array | None = None  # [games, actions]

    @property
    def games(self) -> int:
        """Number of games."""
        return int(self.preference_matrix.shape[0])

    @property
    def actions(self) -> int:
        """Number of actions of every game."""
        return int(self.preference_matrix.shape[-1])


@dataclass(frozen=True)
class ExactState:
    """What an exact (population) update maps to its successor.

    `log_policy` is defined up to a constant per game; `policy` is its softmax.
    `memory` holds what an algorithm carries besides, as log-policies [games, actions]: a moving
    reference, an average, other players. What is named as the phases name a policy is that policy,
    so that both faces can be compared from any state.
    """

    log_policy: Array  # [games, actions]
    policy: Array  # [games, actions]
    updates: int = 0
    memory: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Tie:
    """How the sampled face belongs to the exact one.

    minimiser: the exact update is the minimiser of the expected sampled loss.
    gradient_step: the exact update is one plain gradient step on the expected sampled loss of a
    softmax policy, at the rate `learning_rate(actions, update)` of the algorithm.
    identity: both faces leave the policy as it is. none: `reason` says why there is no tie.
    """

    kind: TieKind
    reason: str = ""
