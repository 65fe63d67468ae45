"""A softmax policy with one logit an action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch

from nlhf_repro.interfaces import Game
from nlhf_repro.models.tabular import TabularPolicy


@final
@dataclass(frozen=True)
class TabularSoftmax:
    """pi = softmax(theta), theta starting at the reference's log-probabilities."""

    free_logits: ClassVar[bool] = True

    def build(self, game: Game, generator: np.random.Generator) -> TabularPolicy:
        """The reference policy of every game; draws nothing from the generator."""
        return SoftmaxPolicy(torch.from_numpy(game.log_reference.copy()))


@final
class SoftmaxPolicy(TabularPolicy):
    """Free logits, [games, actions]."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__(games=logits.shape[0])
        self.logits = torch.nn.Parameter(logits)

    def log_policy(self) -> torch.Tensor:
        """Log-softmax of the logits."""
        return torch.log_softmax(self.logits, dim=-1)
