"""What training sees of the oracle: its wrappers, what they learned, and what that has cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, final, runtime_checkable

import numpy as np

from nlhf_repro.interfaces import (
    LearnedOracleWrapper,
    Ledger,
    Snapshot,
    TextOracle,
    TextOracleWrapper,
    cost_of,
)
from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy
from nlhf_repro.pipeline.collection import with_answers
from nlhf_repro.pipeline.language.prompts import NumberedOracle, Occasions, PromptDeck
from nlhf_repro.seeds import Generators


@runtime_checkable
class Counting(Protocol):
    """An oracle that counts something of itself, by name."""

    counts: Mapping[str, int]


@final
class Tallies:
    """What oracles have counted since it was last taken, by the name of their part."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, Counting]] = []
        self._taken: dict[str, int] = {}

    def watch(self, part: object, oracle: object) -> None:
        """Take the oracle's counts too, if it counts, under the name of the part it came from."""
        if isinstance(oracle, Counting):
            self._parts.append((type(part).__name__, oracle))

    def take(self) -> dict[str, int]:
        """By part and name what has come since the last time; what has not is left out."""
        now = {f"{part}.{k}": n for part, oracle in self._parts for k, n in oracle.counts.items()}
        more = {key: count - self._taken.get(key, 0) for key, count in now.items()}
        self._taken = now
        return {key: count for key, count in more.items() if count}


@final
@dataclass(frozen=True)
class Seen:
    """The oracle as training asks it, the ledger of learning it, and the prompts that this saw."""

    oracle: NumberedOracle
    ledger: Ledger
    prompts: set[int]
    tallies: Tallies


def wrapped(
    oracle: TextOracle,
    wrappers: Sequence[Any],
    policy: CausalLanguageModelPolicy,
    reference: Snapshot,
    generators: Generators,
    iterations: int,
) -> Seen:
    """What training sees of the oracle, innermost wrapper first, and what learning it has cost.

    A learned wrapper is fitted to answers about pairs of the reference policy's responses, drawn
    ones or (its `labels: probability`) exact ones, all of them asked when no iteration is over.
    Names of comparisons derive from the run's seed factors: matched rows share them.
    """
    label = generators("names of comparisons").bytes(16).hex()
    seen, tallies = oracle, Tallies()
    tallies.watch(oracle, oracle)
    ledger = Ledger(problems=1)
    drawn: set[int] = set()
    for index, wrapper in enumerate(wrappers):
        if isinstance(wrapper, LearnedOracleWrapper):
            numbered = NumberedOracle(seen, policy, Occasions(f"{label}/learned {index}", 1))
            seen, ledger = _learned(
                oracle, numbered, wrapper, index, policy, reference, generators, drawn, ledger
            )
        else:
            assert isinstance(wrapper, TextOracleWrapper)
            seen = wrapper.wrap_text(seen)
        tallies.watch(wrapper, seen)
    return Seen(NumberedOracle(seen, policy, Occasions(label, iterations)), ledger, drawn, tallies)


def _learned(
    oracle: TextOracle,
    seen: NumberedOracle,
    wrapper: LearnedOracleWrapper,
    index: int,
    policy: CausalLanguageModelPolicy,
    reference: Snapshot,
    generators: Generators,
    drawn_prompts: set[int],
    ledger: Ledger,
) -> tuple[TextOracle, Ledger]:
    """The oracle that the wrapper learns of `seen`; adds to `drawn_prompts` what it asks about."""
    deck = PromptDeck(policy, generators(f"learned oracle {index}, prompts"))
    prompts = deck.draw(wrapper.comparisons)
    drawn = policy.sample(
        [(reference, 1.0)], 1.0, prompts, 2, generators(f"learned oracle {index}, responses")
    )
    drawn_prompts.update(prompts[0].tolist())
    first, second = drawn[..., 0], drawn[..., 1]
    answers = seen.preference(prompts, first, second).numpy()[0]
    bernoulli = getattr(wrapper, "labels", "bernoulli") == "bernoulli"
    if bernoulli:
        uniform = generators(f"learned oracle {index}, answers").random(wrapper.comparisons)
        answers = (uniform < answers).astype(np.float64)
    asked = [policy.prompts[number] for number in prompts[0].tolist()]
    learned = wrapper.learn(oracle, asked, policy.text(first[0]), policy.text(second[0]), answers)
    cost, comparisons = cost_of(seen.texts), wrapper.comparisons
    return learned, replace(
        with_answers(ledger, comparisons, comparisons, bernoulli or cost.bernoulli, cost),
        scores=ledger.scores + 2 * comparisons * cost.scores,
        responses=ledger.responses + 2 * comparisons,
        unique_prompts=len(drawn_prompts),
    )
