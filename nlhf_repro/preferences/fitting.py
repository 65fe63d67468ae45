"""Fitting what predicts preferences: one loss, one loop, whatever the model is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import numpy as np
import torch
from torch.nn.functional import softplus

from nlhf_repro.interfaces import Array, ImpossibleSettingError
from nlhf_repro.preferences.records import PreferenceRecord
from nlhf_repro.preferences.settings import FittingSettings


@runtime_checkable
class Learner(Protocol):
    """A model that is fitted to preferences."""

    reads_order: bool  # whether exchanged responses need not have margins of opposite sign

    def margins(self, records: Sequence[PreferenceRecord]) -> torch.Tensor:
        """Log-odds that first is preferred to second as they stand, [records], with gradients."""
        ...

    def weights(self) -> list[torch.nn.Parameter]:
        """What is trained, always in the same order."""
        ...


@final
@dataclass(frozen=True)
class Fit:
    """What fitting did: the mean log-loss of every step's batch, and of validation at its checks.

    `kept_step` is the number of steps whose weights the model has now.
    """

    losses: tuple[float, ...]  # nats
    checks: tuple[tuple[int, float], ...]  # steps made, log-loss of the validation part
    kept_step: int


def preference_loss(margins: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
    """-[p log sigmoid(m) + (1 - p) log sigmoid(-m)] = softplus(m) - p m, element by element.

    The cross-entropy of Bradley and Terry's model with m = r(first) - r(second), and of any other
    model with log-odds m; labels p may be soft. Its minimum over m is at logit(p).
    """
    return softplus(margins) - probabilities * margins


def fit(
    learner: Learner,
    training: Sequence[PreferenceRecord],
    validation: Sequence[PreferenceRecord],
    settings: FittingSettings,
    generator: np.random.Generator,
) -> Fit:
    """Train the learner's weights in place.

    A learner that reads the order of the responses is shown both orders of every comparison, in the
    same step. On one thread the same generator gives the same weights, bit for bit.

    Raises:
        ImpossibleSettingError: there is nothing to learn from, or nothing to check on.
        FloatingPointError: a loss is not finite.
    """
    if not training or (settings.check_every is not None and not validation):
        raise ImpossibleSettingError(
            f"{len(training)} comparisons to learn from and {len(validation)} to check on: give "
            "some of both, or set check_every to null and learn from some."
        )
    weights = learner.weights()
    optimizer = torch.optim.AdamW(
        weights, lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    order = _passes(len(training), generator)
    losses: list[float] = []
    keeper = _Keeper(learner, validation, settings)
    for step in range(settings.steps):
        batch = [training[next(order)] for _ in range(settings.batch_size)]
        if learner.reads_order:
            batch = [each for record in batch for each in (record, record.swapped())]
        optimizer.zero_grad()
        losses.append(_accumulate(learner, batch, settings.microbatch, step))
        if settings.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(weights, settings.gradient_clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, step)
        optimizer.step()
        if keeper.has_to_stop(step + 1):
            break
    keeper.restore()
    return Fit(tuple(losses), tuple(keeper.checks), keeper.kept or len(losses))


def learning_rate(settings: FittingSettings, step: int) -> float:
    """The rate of a step, counted from 0; the step after the last would have rate 0."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    share = (step - settings.warmup_steps) / max(settings.steps - settings.warmup_steps, 1)
    return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))


def log_loss(learner: Learner, records: Sequence[PreferenceRecord], microbatch: int) -> float:
    """The mean log-loss in nats; over both orders where the learner reads the order."""
    shown = list(records)
    if learner.reads_order:
        shown += [record.swapped() for record in records]
    with torch.no_grad():
        parts = [
            preference_loss(learner.margins(part).double().cpu(), _labels(part)).sum()
            for part in _chunks(shown, microbatch)
        ]
    return float(torch.stack(parts).sum()) / len(shown)


def predictions(learner: Learner, records: Sequence[PreferenceRecord], microbatch: int) -> Array:
    """P(first preferred) of the records as they stand, [records], float64."""
    with torch.no_grad():
        parts = [learner.margins(part).double().cpu() for part in _chunks(records, microbatch)]
    margins = torch.cat(parts).numpy() if parts else np.empty(0)
    return np.asarray(0.5 + np.tanh(margins / 2) / 2)


def _accumulate(
    learner: Learner, batch: Sequence[PreferenceRecord], microbatch: int, step: int
) -> float:
    """Add the gradient of the batch's mean loss to the weights; the loss."""
    total = 0.0
    for part in _chunks(batch, microbatch):
        margins = learner.margins(part)
        labels = _labels(part).to(margins)
        loss = preference_loss(margins, labels).sum() / len(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    if not math.isfinite(total):
        raise FloatingPointError(
            f"the loss of step {step} is {total}: lower the learning_rate of the fit."
        )
    return total


def _labels(records: Sequence[PreferenceRecord]) -> torch.Tensor:
    return torch.tensor([record.probability for record in records], dtype=torch.float64)


def _chunks(records: Sequence[PreferenceRecord], size: int) -> Iterator[Sequence[PreferenceRecord]]:
    return (records[start : start + size] for start in range(0, len(records), size))


def _passes(items: int, generator: np.random.Generator) -> Iterator[int]:
    """Endless passes over the items, each in a fresh order."""
    while True:
        yield from generator.permutation(items).tolist()


@final
class _Keeper:
    """Checks the validation part in the course of a fit, and keeps the best weights."""

    def __init__(
        self, learner: Learner, validation: Sequence[PreferenceRecord], settings: FittingSettings
    ) -> None:
        self._learner, self._validation, self._settings = learner, validation, settings
        self.checks: list[tuple[int, float]] = []
        self.kept: int | None = None
        self._best: list[torch.Tensor] = []

    def has_to_stop(self, steps: int) -> bool:
        """Check where it is time to; whether the last `patience` checks brought nothing better."""
        every = self._settings.check_every
        if every is None or (steps % every and steps < self._settings.steps):
            return False
        value = log_loss(self._learner, self._validation, self._settings.microbatch)
        self.checks.append((steps, value))
        best = min(range(len(self.checks)), key=lambda index: self.checks[index][1])
        if best == len(self.checks) - 1:
            self.kept = steps
            self._best = [weight.detach().clone() for weight in self._learner.weights()]
        return len(self.checks) - 1 - best >= self._settings.patience

    def restore(self) -> None:
        """Give the model the best weights, where any were kept."""
        with torch.no_grad():
            for weight, kept in zip(self._learner.weights(), self._best, strict=False):
                weight.copy_(kept)
