"""Algorithms that are wrong in one way each, for the checks to catch; built on the skeleton."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from nlhf_repro.interfaces import Advance, Fit, ImpossibleSettingError, Tie
from nlhf_repro.losses import SquaredPair
from nlhf_repro.templates.algorithm.my_algorithm import MyAlgorithm
from nlhf_repro.updates import mirror_step, win_rates

ALGORITHM = {
    "step_size": 0.5,
    "regularization": 0.1,
    "labels": "bernoulli",
    "gradient_steps": 20,
}


def updated(change):
    """An exact update whose result is changed afterwards."""

    def exact_update(self, state, game):
        return change(MyAlgorithm.exact_update(self, state, game), game)

    return exact_update


class Incomplete:
    """Guarantee: none. Departures: none."""


class Undocumented(MyAlgorithm):
    """Says nothing."""


class Unnormalized(MyAlgorithm):
    exact_update = updated(lambda state, game: replace(state, policy=1.1 * state.policy))


class Infinite(MyAlgorithm):
    exact_update = updated(lambda state, game: replace(state, log_policy=state.log_policy * np.inf))


class Uncounted(MyAlgorithm):
    exact_update = updated(lambda state, game: replace(state, updates=0))


class Mixing(MyAlgorithm):
    def exact_update(self, state, game):
        reward = win_rates(game, state.policy) + win_rates(game, state.policy).mean(axis=0)
        logits, policy = mirror_step(state.log_policy, reward, game.log_reference, 0.5, 0.1)
        return replace(state, log_policy=logits, policy=policy, updates=state.updates + 1)


class Writing(MyAlgorithm):
    def exact_update(self, state, game):
        moved = MyAlgorithm.exact_update(self, state, game)
        state.log_policy[:] += 0.5
        return moved


class Random(MyAlgorithm):
    def exact_update(self, state, game):
        noise = np.random.default_rng().random()
        return MyAlgorithm.exact_update(replace_step(self, self.step_size + noise), state, game)


class Still(MyAlgorithm):
    def exact_update(self, state, game):
        return replace(state, updates=state.updates + 1)


class MovingIdentity(MyAlgorithm):
    tie = Tie("identity")


class WrongSign(MyAlgorithm):
    """Improvement: promised, and false."""

    def exact_update(self, state, game):
        reward = -win_rates(game, state.policy)
        logits, policy = mirror_step(state.log_policy, reward, game.log_reference, 0.5, 0.1)
        return replace(state, log_policy=logits, policy=policy, updates=state.updates + 1)


class SignedTwice(MyAlgorithm):
    """Descends on both faces."""

    exact_update = WrongSign.exact_update

    def phases(self, iteration):
        for x in MyAlgorithm.phases(self, iteration):
            yield replace(x, loss=SquaredPair(-self.step_size)) if isinstance(x, Fit) else x


class Improving(MyAlgorithm):
    """Right, and promises it.

    Improvement: E under pi+ of P(y > ref) is at least 1/2, since pi+ tilts ref towards it.
    """


class WrongPoint(MyAlgorithm):
    fixed_point = "nash"


class UnknownPoint(MyAlgorithm):
    fixed_point = "somewhere"


class NoShare(MyAlgorithm):
    fixed_point = "mixture_point"


class NotEverywhere(MyAlgorithm):
    fixed_point = "population_minimiser"


class WrongMemory(MyAlgorithm):
    def initial_state(self, game):
        return replace(MyAlgorithm.initial_state(self, game), memory={"reward": np.zeros(3)})


class WrongScale(MyAlgorithm):
    def phases(self, iteration):
        collect, fit = MyAlgorithm.phases(self, iteration)
        yield collect
        yield replace(fit, loss=SquaredPair(2 * self.step_size))


class WrongAnchors(MyAlgorithm):
    """Differs from the second iteration on: the first anchors are one policy."""

    def phases(self, iteration):
        collect, fit = MyAlgorithm.phases(self, iteration)
        yield collect
        yield replace(fit, anchors={"current": 1.0})


class LateScale(MyAlgorithm):
    """Right for ten iterations."""

    def phases(self, iteration):
        for phase in MyAlgorithm.phases(self, iteration):
            late = isinstance(phase, Fit) and iteration >= 10
            yield replace(phase, loss=SquaredPair(100 * self.step_size)) if late else phase


class VeryLateScale(MyAlgorithm):
    """Right for fifty iterations."""

    def phases(self, iteration):
        for phase in MyAlgorithm.phases(self, iteration):
            late = isinstance(phase, Fit) and iteration >= 50
            yield replace(phase, loss=SquaredPair(2 * self.step_size)) if late else phase


class NoRate(MyAlgorithm):
    tie = Tie("gradient_step")


class WrongRate(MyAlgorithm):
    tie = Tie("gradient_step")

    def phases(self, iteration):
        collect, fit = MyAlgorithm.phases(self, iteration)
        yield collect
        yield replace(fit, gradient_steps=1, optimizer="continued")

    def learning_rate(self, actions, update):
        return 0.1


class Peeking(MyAlgorithm):
    """Is told answers and looks at probabilities."""

    def phases(self, iteration):
        collect, fit = MyAlgorithm.phases(self, iteration)
        yield replace(collect, labels="probability")
        yield fit


class LatePeeking(MyAlgorithm):
    def phases(self, iteration):
        kind = Peeking if iteration >= 50 else MyAlgorithm
        yield from kind.phases(self, iteration)


class Understated(MyAlgorithm):
    preference_evaluations = 0


class TowardsLosers(MyAlgorithm):
    tie = Tie("none", "finitely many steps")

    def phases(self, iteration):
        collect, fit = MyAlgorithm.phases(self, iteration)
        yield collect
        yield replace(fit, loss=SquaredPair(-self.step_size))


class LaterTowardsLosers(TowardsLosers):
    """Right in the first iteration, and away from another policy than the first."""

    def phases(self, iteration):
        kind = TowardsLosers if iteration else MyAlgorithm
        yield from kind.phases(self, iteration)


class NoReason(MyAlgorithm):
    tie = Tie("none")


class UnknownTie(MyAlgorithm):
    tie = Tie("somehow")


class Loss(SquaredPair):
    """Not linear in the answer: drawn answers and their mean have different gradients."""

    def __call__(self, log_ratio_gap, margin):
        return (log_ratio_gap - torch.tanh(3 * margin)) ** 2


class Biased(MyAlgorithm):
    tie = Tie("none", "a test")

    def phases(self, iteration):
        collect, fit = MyAlgorithm.phases(self, iteration)
        yield collect
        yield replace(fit, loss=Loss(1.0))


class BiasedInALimit(Biased):
    tie = Tie("minimiser", "in the limit of exact answers")


class Unseeded(MyAlgorithm):
    def phases(self, iteration):
        collect, fit = MyAlgorithm.phases(self, iteration)
        yield collect
        yield replace(fit, loss=SquaredPair(np.random.default_rng().random()))


class Untrained(MyAlgorithm):
    """Fits a policy that is never played."""

    def phases(self, iteration):
        collect, fit = MyAlgorithm.phases(self, iteration)
        yield collect
        yield replace(fit, produces="other")
        yield Advance("current", "reference")


@dataclass(frozen=True)
class Careless(MyAlgorithm):
    def __post_init__(self):
        pass


@dataclass(frozen=True)
class Crashing(MyAlgorithm):
    def __post_init__(self):
        if self.step_size < 0:
            raise ZeroDivisionError("a test")


@dataclass(frozen=True)
class Nameless(MyAlgorithm):
    def __post_init__(self):
        if self.step_size < 0:
            raise ImpossibleSettingError("a setting is wrong.")


@dataclass(frozen=True)
class Wordy(MyAlgorithm):
    def __post_init__(self):
        MyAlgorithm.__post_init__(self)
        if self.labels == "probability":
            raise ImpossibleSettingError("algorithm.labels = probability:\nis wrong.")


@dataclass(frozen=True)
class Unfinished(MyAlgorithm):
    def phases(self, iteration):
        if self.labels == "probability":
            raise NotImplementedError("later")
        yield from MyAlgorithm.phases(self, iteration)


def replace_step(algorithm, step_size):
    return MyAlgorithm(
        step_size, algorithm.regularization, algorithm.labels, algorithm.gradient_steps
    )
