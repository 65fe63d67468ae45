"""Oracles, benchmarks and models that are wrong in one way each, for the checks to catch."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch

from nlhf_repro.interfaces import Game, ImpossibleSettingError
from nlhf_repro.models.tabular_softmax import SoftmaxPolicy
from nlhf_repro.templates.benchmark.my_benchmark import MyBenchmark
from nlhf_repro.templates.oracle.my_oracle import MyOracle

ORACLE = {"games": 3, "actions": 4, "scale": 1.0, "reference": "normal_logits"}


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


# --- benchmarks of answers


class GoodSamples:
    """Mean length of the answers; keeps everything that is promised."""

    floor = 0.0

    def score_samples(self, policy, reference, oracle):
        if not policy.tokens.size:
            raise ImpossibleSettingError("There is no answer: draw some.")
        return self.lengths(policy).mean(axis=1)

    def lengths(self, policy):
        return policy.tokens.astype(float)


class FlatSamples(GoodSamples):
    def score_samples(self, policy, reference, oracle):
        return self.lengths(policy)


class BelowZeroSamples(GoodSamples):
    floor = -1.0


class OverwritingSamples(GoodSamples):
    def score_samples(self, policy, reference, oracle):
        policy.log_prob[0] = 0.0
        return GoodSamples.score_samples(self, policy, reference, oracle)


class InfiniteSamples(GoodSamples):
    def lengths(self, policy):
        return np.where(policy.tokens > 15, np.inf, policy.tokens)


class RelativeSamples(GoodSamples):
    def lengths(self, policy):
        return policy.tokens - policy.tokens.mean()


class FirstAnswer(GoodSamples):
    def lengths(self, policy):
        return policy.tokens[:, :1]


class HalfAnswers(GoodSamples):
    """Says that it uses a half of the answers, and adds to all prompts what the first one was."""

    def lengths(self, policy):
        return policy.tokens + policy.log_prob[0, 0]


class RestlessSamples(GoodSamples):
    def lengths(self, policy):
        return policy.tokens + np.random.default_rng().random()


class EagerSamples(GoodSamples):
    def score_samples(self, policy, reference, oracle):
        return np.zeros(len(policy.prompts))


class CrashingSamples(GoodSamples):
    def score_samples(self, policy, reference, oracle):
        return np.full(len(policy.prompts), 1 / len(policy.prompts) / policy.tokens.shape[1])


class TrustingSamples(GoodSamples):
    def lengths(self, policy):
        return policy.tokens

    def score_samples(self, policy, reference, oracle):
        first = [answers[0] for answers in policy.responses]
        return oracle.preference(policy.prompts, first, first[::-1])


class NamelessSamples(TrustingSamples):
    def score_samples(self, policy, reference, oracle):
        found = TrustingSamples.score_samples(self, policy, reference, oracle)
        if np.isnan(found).any():
            raise ImpossibleSettingError("The oracle is broken.")
        return found


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
