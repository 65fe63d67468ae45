"""Parts that are wrong in one way each, for the checks to catch; built on the shipped skeletons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from nlhf_repro.interfaces import Advance, Game, ImpossibleSettingError, Tie
from nlhf_repro.losses import SquaredPair
from nlhf_repro.models.tabular_softmax import SoftmaxPolicy
from nlhf_repro.templates.algorithm.my_algorithm import MyAlgorithm
from nlhf_repro.templates.benchmark.my_benchmark import MyBenchmark
from nlhf_repro.templates.oracle.my_oracle import MyOracle
from nlhf_repro.updates import mirror_step, win_rates

ALGORITHM = {
    "step_size": 0.5,
    "regularization": 0.1,
    "labels": "bernoulli",
    "gradient_steps": 20,
}
ORACLE = {"games": 3, "actions": 4, "scale": 1.0, "reference": "normal_logits"}


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
    """Descends.

    Improvement: promised, and false.
    """

    def exact_update(self, state, game):
        reward = -win_rates(game, state.policy)
        logits, policy = mirror_step(state.log_policy, reward, game.log_reference, 0.5, 0.1)
        return replace(state, log_policy=logits, policy=policy, updates=state.updates + 1)


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


# --- oracles


def drawn(change):
    """A family whose games are changed afterwards."""

    def game(self, world):
        return change(MyOracle.game(self, world))

    return game


def first_entry(game, by):
    matrix = game.preference_matrix.copy()
    matrix[0, 0, 1] += by
    return replace(game, preference_matrix=matrix)


class Asymmetric(MyOracle):
    game = drawn(lambda game: first_entry(game, 0.01))


class SlightlyAsymmetric(MyOracle):
    game = drawn(lambda game: first_entry(game, 3e-14))


class OutOfRange(MyOracle):
    game = drawn(lambda game: replace(game, preference_matrix=2 * game.preference_matrix - 0.5))


class Unscaled(MyOracle):
    game = drawn(lambda game: replace(game, log_reference=game.log_reference + 1))


class Scored(MyOracle):
    game = drawn(lambda game: replace(game, scores=np.zeros_like(game.log_reference)))


class Restless(MyOracle):
    def game(self, world):
        return MyOracle.game(self, int(np.random.default_rng().integers(1_000_000)))


class OneWorld(MyOracle):
    def game(self, world):
        return MyOracle.game(self, 0)


class Squaring:
    """A wrapper after which an answer and its opposite no longer sum to 1."""

    def wrap(self, oracle):
        class Squared:
            def preference(self, prompts, first, second):
                return oracle.preference(prompts, first, second) ** 2

            score = oracle.score

        return Squared()


# --- benchmarks


class Flat(MyBenchmark):
    def score(self, game, log_policy):
        return MyBenchmark.score(self, game, log_policy).ravel()


class BelowZero(MyBenchmark):
    floor = -1.0


class Overwriting(MyBenchmark):
    def score(self, game, log_policy):
        scores = MyBenchmark.score(self, game, log_policy)
        log_policy *= 2
        return scores


class Relative(MyBenchmark):
    def score(self, game, log_policy):
        scores = MyBenchmark.score(self, game, log_policy)
        return scores - scores.mean(axis=1, keepdims=True)


class NoGap(MyBenchmark):
    floor: ClassVar[float] = 1e-12


class FirstAction(MyBenchmark):
    def score(self, game, log_policy):
        return np.exp(log_policy[..., 0])


# --- models


def model(policy_of):
    """A model that builds the policy which `policy_of(logits)` returns."""

    class Model:
        free_logits = True

        def build(self, game: Game, generator):
            return policy_of(torch.from_numpy(game.log_reference.copy()))

    return Model


Shifted = model(lambda logits: SoftmaxPolicy(logits + 0.1 * torch.arange(logits.shape[1])))


class Unnormal(SoftmaxPolicy):
    def log_policy(self):
        return 1.01 * self.logits


UnnormalModel = model(Unnormal)


class Sharing(SoftmaxPolicy):
    def __init__(self, logits):
        super().__init__(logits)
        self.shared = torch.nn.Parameter(torch.zeros(logits.shape[1], dtype=torch.float64))

    def log_policy(self):
        return torch.log_softmax(self.logits + self.shared, dim=-1)


SharingModel = model(Sharing)


class Aliasing(SoftmaxPolicy):
    def snapshot(self, optimizer_state):
        kept = super().snapshot(optimizer_state)
        return replace(kept, parameters={"logits": self.logits.detach()})


AliasingModel = model(Aliasing)


class Uniform(SoftmaxPolicy):
    def sample(self, mixture, temperature, prompts, responses, generator):
        return super().sample(mixture, float("inf"), prompts, responses, generator)


UniformModel = model(Uniform)
