"""What stands for uniform responses, which cannot be drawn from all texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import isinf

from nlhf_repro.interfaces import Collect, Phase, Responder


def with_proxies(phases: Iterable[Phase], temperature: float | None) -> Iterator[Phase]:
    """The phases, their uniform responders replaced by the same policies at a temperature.

    As they are where the temperature is None: a language model refuses uniform responders itself.
    """

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
