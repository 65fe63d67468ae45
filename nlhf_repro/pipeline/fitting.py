"""Fitting a policy to labelled data: the loss of a phase, and how far it is minimized."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, final

import numpy as np
import torch

from nlhf_repro.interfaces import Fit, ImpossibleSettingError, PairLoss, PointLoss, Snapshot
from nlhf_repro.interfaces import TrainablePolicy as Policy
from nlhf_repro.losses import SquaredPair, SquaredPoint
from nlhf_repro.models.tabular_softmax import SoftmaxPolicy
from nlhf_repro.pipeline.comparisons import PairData, PreferenceData
from nlhf_repro.pipeline.optimization import PLAIN, Recipe, StepRecord

SOUGHT_GRADIENT, ACCEPTED_GRADIENT = 1e-12, 1e-6
MAXIMUM_CONVERGENCE_STEPS = 10_000


def anchored_log_prob(
    policy: Policy,
    anchors: Mapping[str, float],
    slots: Mapping[str, Snapshot],
    prompts: torch.Tensor,
    responses: torch.Tensor,
) -> torch.Tensor:
    """sum_i weight_i log anchor_i(response), without gradient, of the shape of `responses`."""
    total = torch.zeros(responses.shape, dtype=torch.float64)
    for name, weight in anchors.items():
        if weight:
            total += weight * policy.frozen_log_prob(slots[name], prompts, responses)
    return total


@final
@dataclass(frozen=True)
class Objective:
    """The loss of a Fit phase on its data, with the anchors' log-probabilities computed once."""

    policy: Policy
    loss: PairLoss | PointLoss
    data: PreferenceData
    anchor: torch.Tensor  # [problems, items]: of the response, or of first minus second
    prompts: torch.Tensor
    scale: float = 1.0  # multiplies the loss

    def __call__(self, items: torch.Tensor | None = None) -> torch.Tensor:
        """Sum over problems of the weighted mean over the items (all of them where None)."""
        data = self.data if items is None else _take(self.data, items)
        return self._part(items, data.weight.sum(dim=1))

    def parts(self, items: torch.Tensor | None, size: int) -> Iterator[torch.Tensor]:
        """Terms of at most `size` items whose sum is the loss of all of `items`."""
        if items is None:
            items = torch.arange(self.prompts.shape[1]).expand(self.prompts.shape[0], -1)
        total = _take(self.data, items).weight.sum(dim=1)
        for part in torch.split(items, size, dim=1):
            yield self._part(part, total)

    def _part(self, items: torch.Tensor | None, total: torch.Tensor) -> torch.Tensor:
        data = self.data if items is None else _take(self.data, items)
        anchor = self.anchor if items is None else self.anchor.gather(1, items)
        prompts = self.prompts if items is None else self.prompts.gather(1, items)
        if isinstance(data, PairData):
            gap = self.policy.log_prob(prompts, data.first) - self.policy.log_prob(
                prompts, data.second
            )
            values = self._pair_loss()(gap - anchor, data.margin)
        else:
            log_prob = self.policy.log_prob(prompts, data.response)
            values = self._point_loss().point(log_prob, log_prob - anchor, data.value)
        weight = data.weight / torch.where(total > 0, total, torch.ones_like(total))[:, None]
        return self.scale * (weight * values).sum()

    def largest_scaled_gradient(self) -> float:
        """Largest |dL / d logit| over all actions, divided by the action's share of the weights."""
        policy = self.policy
        if not isinstance(policy, SoftmaxPolicy) or policy.logits.grad is None:
            raise ImpossibleSettingError(
                "algorithm.gradient_steps = null solves for free logits: take "
                "model=tabular_softmax or a number of steps."
            )
        data = self.data
        mass = torch.zeros_like(policy.logits)
        sides = (data.first, data.second) if isinstance(data, PairData) else (data.response,)
        for side in sides:
            mass.scatter_add_(1, side, data.weight / data.weight.sum(dim=1, keepdim=True))
        return float((policy.logits.grad.abs() / mass.clamp_min(1e-300)).max())

    def _pair_loss(self) -> PairLoss:
        if isinstance(self.loss, PointLoss):
            raise ImpossibleSettingError(
                f"{self.loss} is a loss of single responses, but its data are pairs."
            )
        return self.loss

    def _point_loss(self) -> PointLoss:
        if not isinstance(self.loss, PointLoss):
            raise ImpossibleSettingError(
                f"{self.loss} is a loss of pairs, but its data are single responses."
            )
        return self.loss


def objective(
    policy: Policy,
    phase: Fit,
    data: PreferenceData,
    slots: Mapping[str, Snapshot],
    prompts: torch.Tensor,
    unit_scale: bool = False,
) -> Objective:
    """The objective of a phase whose anchors are the slots as they stand.

    With `unit_scale` a squared loss is divided by its own scale squared, (gap / scale - margin)^2,
    so that gradient clipping and learning rates mean the same whatever the algorithm's step.
    """
    if isinstance(data, PairData):
        first = anchored_log_prob(policy, phase.anchors, slots, prompts, data.first)
        anchor = first - anchored_log_prob(policy, phase.anchors, slots, prompts, data.second)
    else:
        anchor = anchored_log_prob(policy, phase.anchors, slots, prompts, data.response)
    scale = 1.0
    if unit_scale and isinstance(phase.loss, SquaredPair | SquaredPoint):
        scale = 1.0 / phase.loss.scale**2
    return Objective(policy, phase.loss, data, anchor, prompts, scale)


def _take(data: PreferenceData, items: torch.Tensor) -> PreferenceData:
    return replace(data, **{f.name: getattr(data, f.name).gather(1, items) for f in fields(data)})


def minibatches(
    problems: int, items: int, size: int | None, generator: np.random.Generator
) -> Iterator[torch.Tensor | None]:
    """Endless minibatches [problems, size] of items; a fresh order for every pass and problem.

    A pass ends with a smaller batch where `size` does not divide `items`. None, all items, where
    `size` is None or not below `items`.
    """
    if size is None or size >= items:
        while True:
            yield None
    while True:
        order = torch.from_numpy(generator.random((problems, items)).argsort(axis=1))
        yield from torch.split(order, size, dim=1)


@final
class Trainer:
    """The optimizer over a policy's weights, and which snapshot it continues from."""

    def __init__(
        self,
        policy: Policy,
        kind: Literal["sgd", "adam"],
        minibatch_size: int | None,
        generator: np.random.Generator,
        recipe: Recipe = PLAIN,
        observe: Callable[[StepRecord], None] | None = None,
    ) -> None:
        self.policy = policy
        self.minibatch_size = minibatch_size
        self.generator = generator
        self.recipe = recipe
        self.observe = observe
        self.gradient_steps = 0
        self._parameters = list(policy.parameters())
        decay = recipe.weight_decay
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.SGD(self._parameters, lr=1.0, weight_decay=decay)
            if kind == "sgd"
            else torch.optim.AdamW(self._parameters, weight_decay=decay)
        )
        self._fresh = deepcopy(self.optimizer.state_dict())
        self.live = self.snapshot()

    def snapshot(self) -> Snapshot:
        """The present weights with the optimizer's state."""
        self.live = self.policy.snapshot(self.optimizer.state_dict())
        return self.live

    def rename(self, kept: Snapshot) -> Snapshot:
        """Take `kept`, a copy of the present weights and state, as the present snapshot."""
        self.live = kept
        return kept

    def resume(self, live: Snapshot) -> None:
        """Take up training where another trainer's present snapshot was."""
        self.policy.load(live)
        self._restore(live.optimizer_state)
        self.live = live

    def fit(
        self, phase: Fit, start: Snapshot, loss: Objective, learning_rate: float, update: int = 0
    ) -> Snapshot:
        """Train from `start` as far as the phase says, in the run's update of this number."""
        if start is not self.live:
            self.policy.load(start)
            self._restore(start.optimizer_state)
        if phase.optimizer == "fresh":
            self._restore(self._fresh)
        if phase.gradient_steps is None:
            self._converge(loss)
        else:
            self._descend(loss, phase.gradient_steps, learning_rate, update)
        return self.snapshot()

    def _restore(self, state: Mapping[str, Any]) -> None:
        # load_state_dict keeps the tensors it is given, and later steps write into them.
        self.optimizer.load_state_dict(deepcopy(dict(state)))

    def _descend(self, loss: Objective, steps: int, learning_rate: float, update: int) -> None:
        problems, items = loss.prompts.shape
        batches = minibatches(problems, items, self.minibatch_size, self.generator)
        for step, batch in zip(range(steps), batches, strict=False):
            rate = learning_rate * self.recipe.multiplier(update, step, steps, self.gradient_steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.zero_grad()
            value = self._backward(loss, batch)
            norm = self._clip()
            self.optimizer.step()
            if self.observe is not None:
                self.observe(StepRecord(self.gradient_steps, value, norm, rate))
            self.gradient_steps += 1

    def _backward(self, loss: Objective, batch: torch.Tensor | None) -> float:
        if self.recipe.microbatch is None:
            value = loss(batch)
            value.backward()  # type: ignore[no-untyped-call]
            return float(value.detach())
        total = 0.0
        for part in loss.parts(batch, self.recipe.microbatch):
            part.backward()  # type: ignore[no-untyped-call]
            total += float(part.detach())
        return total

    def _clip(self) -> float:
        """Clip where the recipe says so; the norm before, computed only where someone reads it."""
        limit = self.recipe.gradient_clip
        if limit is None and self.observe is None:
            return float("nan")
        most = float("inf") if limit is None else limit
        return float(torch.nn.utils.clip_grad_norm_(self._parameters, most))

    def _converge(self, loss: Objective) -> None:
        """L-BFGS towards a gradient of 1e-12.

        Raises:
            RuntimeError: A logit's gradient, divided by the weight of the items it belongs to, is
                above 1e-6: divided, because rare responses have small gradients wherever they are.
        """
        parameters = list(self.policy.parameters())
        solver = torch.optim.LBFGS(
            parameters,
            max_iter=MAXIMUM_CONVERGENCE_STEPS,
            max_eval=2 * MAXIMUM_CONVERGENCE_STEPS,
            tolerance_grad=SOUGHT_GRADIENT,
            tolerance_change=0.0,
            history_size=50,
            line_search_fn="strong_wolfe",
        )

        def closure() -> torch.Tensor:
            solver.zero_grad()
            value = loss()
            value.backward()  # type: ignore[no-untyped-call]
            self.gradient_steps += 1
            return value

        solver.step(closure)  # type: ignore[no-untyped-call]
        closure()
        worst = loss.largest_scaled_gradient()
        if not worst <= ACCEPTED_GRADIENT:
            raise RuntimeError(
                f"algorithm.gradient_steps = null did not converge: the gradient is still "
                f"{worst:.1e} after {MAXIMUM_CONVERGENCE_STEPS} steps; set a number of steps."
            )
