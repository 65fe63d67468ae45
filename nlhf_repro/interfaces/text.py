"""Language tasks: prompts, oracles that read text, what a policy answered, and benchmarks on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nlhf_repro.interfaces.games import Array

Split = Literal["training", "selection", "tuning", "evaluation"]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Prompt:
    """A conversation to respond to; its identifier is the cluster of every table.

    `details` is what a local oracle reads besides the text (the facts of a post); models never see
    it.
    """

    identifier: str
    messages: tuple[Message, ...]
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Demonstration:
    """A response to imitate."""

    prompt: Prompt
    response: str


@runtime_checkable
class PromptFamily(Protocol):
    """Where prompts come from (conf/prompts): the splits are disjoint and fixed for a world."""

    def prompts(self, split: Split, world: int) -> tuple[Prompt, ...]:
        """The prompts of a split; the same for every algorithm and training seed."""
        ...

    def demonstrations(self, world: int) -> tuple[Demonstration, ...]:
        """What supervised fine-tuning imitates, on training prompts; empty where there is none."""
        ...

    def vocabulary(self) -> tuple[str, ...]:
        """Every word of prompts and responses, for a word-level tokenizer; empty if unbounded."""
        ...


@runtime_checkable
class TextOracle(Protocol):
    """Answers P(first preferred over second given the prompt) about texts, element by element."""

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """Probabilities in [0, 1], [items]; 1 - P for exchanged responses."""
        ...

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """Scalar rewards [items]; ImpossibleSettingError where the oracle has none."""
        ...


@runtime_checkable
class FeatureOracle(TextOracle, Protocol):
    """A text oracle that reads a few features of a response, so that its best response is known.

    A responder type is a combination of features that some response to every prompt has.
    """

    feature_names: tuple[str, ...]

    def features(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """What the oracle sees of the responses, [items, features]."""
        ...

    def responder_preference(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """P(a response of the type preferred over the response), [items, types].

        The types contain, for every prompt, the best response to any mixture of responses.
        """
        ...

    def responder_response(self, prompt: Prompt, responder: int) -> str:
        """A response of the type to the prompt, as text."""
        ...


@runtime_checkable
class GroupedOracle(TextOracle, Protocol):
    """A text oracle that mixes groups of people, whose own answers are known."""

    group_names: tuple[str, ...]

    def group_preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """P(first preferred over second) of every group, [items, groups]."""
        ...


@runtime_checkable
class TextOracleFamily(Protocol):
    """A configured oracle (conf/oracle): one for every world."""

    def oracle(self, world: int) -> TextOracle:
        """The oracle of this world, the same for every algorithm and training seed."""
        ...


@dataclass(frozen=True)
class Occasion:
    """When an oracle is asked in training: what drifts or draws depends on it.

    `progress` is the share of the iterations that are over, in [0, 1). `draws` has a name for every
    item, the same where a run is resumed and no other anywhere: it numbers the run's comparisons.
    """

    progress: float
    draws: tuple[str, ...]


@runtime_checkable
class OccasionalOracle(TextOracle, Protocol):
    """A text oracle whose answers are draws, or change in the course of training."""

    def preference_on(
        self,
        prompts: Sequence[Prompt],
        first: Sequence[str],
        second: Sequence[str],
        occasion: Occasion,
    ) -> Array:
        """Answers in [0, 1], [items]; equal occasions have equal answers."""
        ...


@runtime_checkable
class DriftingOracle(OccasionalOracle, Protocol):
    """A text oracle that changes in the course of training; unasked when, it is the last one."""

    def at(self, progress: float) -> TextOracle:
        """The oracle as it is at a share of the iterations, in [0, 1]."""
        ...


@dataclass(frozen=True)
class OracleCost:
    """What a comparison, and a response that is judged, cost before any cache.

    `bernoulli`: an answer is a draw, whatever the labels of the algorithm say.
    """

    ordered_passes: int = 1  # of a comparison model over an ordered pair, a comparison
    scores: int = 0  # scalar scores, a response
    paid_calls: int = 0  # requests to a judge, a comparison
    bernoulli: bool = False


@runtime_checkable
class PricedOracle(TextOracle, Protocol):
    """A text oracle that says what its answers cost; others cost a pass a comparison."""

    @property
    def cost(self) -> OracleCost:
        """What a comparison and a response cost."""
        ...


@runtime_checkable
class KeepsAnswers(Protocol):
    """What asks a judge, or is slow, and keeps answers so that none is asked twice."""

    def keep_answers(self, path: Path) -> None:
        """Keep answers in this SQLite file from now on, and take those that are in it."""
        ...


@runtime_checkable
class TextOracleWrapper(Protocol):
    """A configured change of a text oracle's answers (conf/oracle_wrapper)."""

    def wrap_text(self, oracle: TextOracle) -> TextOracle:
        """The changed oracle, which passes on occasions, costs and drift (see `asked_on`)."""
        ...


def asked_on(
    oracle: TextOracle,
    prompts: Sequence[Prompt],
    first: Sequence[str],
    second: Sequence[str],
    occasion: Occasion | None,
) -> Array:
    """The oracle's answers on the occasion, or outside of training where there is none."""
    if occasion is not None and isinstance(oracle, OccasionalOracle):
        return oracle.preference_on(prompts, first, second, occasion)
    return oracle.preference(prompts, first, second)


def cost_of(oracle: TextOracle) -> OracleCost:
    """What its answers cost."""
    return oracle.cost if isinstance(oracle, PricedOracle) else OracleCost()


def depends_on_company(oracle: TextOracle) -> bool:
    """Whether an answer depends on what else is asked in the same call.

    An oracle says so by an attribute `answers_depend_on_company`; without it, it does not.
    """
    return bool(getattr(oracle, "answers_depend_on_company", False))


def oracle_at(oracle: TextOracle, progress: float) -> TextOracle:
    """The oracle as it is at a share of the iterations; itself where it does not change."""
    return oracle.at(progress) if isinstance(oracle, DriftingOracle) else oracle


@dataclass(frozen=True)
class PolicySamples:
    """What a policy answered to prompts: S independent responses each, as text, and their costs.

    Log-probabilities are sums over response tokens, the end-of-sequence token included.
    """

    prompts: tuple[Prompt, ...]
    responses: tuple[tuple[str, ...], ...]  # [prompts][samples]
    tokens: NDArray[np.int64]  # [prompts, samples], the end-of-sequence token included
    ended: NDArray[np.bool_]  # [prompts, samples]: whether the response ended by itself
    log_prob: Array  # [prompts, samples], under the policy that drew them
    reference_log_prob: Array  # [prompts, samples], under the reference policy


@runtime_checkable
class TextBenchmark(Protocol):
    """Scores what a policy answered to the evaluation prompts, one value a prompt."""

    @property
    def floor(self) -> float:
        """Values below are numerical noise; 0 where there is no floor."""
        ...

    def score_samples(
        self, policy: PolicySamples, reference: PolicySamples, oracle: TextOracle
    ) -> Array:
        """One value a prompt, [prompts].

        `reference` holds the reference policy's answers to the same prompts, and `oracle` is the
        true one, whatever training saw.
        """
        ...


@runtime_checkable
class LearnedOracleWrapper(Protocol):
    """A wrapper that learns an oracle from comparisons of the reference policy's responses."""

    comparisons: int  # asked before training, and counted in its ledger

    def learn(
        self,
        oracle: TextOracle,
        prompts: Sequence[Prompt],
        first: Sequence[str],
        second: Sequence[str],
        answers: Array,
    ) -> TextOracle:
        """The learned oracle; `answers` [comparisons] are 1 where first was preferred, else 0."""
        ...
