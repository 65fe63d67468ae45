"""What a language run says of every gradient step and of every iteration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, final

import torch

from nlhf_repro.interfaces import Collect
from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy
from nlhf_repro.pipeline.collection import Slots
from nlhf_repro.pipeline.comparisons import PairData, PreferenceData
from nlhf_repro.pipeline.language.prompts import sum_log_prob
from nlhf_repro.pipeline.optimization import StepRecord

MEASURED_RESPONSES = 64


@final
class TrainingLog:
    """Lines of training.jsonl, in the order in which things happened.

    kind step: loss, gradient_norm, learning_rate. kind collect: mean response length, share that
    ended by itself, mean |margin| of the labels, comparisons so far, tokens sampled and trained
    before the update; where the present policy responded, over 64 responses, of as many prompts as
    there are: KL to the reference (mean log-ratio, unbiased), entropy (mean of -log pi), the
    largest |log pi / ref|; all over response tokens only, in nats. Means are over all that was
    drawn, equal responses as often as they came, selected or not.
    kind asked: what the oracle and its wrappers counted of themselves, where they count, in the
    update, or before training.
    """

    def __init__(self, policy: CausalLanguageModelPolicy) -> None:
        self.lines: list[dict[str, Any]] = []
        self.update = 0
        self._policy = policy
        self._tokens = 0

    def begin(self, update: int) -> None:
        """Note that what follows is of this update, and what the run has spent before it."""
        self.update = update
        self._tokens = self._policy.sampled_tokens + self._policy.trained_tokens

    def step(self, record: StepRecord) -> None:
        """Note one gradient step."""
        self.lines.append({"kind": "step", "update": self.update, **asdict(record)})

    def collected(
        self,
        phase: Collect,
        data: PreferenceData,
        drawn: torch.Tensor,
        slots: Slots,
        asked: int,
    ) -> None:
        """Note what an iteration collected of the responses `drawn` [1, groups, K].

        `asked` counts comparisons since the run began.
        """
        responses = drawn[0].T.flatten()  # the first of every prompt, then the second ones
        lengths, ended = self._policy.lengths(responses), self._policy.ended(responses)
        label = data.margin if isinstance(data, PairData) else data.value - 0.5
        line: dict[str, Any] = {
            "kind": "collect",
            "update": self.update,
            "data": phase.into,
            "response_length": float(lengths.double().mean()),
            "ended_share": float(ended.double().mean()),
            "mean_absolute_margin": float(label.abs().mean()),
            "comparisons": asked,
            "tokens_before": self._tokens,
        }
        if dict(phase.candidate.mixture) == {"current": 1.0} and self._whole(phase):
            line |= self._divergence(responses[:MEASURED_RESPONSES], slots)
        self.lines.append(line)

    def asked(self, counts: Mapping[str, int]) -> None:
        """Note what oracles counted, if anything."""
        if counts:
            self.lines.append({"kind": "asked", "update": self.update, **counts})

    def _divergence(self, responses: torch.Tensor, slots: Slots) -> dict[str, float]:
        numbers = responses[None]
        prompts = self._policy.bank.prompt(numbers)
        own = sum_log_prob(self._policy, slots["current"], prompts, numbers)
        reference = sum_log_prob(self._policy, slots["reference"], prompts, numbers)
        log_ratio = own - reference
        return {
            "kl_to_reference": float(log_ratio.mean()),
            "entropy": float(-own.mean()),
            "largest_log_ratio": float(log_ratio.abs().max()),
        }

    def _whole(self, phase: Collect) -> bool:
        """Whether the responses were drawn from the policy itself, not tempered or truncated."""
        generation = self._policy.generation
        truncated = generation.top_p is not None or generation.top_k is not None
        return phase.candidate.temperature == 1.0 and not truncated

    def text(self) -> str:
        """One JSON object a line, keys sorted: a state that was read again has them so."""
        return "".join(json.dumps(line, sort_keys=True) + "\n" for line in self.lines)
