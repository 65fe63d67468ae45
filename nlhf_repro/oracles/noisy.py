"""Symmetric label noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from nlhf_repro.interfaces import (
    Array,
    ImpossibleSettingError,
    Occasion,
    PreferenceOracle,
    Prompt,
    TextOracle,
)
from nlhf_repro.oracles.changed_answers import changed

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Noisy:
    """Every answer is flipped with probability `flip_rate`: P' = (1 - 2 flip_rate) P + flip_rate.

    A Bernoulli draw of P' is a flipped draw of P. The equilibrium of P is that of P'; the
    equilibrium of the game regularized by tau becomes that of tau / (1 - 2 flip_rate).
    """

    flip_rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.flip_rate < 0.5:
            raise ImpossibleSettingError(
                f"oracle_wrapper.noisy.flip_rate = {self.flip_rate} must be in [0, 1/2): "
                "at 1/2 the answers say nothing, and above it they are reversed."
            )

    def wrap(self, oracle: PreferenceOracle) -> PreferenceOracle:
        """The oracle with its preferences flipped; its scores pass as they are."""
        return _NoisyOracle(oracle, self.flip_rate)

    def wrap_text(self, oracle: TextOracle) -> TextOracle:
        """The oracle of texts with its preferences flipped; its scores pass as they are."""
        return changed(oracle, self._flipped)

    def _flipped(
        self,
        prompts: Sequence[Prompt],
        first: Sequence[str],
        second: Sequence[str],
        answers: Array,
        occasion: Occasion | None,
    ) -> Array:
        return (1 - 2 * self.flip_rate) * answers + self.flip_rate


@final
@dataclass(frozen=True)
class _NoisyOracle:
    oracle: PreferenceOracle
    flip_rate: float

    def preference(
        self, prompts: torch.Tensor, first: torch.Tensor, second: torch.Tensor
    ) -> torch.Tensor:
        answer = self.oracle.preference(prompts, first, second)
        return (1 - 2 * self.flip_rate) * answer + self.flip_rate

    def score(self, prompts: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        return self.oracle.score(prompts, responses)
