"""Annotators whose shares change in the course of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from nlhf_repro.interfaces import Array, ImpossibleSettingError, Occasion, Prompt
from nlhf_repro.oracles.annotators import AnnotatorGroups, AnnotatorOracle
from nlhf_repro.oracles.personalized_annotators import PersonalizedAnnotators


@final
@dataclass(frozen=True)
class DriftingAnnotators:
    """shares(t) = shares(0) + (shares(1) - shares(0)) clip((t - begins) / (ends - begins), 0, 1).

    t is the share of `training.iterations` that is over; with `begins` = `ends` all changes at
    once. shares(0) are those of `annotators`, shares(1) those of the same annotators with
    `final_weights`; tastes do not change. This is the oracle itself and no wrapper of what training
    sees: policies that were recorded in the course of training are scored by the population of
    their time, and outside of training it is the last one. A fit (bradley_terry_fit) asks all its
    comparisons at t = 0. A run that its budget ends early meets no later population.
    """

    annotators: AnnotatorGroups | PersonalizedAnnotators
    final_weights: Sequence[float]
    begins: float
    ends: float

    def __post_init__(self) -> None:
        if not isinstance(self.annotators, AnnotatorGroups | PersonalizedAnnotators):
            raise ImpossibleSettingError(
                "oracle.annotators of oracle=drifting_annotators must be annotators or "
                "personalized_annotators: take oracle@oracle.annotators=annotators."
            )
        if not 0 <= self.begins <= self.ends <= 1:
            raise ImpossibleSettingError(
                f"oracle.begins = {self.begins} and oracle.ends = {self.ends} must be shares of "
                "the iterations, the first at most the second."
            )
        try:
            self.annotators.reweighted(self.final_weights)
        except ImpossibleSettingError as error:
            raise ImpossibleSettingError(
                str(error).replace("oracle.group_weights", "oracle.final_weights")
            ) from error

    def oracle(self, world: int) -> DriftingPopulation:
        """The annotators of this world, whose shares of every group have the world's factors."""
        last = self.annotators.reweighted(self.final_weights).oracle(world)
        return DriftingPopulation(
            self.annotators.oracle(world), last.shares, self.begins, self.ends
        )


@final
class DriftingPopulation:
    """Annotators who are `first` until `begins`, and have `last_shares` [groups] from `ends` on."""

    feature_names = AnnotatorOracle.feature_names
    group_names = AnnotatorOracle.group_names

    def __init__(
        self, first: AnnotatorOracle, last_shares: Array, begins: float, ends: float
    ) -> None:
        self.first, self.last_shares = first, last_shares
        self.begins, self.ends = begins, ends
        self.last = self.at(1.0)

    def at(self, progress: float) -> AnnotatorOracle:
        """The annotators at a share of the iterations, in [0, 1]."""
        share = float(progress >= self.ends)
        if self.begins < progress < self.ends:
            share = (progress - self.begins) / (self.ends - self.begins)
        return self.first.mixed((1 - share) * self.first.shares + share * self.last_shares)

    def preference_on(
        self,
        prompts: Sequence[Prompt],
        first: Sequence[str],
        second: Sequence[str],
        occasion: Occasion,
    ) -> Array:
        """P(first preferred over second) of the time, [items]."""
        return self.at(occasion.progress).preference(prompts, first, second)

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """P(first preferred over second) of the last annotators, [items]."""
        return self.last.preference(prompts, first, second)

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """Refused: one reward would be that of one time.

        Raises:
            ImpossibleSettingError: always.
        """
        raise ImpossibleSettingError(
            "Annotators who drift have no rewards: take an algorithm whose labels are preferences, "
            "or oracle_wrapper=[bradley_terry_fit], which asks before training."
        )

    def features(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """What is read of the responses, [items, features]; the same at all times."""
        return self.last.features(prompts, responses)

    def group_preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """P(first preferred over second) of every group, [items, groups]; the same at all times."""
        return self.last.group_preference(prompts, first, second)

    def responder_preference(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """P(a response of the type preferred over the response), [items, types]; of the last."""
        return self.last.responder_preference(prompts, responses)

    def responder_response(self, prompt: Prompt, responder: int) -> str:
        """A summary of the type."""
        return self.last.responder_response(prompt, responder)
