"""Annotators of whom every user has a mixture of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nlhf_repro.interfaces import Array, ImpossibleSettingError, Prompt
from nlhf_repro.oracles.annotators import AnnotatorGroups, AnnotatorOracle
from nlhf_repro.seeds import generator_for, seed_for


@final
@dataclass(frozen=True)
class PersonalizedAnnotators:
    """Every prompt is judged by the mixture of groups of the user who wrote it.

    A user's shares are those of the population, each multiplied by an own exp(user_spread N(0, 1)),
    and normalized again: at 0 all users are alike, from 3 on most are of one group. The mean over
    users is near the population's shares, not equal to them. The user is `details["user"]` of the
    prompt, or else one of `users`, by the prompt's identifier. Policies do not see who asks: what a
    policy can learn is the mixture over users, and what single groups think of it is a benchmark of
    its own (worst_group_win_rate).
    """

    annotators: AnnotatorGroups
    users: int
    user_spread: float

    def __post_init__(self) -> None:
        if not isinstance(self.annotators, AnnotatorGroups):
            raise ImpossibleSettingError(
                "oracle.annotators of oracle=personalized_annotators must be annotators: take "
                "oracle@oracle.annotators=annotators."
            )
        if self.users < 1:
            raise ImpossibleSettingError(f"oracle.users = {self.users} must be at least 1.")
        if not 0 <= self.user_spread <= 10:
            raise ImpossibleSettingError(
                f"oracle.user_spread = {self.user_spread} must be from 0 to 10: a user's shares "
                "are multiplied by exp(user_spread N(0, 1))."
            )

    def oracle(self, world: int) -> AnnotatorOracle:
        """The annotators of this world, with its users."""
        population = self.annotators.oracle(world)
        tastes = Users(world, self.users, self.user_spread, len(population.shares))
        return population.mixed(population.shares, tastes)

    def reweighted(self, group_weights: Sequence[float]) -> PersonalizedAnnotators:
        """The same users in a population of other shares."""
        return replace(self, annotators=self.annotators.reweighted(group_weights))


@final
class Users:
    """The tilts of a world's users: factors of the groups' shares, drawn once for every user."""

    def __init__(self, world: int, users: int, spread: float, groups: int) -> None:
        self.world, self.users, self.spread, self.groups = world, users, spread, groups
        self._tilts: dict[str, Array] = {}

    def __call__(self, prompts: Sequence[Prompt]) -> Array:
        """Positive factors, [items, groups]."""
        return np.stack([self._tilt(self.user(prompt)) for prompt in prompts])

    def user(self, prompt: Prompt) -> str:
        """Who wrote the prompt."""
        named = prompt.details.get("user")
        if named is not None:
            return f"named {named}"
        return f"number {seed_for('user', self.world, prompt.identifier) % self.users}"

    def _tilt(self, user: str) -> Array:
        if user not in self._tilts:
            stream = generator_for("oracle", "users", self.world, user)
            self._tilts[user] = np.exp(self.spread * stream.standard_normal(self.groups))
        return self._tilts[user]
