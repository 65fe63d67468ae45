"""Finished policies against each other: what is asked of a comparison, and what tables read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nlhf_repro.interfaces.games import Array, ImpossibleSettingError


@dataclass(frozen=True)
class ResponderTraining:
    """The budget of a best response that is trained against a finished policy, the same for all.

    iterations: gradient steps, one a batch. groups_per_iteration: training prompts of a batch.
    responses: to every prompt, at least two, each other's baseline. opponents: fresh responses of
    the policy that each of them meets. learning_rate: Adam's, constant.
    """

    iterations: int
    groups_per_iteration: int
    responses: int
    opponents: int
    learning_rate: float

    def __post_init__(self) -> None:
        """Refuse numbers that train nothing, each by its name."""
        least = {"iterations": 1, "groups_per_iteration": 1, "responses": 2, "opponents": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ImpossibleSettingError(
                    f"table.round_robin.trained.{name} = {getattr(self, name)} must be at least "
                    f"{bound}: raise it."
                )
        if not 0 < self.learning_rate < inf:
            raise ImpossibleSettingError(
                f"table.round_robin.trained.learning_rate = {self.learning_rate} must be a "
                "positive number: raise it."
            )


@dataclass(frozen=True)
class RoundRobinSettings:
    """What a table's `round_robin` node asks for beside the matrix of preferences.

    exploitability: `pool`, a lower bound by the best responder of a pool; null: none. trained: a
    best response to every policy that joins the pool; null: none.
    """

    exploitability: Literal["pool"] | None
    trained: ResponderTraining | None

    def __post_init__(self) -> None:
        """Refuse responders that no pool takes."""
        if self.trained is not None and self.exploitability is None:
            raise ImpossibleSettingError(
                "table.round_robin.trained has no pool to join: set "
                "table.round_robin.exploitability to pool, or trained to null."
            )


@dataclass(frozen=True)
class RoundRobinRecord:
    """What the complete rows of an experiment and their reference did against each other.

    An item is a prompt of the one world, crossed with seeds, or a world, of which it is the mean
    over prompts (`clusters`). Seed s of a row meets seed s of the others. All exploitabilities are
    best preferences less 1/2.
    """

    labels: tuple[str, ...]  # of the rows that are compared, in their order; the reference is last
    left_out: Mapping[str, str]  # label to what it lacks: such rows are in no number here
    seeds: tuple[int, ...]
    clusters: str  # prompts or worlds
    wins: Array  # P(row over column), [seeds, rows + 1, rows + 1, items]
    bound: Array | None  # of the best responder of the pool, [seeds, rows, items]
    half: NDArray[np.int64] | None  # which half of the responders' choice an item is in; of prompts
    trained: Array | None  # of the response trained against the row itself, [seeds, rows, items]
    truth: Array | None  # of the enumerated best response, [seeds, rows, items]
    chosen: Mapping[str, Mapping[str, int]]  # label, responder: how often it was the best of a half
    trained_settings: ResponderTraining | None


@dataclass(frozen=True)
class ShownAnswer:
    """One answer as a person reads it; `text` is None where the row has none.

    `preferred` is the probability, or the judges' share, in [0, 1], with which the answer is
    preferred to the one that it is compared with; None where nobody said.
    """

    label: str
    text: str | None
    features: Mapping[str, float]
    preferred: float | None = None


@dataclass(frozen=True)
class ShownPrompt:
    """A prompt and what every row answers to it."""

    identifier: str
    text: str
    answers: tuple[ShownAnswer, ...]
