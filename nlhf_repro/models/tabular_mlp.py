"""A policy whose logits come from a small network, as in the neural simulations of EGPO."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, final

import numpy as np
import torch

from nlhf_repro.interfaces import Game, ImpossibleSettingError
from nlhf_repro.models.tabular import TabularPolicy


@final
@dataclass(frozen=True)
class TabularMLP:
    """log pi = log ref + f(x) - f_0(x) + const with f a ReLU network and x a learned input.

    `depth` linear layers of `width`, Xavier-normal weights, zero biases, and a virtual input drawn
    from N(0, 1) and trained, as in the released simulations of EGPO (arXiv:2503.08942), where depth
    = 3 and width = 10. Departures: there the ten games share the layers, so that their curves are
    not independent; here every game has its own. f_0 is the network as it was drawn: subtracting it
    starts the policy at the reference.
    """

    depth: int
    width: int
    free_logits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.depth < 1 or self.width < 1:
            raise ImpossibleSettingError(
                f"model.depth = {self.depth} and model.width = {self.width} must be at least 1."
            )

    def build(self, game: Game, generator: np.random.Generator) -> TabularPolicy:
        """A policy with fresh weights for every game, starting at its reference."""
        sizes = [self.width] * self.depth + [game.actions]
        virtual_input = torch.from_numpy(generator.standard_normal((game.games, 1, self.width)))
        weights = [
            torch.from_numpy(generator.standard_normal((game.games, fan_in, fan_out)))
            * math.sqrt(2.0 / (fan_in + fan_out))
            for fan_in, fan_out in pairwise(sizes)
        ]
        return MLPPolicy(torch.from_numpy(game.log_reference.copy()), virtual_input, weights)


@final
class MLPPolicy(TabularPolicy):
    """A network for every game: virtual input [games, 1, width], layers [games, in, out]."""

    log_reference: torch.Tensor
    start: torch.Tensor

    def __init__(
        self,
        log_reference: torch.Tensor,
        virtual_input: torch.Tensor,
        weights: list[torch.Tensor],
    ) -> None:
        super().__init__(games=log_reference.shape[0])
        self.virtual_input = torch.nn.Parameter(virtual_input)
        self.weights = torch.nn.ParameterList(weights)
        self.biases = torch.nn.ParameterList(
            torch.zeros(weight.shape[0], 1, weight.shape[2], dtype=weight.dtype)
            for weight in weights
        )
        self.register_buffer("log_reference", log_reference)
        with torch.no_grad():
            self.register_buffer("start", self.network())

    def network(self) -> torch.Tensor:
        """f(x), [games, actions]."""
        hidden: torch.Tensor = self.virtual_input
        last = len(self.weights) - 1
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, hidden, weight)
            if index < last:
                hidden = torch.relu(hidden)
        return hidden[:, 0, :]

    def log_policy(self) -> torch.Tensor:
        """Log-softmax of the reference's log-probabilities plus what the network has learned."""
        return torch.log_softmax(self.log_reference + self.network() - self.start, dim=-1)
