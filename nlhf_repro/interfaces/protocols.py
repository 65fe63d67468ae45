"""Protocols of the plug-ins: algorithms, models, oracles and benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from nlhf_repro.interfaces.games import Array, ExactState, FixedPoint, Game, Tie
from nlhf_repro.interfaces.phases import Phase

if TYPE_CHECKING:
    import torch


@runtime_checkable
class Algorithm(Protocol):
    """An algorithm: an exact face on games, a sampled face as phases, and what ties the two.

    The policies an algorithm names in its phases start as copies of the reference policy: `current`
    is the one that is reported, `reference` the reference; any other name may be used.
    """

    @property
    def regularization(self) -> float:
        """tau, the weight of the KL term; 0 plays the unregularized game."""
        ...

    @property
    def fixed_point(self) -> FixedPoint:
        """The point that one exact update leaves where it is."""
        ...

    @property
    def tie(self) -> Tie:
        """How the faces belong together."""
        ...

    def initial_state(self, game: Game) -> ExactState:
        """The state before the first update, at the reference policy."""
        ...

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """One population update."""
        ...

    @property
    def preference_evaluations(self) -> int:
        """Products P @ policy that one exact update needs."""
        ...

    def phases(self, iteration: int) -> Iterator[Phase]:
        """The phases of one sampled iteration, counted from 0."""
        ...

    def learning_rate(self, actions: int, update: int) -> float | None:
        """The rate at which a gradient step is the exact update, None for other ties."""
        ...


# ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A policy's weights and its optimizer's state, detached from the policy that trains on.

    Snapshots are compared by identity; their tensors are never written to.
    """

    parameters: Mapping[str, torch.Tensor]
    optimizer_state: Mapping[str, Any]


class TrainablePolicy(Protocol):
    """A policy that the training loop samples from, scores with and trains.

    `prompts` and responses are integer tensors [problems, items]; a response is an action of a
    game, or the number of a text in the bank of a language model's run.
    """

    problems: int
    sampled_tokens: int  # so far, by `sample`
    trained_tokens: int  # so far, in log-probabilities with gradient

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The weights that are trained."""
        ...

    def log_prob(self, prompts: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of responses under the present weights, differentiable."""
        ...

    def frozen_log_prob(
        self, snapshot: Snapshot, prompts: torch.Tensor, responses: torch.Tensor
    ) -> torch.Tensor:
        """Log-probabilities under a snapshot, without gradient."""
        ...

    def sample(
        self,
        mixture: Sequence[tuple[Snapshot, float]],
        temperature: float,
        prompts: torch.Tensor,
        responses: int,
        generator: np.random.Generator,
    ) -> torch.Tensor:
        """Independent responses [problems, items, responses] of a geometric mixture."""
        ...

    def load(self, snapshot: Snapshot) -> None:
        """Make the snapshot's weights the present ones."""
        ...

    def snapshot(self, optimizer_state: Mapping[str, Any]) -> Snapshot:
        """A copy of the present weights."""
        ...


class Model(Protocol):
    """A configured kind of policy."""

    @property
    def free_logits(self) -> bool:
        """Whether every action has a logit of its own, so that a step can be an exact update."""
        ...

    def build(self, game: Game, generator: np.random.Generator) -> TrainablePolicy:
        """A policy for these games that starts at their reference policy."""
        ...


class GameFamily(Protocol):
    """Where games come from: a configured family that draws a batch of them."""

    def game(self, world: int) -> Game:
        """The batch of this world seed; the same for every algorithm and training seed."""
        ...


class PreferenceOracle(Protocol):
    """Answers P(first preferred over second given the prompt), or a draw of it."""

    def preference(
        self, prompts: torch.Tensor, first: torch.Tensor, second: torch.Tensor
    ) -> torch.Tensor:
        """Probabilities in [0, 1]; the arguments broadcast."""
        ...

    def score(self, prompts: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        """Scalar rewards; ImpossibleSettingError where the oracle has none."""
        ...


@runtime_checkable
class OracleWrapper(Protocol):
    """A configured change of another oracle's answers."""

    def wrap(self, oracle: PreferenceOracle) -> PreferenceOracle:
        """The changed oracle."""
        ...


class Benchmark(Protocol):
    """Scores a trajectory of policies on a batch of games, one value an item."""

    @property
    def floor(self) -> float:
        """Values below are numerical noise; 0 where there is no floor."""
        ...

    def score(self, game: Game, log_policy: Array) -> Array:
        """[points, games, actions] to [points, games]."""
        ...
