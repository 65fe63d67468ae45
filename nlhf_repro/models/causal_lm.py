"""A causal language model as a policy that is sampled from, scored with and trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
import torch

from nlhf_repro.interfaces import ImpossibleSettingError, Prompt, Snapshot
from nlhf_repro.models.encoding import end_of_sequence, prompt_tokens, response_tokens
from nlhf_repro.models.forward import CausalForward, checkpoints_activations, dropout_rates
from nlhf_repro.models.generate_backend import generate_responses
from nlhf_repro.models.responses import ResponseBank, Tokens
from nlhf_repro.models.sampling import GenerationSettings, check_mixture, sample_responses
from nlhf_repro.models.scoring import TokenScores, token_scores

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["CausalLanguageModelPolicy", "GenerationSettings"]


@final
class CausalLanguageModelPolicy:
    """A policy over responses to `prompts`, one training problem.

    Prompts [1, items] are indices into `prompts`, responses [1, items] numbers of the bank. The
    tokens that are scored are the tokens that were drawn, the end-of-sequence token included where
    the response ended. A snapshot holds the trainable weights alone: with LoRA the adapters, and
    the reference is the adapter that changes nothing. Dropout is off, always: the law that is
    trained is the one that was sampled.
    """

    problems = 1

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        prompts: Sequence[Prompt],
        generation: GenerationSettings,
        reduction: Literal["sum", "mean"],
        bank: ResponseBank,
        microbatch: int,
    ) -> None:
        """`reduction` is over a response's tokens; `microbatch` responses are computed at once.

        Activations of more responses than that are not kept but computed again for gradients.

        Raises:
            ImpossibleSettingError: The tokenizer lacks an end or a chat template, or a prompt with
                its response is longer than the model's positions.
        """
        if microbatch < 1:
            raise ImpossibleSettingError(f"microbatch = {microbatch} must be at least 1: raise it.")
        self.model, self.tokenizer, self.prompts = model, tokenizer, tuple(prompts)
        self.generation, self.reduction, self.bank = generation, reduction, bank
        self.microbatch = microbatch
        self.end = end_of_sequence(tokenizer)
        self.sampled_tokens = 0  # response tokens, ends included
        self.trained_tokens = 0  # tokens of prompts and responses that gradients went through
        self._prompts = prompt_tokens(tokenizer, self.prompts)
        self._check_positions()
        if checkpoints_activations(model) and dropout_rates(model.config):
            raise ImpossibleSettingError(
                f"the model checkpoints in training mode, where it drops out "
                f"({', '.join(dropout_rates(model.config))}): set these rates to 0."
            )
        model.train(False)
        self._forward = CausalForward(model)

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The weights that are trained."""
        return (value for _, value in self._trainable())

    def log_prob(self, prompts: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [1, items] in float64 under the present weights, differentiable.

        They are those of the whole distribution at temperature 1, whatever responses were drawn at.
        """
        return self._reduced(*self._scores(None, prompts, responses))

    def token_log_probs(
        self, prompts: torch.Tensor, responses: torch.Tensor, snapshot: Snapshot | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of every token [1, items, tokens], and which of them exist (bool).

        Entries beyond a response are 0. Under a snapshot there is no gradient.
        """
        scores, places = self._frozen(snapshot, prompts, responses)
        table, real = scores.table()
        return table[places][None], real[places][None]

    def frozen_log_prob(
        self, snapshot: Snapshot, prompts: torch.Tensor, responses: torch.Tensor
    ) -> torch.Tensor:
        """Log-probabilities [1, items] under a snapshot, without gradient."""
        return self._reduced(*self._frozen(snapshot, prompts, responses))

    def sample(
        self,
        mixture: Sequence[tuple[Snapshot, float]],
        temperature: float,
        prompts: torch.Tensor,
        responses: int,
        generator: np.random.Generator,
    ) -> torch.Tensor:
        """Numbers [1, items, responses] of independent responses to every item's prompt.

        A mixture is the geometric one, normalized at every token, with the temperature applied
        after mixing. One seed a response is drawn from the generator, item after item.

        Raises:
            ImpossibleSettingError: The temperature is infinite, or `generate` is to draw a mixture.
        """
        check_mixture(mixture, temperature)
        indices = prompts.flatten().tolist()
        seeds = generator.integers(0, 2**64, size=(len(indices), responses), dtype=np.uint64)
        weights = _merged(mixture)
        policies = [(self._placed(snapshot), weight) for snapshot, weight in weights.items()]
        draw = sample_responses if self.generation.backend == "own" else generate_responses
        group = max((self.generation.batch_size or seeds.size) // max(responses, 1), 1)
        tokens: list[Tokens] = []
        for start in range(0, len(indices), group):
            part = slice(start, start + group)
            given = [self._prompts[index] for index in indices[part]]
            drawn = draw(
                self._forward, policies, temperature, given, seeds[part], self.generation, self.end
            )
            self.sampled_tokens += int(drawn.lengths.sum())
            tokens += drawn.responses()
        owners = [index for index in indices for _ in range(responses)]
        return self.bank.add(owners, tokens).view(1, len(indices), responses)

    def text(self, numbers: torch.Tensor | Sequence[int]) -> list[str]:
        """The responses as text, without special tokens, in the order of the flattened numbers."""
        listed = numbers.flatten().tolist() if isinstance(numbers, torch.Tensor) else numbers
        tokens = [self.bank.tokens(number).tolist() for number in listed]
        decoded: list[str] = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return decoded

    def encode(self, prompts: torch.Tensor, texts: Sequence[str]) -> torch.Tensor:
        """Numbers [1, items] of texts as responses that ended, to be scored like drawn ones."""
        tokens = response_tokens(self.tokenizer, texts)
        return self.bank.add(prompts.flatten().tolist(), tokens).view(1, -1)

    def ended(self, numbers: torch.Tensor) -> torch.Tensor:
        """Whether the responses ended by themselves, of the shape of `numbers`."""
        last = [self.bank.tokens(number)[-1] == self.end for number in numbers.flatten().tolist()]
        return torch.tensor(last, dtype=torch.bool).view(numbers.shape)

    def lengths(self, numbers: torch.Tensor) -> torch.Tensor:
        """Tokens of the responses, ends included, of the shape of `numbers`."""
        found = [len(self.bank.tokens(number)) for number in numbers.flatten().tolist()]
        return torch.tensor(found, dtype=torch.int64).view(numbers.shape)

    def snapshot(self, optimizer_state: Mapping[str, Any]) -> Snapshot:
        """A copy of the trainable weights and of the optimizer's state."""
        parameters = {name: value.detach().clone() for name, value in self._trainable()}
        return Snapshot(parameters, deepcopy(dict(optimizer_state)))

    def load(self, snapshot: Snapshot) -> None:
        """Overwrite the present trainable weights."""
        with torch.no_grad():
            for name, value in self._trainable():
                value.copy_(snapshot.parameters[name])

    def _trainable(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        return ((name, x) for name, x in self.model.named_parameters() if x.requires_grad)

    def _placed(self, snapshot: Snapshot) -> dict[str, torch.Tensor]:
        return {
            name: snapshot.parameters[name].to(value.device, value.dtype)
            for name, value in self._trainable()
        }

    def _frozen(
        self, snapshot: Snapshot | None, prompts: torch.Tensor, responses: torch.Tensor
    ) -> tuple[TokenScores, torch.Tensor]:
        if snapshot is None:
            return self._scores(None, prompts, responses)
        with torch.no_grad():
            return self._scores(self._placed(snapshot), prompts, responses)

    def _scores(
        self,
        parameters: Mapping[str, torch.Tensor] | None,
        prompts: torch.Tensor,
        responses: torch.Tensor,
    ) -> tuple[TokenScores, torch.Tensor]:
        """Scores of the distinct responses, and the place of every item among them."""
        if not torch.equal(self.bank.prompt(responses), prompts):
            raise ValueError("a response is scored under another prompt than it belongs to.")
        distinct, places = torch.unique(responses.flatten(), return_inverse=True)
        tokens = [self.bank.tokens(number) for number in distinct.tolist()]
        indices = self.bank.prompt(distinct).tolist()
        given = [self._prompts[index] for index in indices]
        if parameters is None and torch.is_grad_enabled():
            self.trained_tokens += sum(map(len, tokens)) + sum(map(len, given))
        scores = token_scores(self._forward, parameters, given, tokens, indices, self.microbatch)
        return scores, places

    def _reduced(self, scores: TokenScores, places: torch.Tensor) -> torch.Tensor:
        """[1, items]."""
        total = scores.total()
        if self.reduction == "mean":
            total = total / scores.lengths()
        return total[places][None]

    def _check_positions(self) -> None:
        most = most_positions(self.model.config)
        longest = max((len(prompt) for prompt in self._prompts), default=0)
        needed = longest + self.generation.max_new_tokens
        if most is not None and needed > most:
            raise ImpossibleSettingError(
                f"a prompt of {longest} tokens and max_new_tokens = "
                f"{self.generation.max_new_tokens} need {needed} positions, but the model has "
                f"{most}: shorten one of them."
            )


def most_positions(config: PreTrainedConfig) -> int | None:
    """Tokens that a model of this configuration has positions for; None where it has no limit."""
    most: int | None = getattr(
        config.get_text_config(decoder=True), "max_position_embeddings", None
    )
    return most


def _merged(mixture: Sequence[tuple[Snapshot, float]]) -> dict[Snapshot, float]:
    """Every snapshot once, with the sum of its weights; those of no weight are left out."""
    total: dict[Snapshot, float] = {}
    for snapshot, weight in mixture:
        total[snapshot] = total.get(snapshot, 0.0) + weight
    return {snapshot: weight for snapshot, weight in total.items() if weight}
