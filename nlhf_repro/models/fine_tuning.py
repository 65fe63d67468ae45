"""Supervised fine-tuning on demonstrations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch

from nlhf_repro.interfaces import Demonstration, ImpossibleSettingError
from nlhf_repro.models.encoding import end_of_sequence, prompt_tokens, response_tokens
from nlhf_repro.models.forward import CausalForward
from nlhf_repro.models.scoring import token_scores

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@final
@dataclass(frozen=True)
class FineTuningSettings:
    """AdamW; the rate rises over `warmup_steps` and then falls to 0 along a cosine."""

    steps: int
    batch_size: int  # demonstrations a step
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    gradient_clip: float | None  # the gradient's largest norm, null for no limit

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch_size < 1:
            raise ImpossibleSettingError(
                f"fine-tuning takes steps = {self.steps} of at least 0 and batch_size = "
                f"{self.batch_size} of at least 1: correct them."
            )
        if not 0 <= self.warmup_steps <= self.steps:
            raise ImpossibleSettingError(
                f"warmup_steps = {self.warmup_steps} does not lie within steps = {self.steps}."
            )
        if not self.learning_rate > 0.0 or not self.weight_decay >= 0.0:
            raise ImpossibleSettingError(
                f"fine-tuning takes learning_rate = {self.learning_rate} above 0 and weight_decay "
                f"= {self.weight_decay} of at least 0: correct them."
            )
        if self.gradient_clip is not None and not self.gradient_clip > 0.0:
            raise ImpossibleSettingError(
                f"gradient_clip = {self.gradient_clip} must be above 0: set null for no limit."
            )


def learning_rate(settings: FineTuningSettings, step: int) -> float:
    """The rate of a step, counted from 0; the step after the last would have rate 0."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    share = (step - settings.warmup_steps) / max(settings.steps - settings.warmup_steps, 1)
    return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))


def fine_tune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    demonstrations: Sequence[Demonstration],
    settings: FineTuningSettings,
    generator: np.random.Generator,
) -> list[float]:
    """Train the model's trainable weights in place; the loss of every step.

    The loss is minus the mean log-probability of the batch's response tokens, the end included and
    the prompt left out. Demonstrations are taken in a fresh order in every pass.

    Raises:
        ImpossibleSettingError: There is nothing to imitate, or the tokenizer lacks an end or a chat
            template.
        FloatingPointError: A loss is not finite.
    """
    end_of_sequence(tokenizer)
    if not demonstrations and settings.steps:
        raise ImpossibleSettingError(
            "these prompts have no demonstrations to fine-tune on: set steps = 0."
        )
    prompts = prompt_tokens(tokenizer, [each.prompt for each in demonstrations])
    responses = response_tokens(tokenizer, [each.response for each in demonstrations])
    weights = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(weights, weight_decay=settings.weight_decay)
    model.train(False)
    forward = CausalForward(model)
    losses = []
    order = _order(len(demonstrations), generator)
    for step in range(settings.steps):
        batch = [next(order) for _ in range(settings.batch_size)]
        given, wanted = [prompts[i] for i in batch], [responses[i] for i in batch]
        scores = token_scores(forward, None, given, wanted, range(len(batch)), len(batch))
        loss = -scores.log_prob.mean()
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(
                f"the fine-tuning loss of step {step} is {float(loss)}: lower the learning_rate."
            )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(weights, settings.gradient_clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, step)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def _order(items: int, generator: np.random.Generator) -> Iterator[int]:
    """Endless passes over the items, each in a fresh order."""
    while True:
        yield from generator.permutation(items).tolist()
