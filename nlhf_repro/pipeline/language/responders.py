"""What stands for uniform responses, which cannot be drawn from all texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import isinf
from typing import final

from nlhf_repro.interfaces import (
    Algorithm,
    Collect,
    ExactState,
    FixedPoint,
    Game,
    Phase,
    Responder,
    Tie,
)


@final
@dataclass(frozen=True)
class WithProxies:
    """The algorithm, its uniform responders replaced by the same policies at a temperature."""

    algorithm: Algorithm
    temperature: float | None

    @property
    def regularization(self) -> float:
        """The algorithm's."""
        return self.algorithm.regularization

    @property
    def fixed_point(self) -> FixedPoint:
        """The algorithm's."""
        return self.algorithm.fixed_point

    @property
    def tie(self) -> Tie:
        """The algorithm's."""
        return self.algorithm.tie

    @property
    def preference_evaluations(self) -> int:
        """The algorithm's."""
        return self.algorithm.preference_evaluations

    def initial_state(self, game: Game) -> ExactState:
        """The algorithm's."""
        return self.algorithm.initial_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The algorithm's."""
        return self.algorithm.exact_update(state, game)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """The algorithm's, with proxies."""
        return _with_proxies(self.algorithm.phases(iteration), self.temperature)

    def learning_rate(self, actions: int, update: int) -> float | None:
        """The algorithm's."""
        return self.algorithm.learning_rate(actions, update)


def _with_proxies(phases: Iterable[Phase], temperature: float | None) -> Iterator[Phase]:
    def proxy(responder: Responder) -> Responder:
        if temperature is None or not isinf(responder.temperature):
            return responder
        return replace(responder, temperature=temperature)

    for phase in phases:
        if isinstance(phase, Collect):
            opponent = tuple(proxy(each) for each in phase.opponent)
            yield replace(phase, candidate=proxy(phase.candidate), opponent=opponent)
        else:
            yield phase
