"""Algorithms that are wrong in what they remember: moving references and other players."""

from __future__ import annotations

from dataclasses import replace

from broken_algorithms import ALGORITHM

from nlhf_repro.algorithms.comal import COMAL
from nlhf_repro.algorithms.mnpo import MNPO
from nlhf_repro.interfaces import Fit
from nlhf_repro.updates import softmax, win_rates

REFERENCE = ALGORITHM | {"period": 50}
PLAYERS = ALGORITHM | {"regularization": 0.0, "players": 3, "start_spread": 0.0}


class NeverMovingReference(COMAL):
    """Declares a Nash equilibrium, and anchors both faces at the first reference for ever."""

    def exact_update(self, state, game):
        anchored = replace(game, log_reference=state.memory["reference"])
        return replace(self.inner.exact_update(state, anchored), memory=state.memory)

    def phases(self, iteration):
        yield from self.inner.phases(iteration)


class StillReference(COMAL):
    """Remembers what nothing reads and nothing moves."""

    def exact_update(self, state, game):
        return replace(self.inner.exact_update(state, game), memory=state.memory)


class HalfMovingReference(COMAL):
    """Moves the reference of the exact face alone."""

    def phases(self, iteration):
        yield from self.inner.phases(iteration)


class HiddenReference(HalfMovingReference):
    """The same, remembered under a name that the phases do not know."""

    def initial_state(self, game):
        return replace(COMAL.initial_state(self, game), memory={"anchor": game.log_reference})

    def exact_update(self, state, game):
        known = replace(state, memory={"reference": state.memory["anchor"]})
        moved = COMAL.exact_update(self, known, game)
        return replace(moved, memory={"anchor": moved.memory["reference"]})


class UncoupledPlayers(MNPO):
    """Players of one start are right; those of others play only themselves."""

    def exact_update(self, state, game):
        logits = {"current": state.log_policy, **state.memory}
        moved = {
            name: softmax(each + self.step_size * win_rates(game, softmax(each)[1]))
            for name, each in logits.items()
        }
        log_policy, policy = moved.pop("current")
        memory = {name: each[0] for name, each in moved.items()}
        return replace(
            state, log_policy=log_policy, policy=policy, updates=state.updates + 1, memory=memory
        )

    def phases(self, iteration):
        for phase in MNPO.phases(self, iteration):
            yield replace(phase, anchors={phase.start: 1.0}) if isinstance(phase, Fit) else phase
