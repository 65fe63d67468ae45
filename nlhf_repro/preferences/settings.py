"""How a preference is fitted: the keys of the `fit` node, and of every wrapper that fits."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, final

from nlhf_repro.interfaces import ImpossibleSettingError

Kind = Literal["reward_model", "pair_preference_model", "joint_classifier"]
WORLD = "world"  # in place of a data set: what the annotators of a mini world answer


@final
@dataclass(frozen=True)
class FittingSettings:
    """How a preference is fitted: AdamW, a linear warm-up, then a cosine to 0 at `steps`.

    A step takes `batch_size` comparisons, in passes of fresh order, and puts `microbatch` through
    the model at once (memory, not results, but for rounding). Every `check_every` steps, and at the
    end, the log-loss on a validation part is taken: the weights of the least are kept, and fitting
    stops after `patience` checks in turn without a lesser one. null: all steps are made, and the
    last weights kept.
    """

    steps: int
    batch_size: int
    microbatch: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    gradient_clip: float | None
    check_every: int | None
    patience: int

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "microbatch", "check_every", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ImpossibleSettingError(f"{name} = {value} must be at least 1: raise it.")
        if not 0 <= self.warmup_steps <= self.steps:
            raise ImpossibleSettingError(
                f"warmup_steps = {self.warmup_steps} does not lie within steps = {self.steps}: "
                "lower it."
            )
        if not 0 < self.learning_rate < math.inf:
            raise ImpossibleSettingError(
                f"learning_rate = {self.learning_rate} must be positive and finite: correct it."
            )
        if not 0 <= self.weight_decay < math.inf:
            raise ImpossibleSettingError(
                f"weight_decay = {self.weight_decay} must not be negative, and finite: correct it."
            )
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise ImpossibleSettingError(
                f"gradient_clip = {self.gradient_clip} must be positive: raise it, or set null."
            )


@final
@dataclass(frozen=True)
class OracleFit:
    """The `fit` node: which oracle is learned from which comparisons, and how it is tested.

    data: a JSONL or Parquet file, the name of a data set on the hub, or `world`: pairs of the
    reference policy's responses to training prompts, answered by the configured oracle.
    revision, data_split: of a data set on the hub; a revision is a commit, so that results keep.
    comparisons: of the world; null for a data set, which is taken whole.
    labels: of the world, drawn answers or the probability itself; null for a data set.
    held_out, validation: shares of the prompts that test and that choose among checks (0 where
    check_every is null). No prompt is in two parts.
    max_tokens: comparisons that are longer are left out, and counted.
    calibration_bins: of equal mass. cycle_responses: of a held-out prompt, among which triples are
    looked at for cycles, at most; the world draws that many.
    """

    kind: Kind
    data: str
    revision: str | None
    data_split: str | None
    comparisons: int | None
    labels: Literal["probability", "bernoulli"] | None
    held_out: float
    validation: float
    max_tokens: int
    calibration_bins: int
    cycle_responses: int
    steps: int
    batch_size: int
    microbatch: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    gradient_clip: float | None
    check_every: int | None
    patience: int

    def fitting(self) -> FittingSettings:
        """The settings of the loop."""
        names = (field.name for field in fields(FittingSettings))
        return FittingSettings(**{name: getattr(self, name) for name in names})

    def check(self) -> None:
        """Refuse what has no meaning.

        Raises:
            ImpossibleSettingError: naming the key and the remedy.
        """
        try:
            self.fitting()
        except ImpossibleSettingError as error:
            raise ImpossibleSettingError(f"fit.{error}") from error
        for name, least in {"max_tokens": 1, "calibration_bins": 1, "cycle_responses": 3}.items():
            if getattr(self, name) < least:
                raise ImpossibleSettingError(
                    f"fit.{name} = {getattr(self, name)} must be at least {least}: raise it."
                )
        self._check_parts()
        self._check_source()

    def _check_parts(self) -> None:
        checks = self.check_every is not None
        if not 0 < self.held_out < 1 or not 0 <= self.validation < 1 - self.held_out:
            raise ImpossibleSettingError(
                f"fit.held_out = {self.held_out} and fit.validation = {self.validation} must be "
                "shares that leave something to learn from: lower them."
            )
        if checks != (self.validation > 0):
            raise ImpossibleSettingError(
                f"fit.validation = {self.validation} with fit.check_every = {self.check_every}: "
                "give both, or 0 and null to make all steps."
            )

    def _check_source(self) -> None:
        own = {"comparisons": self.comparisons, "labels": self.labels}
        if self.data == WORLD:
            for name, value in own.items():
                if value is None or value == 0:
                    raise ImpossibleSettingError(
                        f"fit.{name} = {value} with fit.data = world: say what is asked."
                    )
            return
        for name, value in own.items():
            if value is not None:
                raise ImpossibleSettingError(
                    f"fit.{name} = {value} is of fit.data = world, and fit.data = {self.data} is "
                    "taken as it is: set it to null."
                )
