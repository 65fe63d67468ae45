"""Answers and oracles' replies that give no honest score are refused in one sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from text_games import MATRIX, ORACLE, REFERENCE, MatrixOracle, answers, drawn, prompts, sentence

from nlhf_repro.benchmarks.answers import UnusableAnswersError
from nlhf_repro.benchmarks.ended_share import EndedShare
from nlhf_repro.benchmarks.kl_to_reference import KLToReference
from nlhf_repro.benchmarks.largest_log_ratio import LargestLogRatio
from nlhf_repro.benchmarks.oracle_exploitability import OracleExploitability
from nlhf_repro.benchmarks.oracle_win_rate import OracleWinRate
from nlhf_repro.benchmarks.policy_entropy import PolicyEntropy
from nlhf_repro.benchmarks.response_feature import ResponseFeature
from nlhf_repro.benchmarks.response_length import ResponseLength
from nlhf_repro.benchmarks.sampled_regularized_gap import SampledRegularizedGap


class Replying(MatrixOracle):
    """Gives one wrong reply, to the question about the third prompt."""

    wrong = float("nan")

    def _broken(self, values, prompts):
        values = np.array(values)
        values[[prompt.identifier for prompt in prompts].index("post 2")] = self.wrong
        return values

    def preference(self, prompts, first, second):
        return self._broken(super().preference(prompts, first, second), prompts)

    def responder_preference(self, prompts, responses):
        return self._broken(super().responder_preference(prompts, responses), prompts)

    def features(self, prompts, responses):
        return self._broken(super().features(prompts, responses), prompts)


ASKING = [
    OracleWinRate(),
    OracleExploitability(),
    SampledRegularizedGap(0.5, 1.0, "gap"),
]


@pytest.mark.parametrize("benchmark", ASKING, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("wrong", [float("nan"), 1.001, -0.001, float("inf")])
def test_replies_that_are_no_probability_are_refused_by_prompt(benchmark, wrong):
    class Wrong(Replying):
        pass

    Wrong.wrong = wrong
    policy, reference = drawn(0, REFERENCE, 4, 3), drawn(1, REFERENCE, 4, 3)
    said = sentence(
        benchmark.score_samples, policy, reference, Wrong(MATRIX), kind=UnusableAnswersError
    )
    assert f"{wrong} to a question about the prompt 'post 2'" in said


def test_features_that_are_no_number_are_refused_by_prompt():
    policy = drawn(0, REFERENCE, 4, 3)
    benchmark = ResponseFeature("quality")
    said = sentence(benchmark.score_samples, policy, policy, Replying(MATRIX))
    assert "quality nan" in said and "'post 2'" in said


def test_replies_of_another_shape_are_refused():
    class Short(MatrixOracle):
        def preference(self, prompts, first, second):
            return super().preference(prompts, first, second)[1:]

        def features(self, prompts, responses):
            return super().features(prompts, responses)[:, :2]

        def responder_preference(self, prompts, responses):
            return super().responder_preference(prompts, responses)[:, :0]

    policy, oracle = drawn(0, REFERENCE, 3, 2), Short(MATRIX)
    for benchmark in (*ASKING, ResponseFeature("style")):
        assert "shape" in sentence(benchmark.score_samples, policy, policy, oracle)


EVERY = [*ASKING, KLToReference("k1"), LargestLogRatio(), PolicyEntropy(), EndedShare()]
EVERY += [ResponseLength(), ResponseFeature("style")]


@pytest.mark.parametrize("benchmark", EVERY, ids=lambda one: type(one).__name__)
def test_answers_that_do_not_belong_together_are_refused(benchmark):
    good = drawn(0, REFERENCE, 3, 4)

    def said(policy, reference=good):
        return sentence(benchmark.score_samples, policy, reference, ORACLE)

    assert "at least one prompt" in said(replace(good, prompts=(), responses=()))
    empty = answers(np.empty((3, 0), dtype=int), np.ones(1), np.ones(1))
    assert "has 0 answers" in said(empty)
    ragged = replace(good, responses=(*good.responses[:2], good.responses[2][:3]))
    assert "'post 2' has 3 answers" in said(ragged)
    assert "log_prob has the shape (3, 3)" in said(replace(good, log_prob=good.log_prob[:, :3]))
    cost = good.reference_log_prob.copy()
    cost[1, 2] = -np.inf
    assert "answer 2 to the prompt 'post 1' is -inf" in said(replace(good, reference_log_prob=cost))


@pytest.mark.parametrize("benchmark", [ASKING[0], ASKING[2]], ids=lambda one: type(one).__name__)
def test_other_prompts_of_the_reference_are_refused(benchmark):
    good = drawn(0, REFERENCE, 3, 4)
    other = replace(good, prompts=(*good.prompts[:2], prompts(5)[4]))
    said = sentence(benchmark.score_samples, good, other, ORACLE)
    assert "'post 2'" in said and "'post 4'" in said
    fewer = drawn(0, REFERENCE, 2, 4)
    assert "answered 3 prompts" in sentence(benchmark.score_samples, good, fewer, ORACLE)
