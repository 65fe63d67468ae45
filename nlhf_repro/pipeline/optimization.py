"""How gradient steps are taken besides their number: schedule, warm-up, decay, clipping."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, final

Schedule = Literal["constant", "cosine", "cosine_over_run"]


@final
@dataclass(frozen=True)
class Recipe:
    """What surrounds a gradient step; the default is a plain step, as games take it.

    `cosine` falls from the learning rate to 0 over every Fit phase, as iterated trainers do that
    start anew in each iteration; `cosine_over_run` falls over the `updates` that the run will make.
    The first `warmup_steps` gradient steps of the run rise linearly. Gradients are clipped to the
    norm `gradient_clip`; `microbatch` items go through the model at once and their gradients are
    summed, so that it changes memory and no result but rounding.
    """

    schedule: Schedule = "constant"
    updates: int = 1
    warmup_steps: int = 0
    weight_decay: float = 0.0
    gradient_clip: float | None = None
    microbatch: int | None = None
    unit_scale: bool = False

    def multiplier(self, update: int, step: int, steps: int, taken: int) -> float:
        """Share of the learning rate for step `step` of `steps` in this update, `taken` before."""
        warm = min(1.0, (taken + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.schedule == "constant":
            return warm
        within = step / steps
        done = within if self.schedule == "cosine" else (update + within) / self.updates
        return warm * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


@final
@dataclass(frozen=True)
class StepRecord:
    """One gradient step: the loss before it, the gradient's norm before clipping, the rate."""

    step: int
    loss: float
    gradient_norm: float
    learning_rate: float


PLAIN = Recipe()
