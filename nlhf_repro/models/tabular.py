"""What tabular policies share: sampling and scoring by enumeration of the actions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch.func import functional_call

from nlhf_repro.interfaces import Snapshot

WeightedPolicy = tuple[torch.Tensor, float]
Mixture = Callable[[Sequence[WeightedPolicy], float], torch.Tensor]


def sequence_mixture(policies: Sequence[WeightedPolicy], temperature: float) -> torch.Tensor:
    """(prod_i pi_i(y)^w_i)^(1 / temperature) over the last axis, normalized; all in log space."""
    total = torch.stack([weight * log_policy for log_policy, weight in policies]).sum(dim=0)
    return torch.log_softmax(total / temperature, dim=-1)


class TabularPolicy(torch.nn.Module, ABC):
    """A policy over the actions of a batch of games, in float64; no weight is shared between games.

    A prompt is the index of a game, a response the index of an action. Row g of prompts and
    responses [games, items] belongs to game g, so that the prompts need not be read.
    """

    sampled_tokens = 0  # actions are no tokens
    trained_tokens = 0

    def __init__(self, games: int, mixed: Mixture = sequence_mixture) -> None:
        """`mixed` says what a geometric mixture of this kind of policies is."""
        super().__init__()
        self.problems = games
        self._mixed = mixed
        self._tables: WeakKeyDictionary[Snapshot, torch.Tensor] = WeakKeyDictionary()

    @abstractmethod
    def log_policy(self) -> torch.Tensor:
        """Normalized log-probabilities of every action, [games, actions], differentiable."""

    def forward(self) -> torch.Tensor:
        """The same as `log_policy`."""
        return self.log_policy()

    def log_prob(self, prompts: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        """Log pi(response) at the present weights, [games, items], differentiable."""
        return self.log_policy().gather(1, responses)

    def frozen_log_policy(self, snapshot: Snapshot) -> torch.Tensor:
        """`log_policy` of a snapshot, without gradient, [games, actions]."""
        table = self._tables.get(snapshot)
        if table is None:
            with torch.no_grad():
                table = functional_call(self, dict(snapshot.parameters), ())
            self._tables[snapshot] = table
        return table

    def frozen_log_prob(
        self, snapshot: Snapshot, prompts: torch.Tensor, responses: torch.Tensor
    ) -> torch.Tensor:
        """Log pi(response) of a snapshot, without gradient."""
        return self.frozen_log_policy(snapshot).gather(1, responses)

    def mixture_log_policy(
        self, mixture: Sequence[tuple[Snapshot, float]], temperature: float
    ) -> torch.Tensor:
        """Normalized log-probabilities of a geometric mixture of snapshots, [games, actions]."""
        if not mixture:
            raise ValueError("a mixture needs at least one policy: name one in the responder.")
        policies = [(self.frozen_log_policy(snapshot), weight) for snapshot, weight in mixture]
        return self._mixed(policies, temperature)

    def sample(
        self,
        mixture: Sequence[tuple[Snapshot, float]],
        temperature: float,
        prompts: torch.Tensor,
        responses: int,
        generator: np.random.Generator,
    ) -> torch.Tensor:
        """Independent responses [games, items, responses] by inverting the distribution.

        Raises:
            FloatingPointError: A policy of the mixture is not finite; the message names its game.
        """
        games, items = prompts.shape
        cumulative = self.mixture_log_policy(mixture, temperature).exp().cumsum(dim=-1)
        if not bool(torch.isfinite(cumulative[:, -1]).all()):
            game = int((~torch.isfinite(cumulative[:, -1])).nonzero()[0, 0])
            raise FloatingPointError(
                f"the policy of game {game} is no longer finite: lower training.learning_rate."
            )
        uniform = torch.from_numpy(generator.random((games, items * responses)))
        # Rounding may leave the last sum below 1; scaling by it keeps every draw inside.
        actions = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)
        return actions.view(games, items, responses)

    def snapshot(self, optimizer_state: Mapping[str, Any]) -> Snapshot:
        """A copy of the weights and of the optimizer's state."""
        parameters = {name: value.detach().clone() for name, value in self.named_parameters()}
        return Snapshot(parameters, deepcopy(dict(optimizer_state)))

    def load(self, snapshot: Snapshot) -> None:
        """Overwrite the present weights."""
        with torch.no_grad():
            for name, value in self.named_parameters():
                value.copy_(snapshot.parameters[name])
