"""A fixed policy: the reference itself, the row that every table compares against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from nlhf_repro.interfaces import ExactState, FixedPoint, Game, Phase, Tie
from nlhf_repro.updates import reference_state


@final
@dataclass(frozen=True)
class Fixed:
    """The reference policy, never trained. Guarantee: none. Departures: none.

    `regularization` is read by benchmarks of the regularized game alone.
    """

    regularization: float

    @property
    def fixed_point(self) -> FixedPoint:
        """Wherever it starts."""
        return "start"

    @property
    def tie(self) -> Tie:
        """Neither face moves."""
        return Tie("identity")

    @property
    def preference_evaluations(self) -> int:
        """None are needed."""
        return 0

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The same policy."""
        return ExactState(state.log_policy, state.policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """No phase."""
        yield from ()

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: nothing is trained."""
        return None
