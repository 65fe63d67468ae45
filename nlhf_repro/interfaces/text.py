"""Language tasks: prompts, oracles that read text, what a policy answered, and benchmarks on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
class TextOracleFamily(Protocol):
    """A configured oracle (conf/oracle): one for every world."""

    def oracle(self, world: int) -> TextOracle:
        """The oracle of this world, the same for every algorithm and training seed."""
        ...


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
