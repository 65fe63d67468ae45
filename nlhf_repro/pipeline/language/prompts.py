"""Which prompts an iteration answers, and an oracle of texts behind numbers of responses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np
import torch

from nlhf_repro.interfaces import Array, Occasion, Prompt, Snapshot, TextOracle, asked_on
from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy
from nlhf_repro.pipeline.comparisons import PairData, PreferenceData


@final
class PromptDeck:
    """The training prompts in random order, each once before any comes again."""

    def __init__(
        self,
        policy: CausalLanguageModelPolicy,
        generator: np.random.Generator,
        seen: Iterable[int] = (),
    ) -> None:
        """`seen` are the prompts that were drawn before, for the count of different ones."""
        self.generator = generator
        self._policy = policy
        self._prompts = len(policy.prompts)
        self._queue: list[int] = []
        self._seen: set[int] = set(seen)

    @property
    def unique(self) -> int:
        """Different prompts drawn so far."""
        return len(self._seen)

    def draw(self, groups: int) -> torch.Tensor:
        """The numbers of the next prompts, [1, groups]."""
        while len(self._queue) < groups:
            self._queue += [int(x) for x in self.generator.permutation(self._prompts)]
        drawn, self._queue = self._queue[:groups], self._queue[groups:]
        self._seen.update(drawn)
        return torch.tensor([drawn])

    def of(self, data: PreferenceData) -> torch.Tensor:
        """The prompts of the items' responses, [1, items]."""
        return self._policy.bank.prompt(data.first if isinstance(data, PairData) else data.response)

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        return {
            "queue": self._queue,
            "seen": sorted(self._seen),
            "generator": self.generator.bit_generator.state,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._queue, self._seen = list(state["queue"]), set(state["seen"])
        self.generator.bit_generator.state = state["generator"]


def sum_log_prob(
    policy: CausalLanguageModelPolicy,
    snapshot: Snapshot,
    prompts: torch.Tensor,
    responses: torch.Tensor,
) -> torch.Tensor:
    """Log pi(response) of a snapshot, [1, items]: sums over tokens, whatever the losses reduce."""
    return policy.token_log_probs(prompts, responses, snapshot)[0].sum(dim=-1)


@final
class Occasions:
    """Says how far a run is, and gives each of its comparisons a name.

    A name is the label, the update and the comparison's number within the update. An update that is
    done again after a kill asks the same comparisons in the same order, and so by the same names.
    """

    def __init__(self, label: str, iterations: int) -> None:
        """Runs of other `label`s share no name."""
        self._label = label
        self._iterations = iterations
        self.begin(0)

    def begin(self, update: int) -> None:
        """What is asked from now on belongs to the update after `update` finished ones."""
        self._update = update
        self._asked = 0

    def next(self, comparisons: int) -> Occasion:
        """Of as many comparisons, none of which has been asked before."""
        numbers = range(self._asked, self._asked + comparisons)
        self._asked += comparisons
        return Occasion(
            min(self._update / self._iterations, 1.0),
            tuple(f"{self._label}/{self._update}/{number}" for number in numbers),
        )


@final
class NumberedOracle:
    """A text oracle asked about responses by their numbers; refuses what is no probability."""

    def __init__(
        self, oracle: TextOracle, policy: CausalLanguageModelPolicy, occasions: Occasions
    ) -> None:
        self.texts = oracle
        self.occasions = occasions
        self._policy = policy

    def preference(
        self, prompts: torch.Tensor, first: torch.Tensor, second: torch.Tensor
    ) -> torch.Tensor:
        """P(first preferred over second), of the broadcast shape, float64."""
        shape = np.broadcast_shapes(prompts.shape, first.shape, second.shape)
        prompts, first, second = (each.expand(shape) for each in (prompts, first, second))
        asked = self._prompts(prompts)
        occasion = self.occasions.next(len(asked))
        answers = asked_on(self.texts, asked, self._text(first), self._text(second), occasion)
        return torch.from_numpy(check_probabilities(answers, asked)).reshape(first.shape)

    def score(self, prompts: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        """Scalar rewards, of the broadcast shape, float64."""
        shape = np.broadcast_shapes(prompts.shape, responses.shape)
        prompts, responses = prompts.expand(shape), responses.expand(shape)
        asked = self._prompts(prompts)
        scores = np.asarray(self.texts.score(asked, self._text(responses)), dtype=np.float64)
        _refuse(~np.isfinite(scores), scores, asked, "a finite score")
        return torch.from_numpy(scores).reshape(responses.shape)

    def _prompts(self, numbers: torch.Tensor) -> list[Prompt]:
        return [self._policy.prompts[number] for number in numbers.flatten().tolist()]

    def _text(self, numbers: torch.Tensor) -> list[str]:
        return self._policy.text(numbers.flatten())


def check_probabilities(answers: Array, prompts: Sequence[Prompt]) -> Array:
    """The answers as float64.

    Raises:
        ValueError: naming the first prompt whose answer is no number in [0, 1].
    """
    values = np.asarray(answers, dtype=np.float64)
    if values.shape != (len(prompts),):
        raise ValueError(
            f"the oracle gave answers of shape {values.shape} to {len(prompts)} comparisons: "
            "return one probability a comparison."
        )
    _refuse(~((values >= 0) & (values <= 1)), values, prompts, "a probability in [0, 1]")
    return values


def _refuse(bad: Any, values: Array, prompts: Sequence[Prompt], what: str) -> None:
    if bad.any():
        item = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"the oracle answered {values[item]} to prompt {prompts[item].identifier}, which is "
            f"not {what}: mend the oracle; what was trained before is kept."
        )
