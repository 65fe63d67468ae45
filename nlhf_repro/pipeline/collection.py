"""Collecting labelled responses, by sampling or by enumerating the expectation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, final

import numpy as np
import torch

from nlhf_repro.interfaces import (
    Collect,
    Game,
    Ledger,
    OracleCost,
    Phase,
    PreferenceOracle,
    Responder,
    Snapshot,
    TrainablePolicy,
)
from nlhf_repro.models.tabular import TabularPolicy
from nlhf_repro.oracles.matrix import MatrixOracle
from nlhf_repro.pipeline.comparisons import (
    Ask,
    PairData,
    PointData,
    PreferenceData,
    against,
    all_pairs,
    best_worst,
    comparisons_in_group,
    iteration_comparisons,
    scored,
    tournament,
    win_counts,
    win_rates,
)
from nlhf_repro.seeds import Generators
from nlhf_repro.selection import selected_law

Slots = Mapping[str, Snapshot]
STREAMS = ("responses", "opponents", "answers")


class Collector(Protocol):
    """Turns a Collect phase into data and counts what that cost."""

    ledger: Ledger

    def affords(self, phases: Sequence[Phase]) -> bool:
        """Whether the budget pays for all that the phases collect."""
        ...

    def collect(self, phase: Collect, slots: Slots) -> PreferenceData:
        """The labelled data."""
        ...

    def prompts(self, data: PreferenceData) -> torch.Tensor:
        """The prompts of the items of the data, [problems, items]."""
        ...


class PromptSource(Protocol):
    """Which prompts are answered."""

    @property
    def unique(self) -> int:
        """Different prompts drawn so far."""
        ...

    def draw(self, groups: int) -> torch.Tensor:
        """The prompts of the next groups of responses, [problems, groups]."""
        ...

    def of(self, data: PreferenceData) -> torch.Tensor:
        """The prompts of the items of the data, [problems, items]."""
        ...


@final
@dataclass(frozen=True)
class ProblemPrompts:
    """The prompts of games: every problem is its own only prompt, and its number."""

    problems: int
    unique: int = 1

    def draw(self, groups: int) -> torch.Tensor:
        """Every problem's own number."""
        return torch.arange(self.problems)[:, None].expand(-1, groups)

    def of(self, data: PreferenceData) -> torch.Tensor:
        """Every problem's own number."""
        return self.draw(data.weight.shape[1])


@final
@dataclass
class SamplingCollector:
    """Draws `groups` groups of responses a problem and asks the oracle about them.

    Of an oracle that was `learned`, answers are no comparisons of the true one: the ledger counts
    the passes and scores that they `cost`, and no budget pays for them.

    The number of groups is lowered to what the rest of `comparisons_budget` pays for: the
    comparison that would exceed it is not asked.
    """

    policy: TrainablePolicy
    oracle: PreferenceOracle
    source: PromptSource
    groups: int
    comparisons_budget: int | None
    generators: Generators
    ledger: Ledger
    learned: bool = False
    cost: OracleCost = field(default_factory=OracleCost)

    def __post_init__(self) -> None:
        self.streams = {name: self.generators(name) for name in STREAMS}
        self.drawn = torch.empty((0, 0, 0), dtype=torch.int64)  # [problems, groups, K], the latest

    def prompts(self, data: PreferenceData) -> torch.Tensor:
        """The prompts of the items of the data."""
        return self.source.of(data)

    def affords(self, phases: Sequence[Phase]) -> bool:
        """Whether the rest of `comparisons_budget` pays for all of the phases, at full size.

        A last iteration on what is left would train as far on far less data.
        """
        if self.comparisons_budget is None or self.learned:
            return True
        cost = iteration_comparisons(phases, self.groups)
        return self.ledger.comparisons + cost <= self.comparisons_budget

    def collect(self, phase: Collect, slots: Slots) -> PreferenceData:
        """Sampled and labelled data."""
        prompts = self.source.draw(self.groups)
        responses = self._sample(
            phase.candidate, slots, prompts, phase.responses, self.streams["responses"]
        )
        self.drawn = responses
        ask = self._ask(phase, prompts)
        if phase.labels == "score":
            scores = self.oracle.score(prompts[..., None], responses)
            data = scored(phase, responses, scores)
        elif phase.labels == "none":
            data = scored(phase, responses, torch.zeros(responses.shape, dtype=torch.float64))
        elif phase.design == "against":
            opponents = [
                self._sample(opponent, slots, prompts, phase.opponents, self.streams["opponents"])
                for opponent in phase.opponent
            ]
            data = against(responses, torch.cat(opponents, dim=-1), ask)
        else:
            data = _among(phase, responses, ask)
        self._count(phase)
        return data

    def _sample(
        self,
        responder: Responder,
        slots: Slots,
        prompts: torch.Tensor,
        responses: int,
        generator: np.random.Generator,
    ) -> torch.Tensor:
        mixture = [(slots[name], weight) for name, weight in responder.mixture.items()]
        return self.policy.sample(mixture, responder.temperature, prompts, responses, generator)

    def _ask(self, phase: Collect, prompts: torch.Tensor) -> Ask:
        def ask(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            extra = max(first.dim(), second.dim()) - 2
            shaped = prompts.reshape(*prompts.shape, *([1] * extra))
            probability = self.oracle.preference(shaped, first, second)
            if phase.labels == "probability":
                return probability
            uniform = torch.from_numpy(self.streams["answers"].random(tuple(probability.shape)))
            return (uniform < probability).to(probability.dtype)

        return ask

    def _count(self, phase: Collect) -> None:
        responses = self.groups * (phase.responses + phase.opponents * len(phase.opponent))
        asked = self.groups * comparisons_in_group(phase)
        true = 0 if self.learned else asked
        drawn = phase.labels == "bernoulli" or self.cost.bernoulli
        # A response is judged once, in however many comparisons of its group it stands.
        scores = {"score": max(self.cost.scores, 1), "none": 0}.get(phase.labels, self.cost.scores)
        self.ledger = replace(
            with_answers(self.ledger, true, asked, drawn, self.cost),
            scores=self.ledger.scores + responses * scores,
            responses=self.ledger.responses + responses,
            unique_prompts=self.source.unique,
        )


def with_answers(
    ledger: Ledger, comparisons: int, asked: int, drawn: bool, cost: OracleCost
) -> Ledger:
    """The ledger after `asked` answers, `comparisons` of which are of the true oracle."""
    return replace(
        ledger,
        comparisons=ledger.comparisons + comparisons,
        ordered_passes=ledger.ordered_passes + asked * cost.ordered_passes,
        paid_calls=ledger.paid_calls + asked * cost.paid_calls,
        bernoulli_answers=ledger.bernoulli_answers + (comparisons if drawn else 0),
        probability_answers=ledger.probability_answers + (0 if drawn else comparisons),
    )


def _among(phase: Collect, responses: torch.Tensor, ask: Ask) -> PreferenceData:
    """The data of a design that compares the responses of a group with each other."""
    if phase.design == "win_rate":
        return win_rates(responses, ask, phase.self_comparison)
    if phase.design == "tournament":
        return tournament(responses, ask)
    if phase.design == "best_worst":
        return best_worst(responses, win_counts(responses, ask))
    return all_pairs(responses, ask)


@final
@dataclass
class EnumeratingCollector:
    """The expectation over responses and answers: every response or pair with its probability."""

    policy: TabularPolicy
    game: Game  # as the oracle answers
    ledger: Ledger

    def __post_init__(self) -> None:
        self._preferences = torch.from_numpy(self.game.preference_matrix.copy())

    def prompts(self, data: PreferenceData) -> torch.Tensor:
        """Every game's own number."""
        return ProblemPrompts(self.policy.problems).of(data)

    def affords(self, phases: Sequence[Phase]) -> bool:
        """Always: nothing is asked."""
        return True

    def collect(self, phase: Collect, slots: Slots) -> PreferenceData:
        """All actions or all ordered pairs, with their probability as weight."""
        candidate = self._probabilities(phase.candidate, slots)
        if phase.design in ("best_worst", "tournament"):
            return self._selected(phase, candidate)
        value = self._values(phase, candidate, slots)
        games, actions = candidate.shape
        if phase.design == "win_rate" or phase.responses == 1:
            return PointData(torch.arange(actions).expand(games, -1), value, candidate)
        first, second = torch.cartesian_prod(torch.arange(actions), torch.arange(actions)).T
        margin = value[:, first] - value[:, second]
        if phase.design != "against" and phase.labels != "score":
            margin = self._preferences[:, first, second] - 0.5
        weight = candidate[:, first] * candidate[:, second]
        return PairData(first.expand(games, -1), second.expand(games, -1), margin, weight)

    def _selected(self, phase: Collect, candidate: torch.Tensor) -> PairData:
        """The pairs of a design that selects, labelled as preferred, with their law as weight."""
        law = selected_law(
            self.game, candidate.numpy(), phase.design, phase.responses, phase.labels
        )
        if phase.labels != "score":
            self._count_evaluations(1)
        games, actions = candidate.shape
        first, second = torch.cartesian_prod(torch.arange(actions), torch.arange(actions)).T
        weight = torch.from_numpy(law).flatten(start_dim=1)
        margin = torch.full_like(weight, 0.5)
        return PairData(first.expand(games, -1), second.expand(games, -1), margin, weight)

    def _values(self, phase: Collect, candidate: torch.Tensor, slots: Slots) -> torch.Tensor:
        """The expected label of every action, [games, actions]."""
        if phase.labels == "score":
            every = torch.arange(self.game.actions).expand(self.game.games, -1)
            prompts = ProblemPrompts(self.game.games).draw(self.game.actions)
            return MatrixOracle(self.game).score(prompts, every)
        if phase.labels == "none":
            return torch.zeros_like(candidate)
        opponents = [self._probabilities(opponent, slots) for opponent in phase.opponent]
        opponent = torch.stack(opponents).mean(dim=0) if opponents else candidate
        self._count_evaluations(max(len(opponents), 1))
        rates = torch.matmul(self._preferences, opponent[..., None])[..., 0]
        if phase.self_comparison:
            rates = 0.5 + (rates - 0.5) * (phase.responses - 1) / phase.responses
        return rates

    def _count_evaluations(self, evaluations: int) -> None:
        total = self.ledger.preference_evaluations + evaluations
        self.ledger = replace(self.ledger, preference_evaluations=total)

    def _probabilities(self, responder: Responder, slots: Slots) -> torch.Tensor:
        mixture = [(slots[name], weight) for name, weight in responder.mixture.items()]
        return self.policy.mixture_log_policy(mixture, responder.temperature).exp()
