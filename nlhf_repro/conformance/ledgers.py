"""What training cost, counted twice: by the ledger, and by the oracle and the policy themselves."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

from nlhf_repro.conformance.laboratory import (
    GROUPS,
    Limited,
    collects,
    game_for,
    settings_for,
    started,
    trained,
    with_face,
)
from nlhf_repro.conformance.outcomes import ConformanceError, NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.conformance.variants import with_short_periods_too
from nlhf_repro.interfaces import (
    Algorithm,
    Collect,
    Game,
    ImpossibleSettingError,
    PreferenceOracle,
    Snapshot,
)
from nlhf_repro.pipeline.collection import SamplingCollector
from nlhf_repro.pipeline.sampled import SampledRun

if TYPE_CHECKING:
    import numpy as np
    import torch

ITERATIONS, GAMES, PHASES_READ = 3, 2, 100
COUNTED = ("comparisons", "scores", "responses")


@final
@dataclass
class Count:
    """An oracle wrapper that counts what is asked, over all problems."""

    comparisons: int = 0
    scores: int = 0
    responses: int = 0

    def wrap(self, oracle: PreferenceOracle) -> PreferenceOracle:
        """The oracle, counted."""
        return CountedOracle(self, oracle)


@final
@dataclass
class CountedOracle:
    """The oracle, with every answer counted."""

    count: Count
    oracle: PreferenceOracle

    def preference(
        self, prompts: torch.Tensor, first: torch.Tensor, second: torch.Tensor
    ) -> torch.Tensor:
        """The oracle's, counted."""
        answers = self.oracle.preference(prompts, first, second)
        self.count.comparisons += answers.numel()
        return answers

    def score(self, prompts: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
        """The oracle's, counted."""
        scores = self.oracle.score(prompts, responses)
        self.count.scores += scores.numel()
        return scores


@final
@dataclass
class CountedPolicy:
    """What a collector needs of a policy, with every response counted."""

    count: Count
    policy: Any
    problems: int = field(init=False)

    def __post_init__(self) -> None:
        self.problems = self.policy.problems

    def sample(
        self,
        mixture: Sequence[tuple[Snapshot, float]],
        temperature: float,
        prompts: torch.Tensor,
        responses: int,
        generator: np.random.Generator,
    ) -> torch.Tensor:
        """The policy's, counted."""
        drawn: torch.Tensor = self.policy.sample(
            mixture, temperature, prompts, responses, generator
        )
        self.count.responses += drawn.numel()
        return drawn


@with_short_periods_too
def the_ledger_is_exact_to_the_unit(subject: Subject) -> None:
    """Comparisons, scores and responses of three iterations, as they were asked and drawn."""
    algorithm: Algorithm = with_face(subject.build(), "sampled")
    game = game_for(algorithm, 26, GAMES, 5)
    count, run = _counted(algorithm, game)
    for iteration in range(ITERATIONS):
        run.advance()
        ledger = run.count()
        for name in COUNTED:
            asked, noted = getattr(count, name), GAMES * getattr(ledger, name)
            require(
                asked == noted,
                f"after iteration {iteration} the ledger holds {noted} {name} of {GAMES} games, "
                f"where {asked} were counted.",
            )
        answers = ledger.bernoulli_answers + ledger.probability_answers
        require(
            ledger.comparisons == answers == ledger.ordered_passes,
            f"after iteration {iteration} the ledger holds {ledger.comparisons} comparisons, "
            f"{answers} answers and {ledger.ordered_passes} ordered passes, which have to agree.",
        )


def a_budget_is_never_exceeded(subject: Subject) -> None:
    """It pays for whole iterations, ends training there, and is refused below the first."""
    algorithm: Algorithm = Limited(with_face(subject.build(), "sampled"), 2)
    if not collects(algorithm):
        raise NotApplicableError("nothing is collected")
    game = game_for(algorithm, 27, GAMES, 5)
    spent = _spent(algorithm, game)
    if spent[0] == 0:
        _refused(algorithm, game, 100, "asks no comparison in its first iteration")
        return
    _refused(algorithm, game, spent[0] - 1, "costs more than that in its first iteration")
    for budget in sorted({*spent, spent[0] + 1, max(spent[0], spent[2] - 1)}):
        whole = [total for total in spent if total <= budget]
        found = trained(algorithm, game, settings_for(algorithm), budget)
        expected = (len(whole), whole[-1])
        ended = (int(found.updates[-1]), found.ledger.comparisons)
        require(
            ended == expected,
            f"a budget of {budget} comparisons ended after {ended[0]} iterations and {ended[1]} "
            f"comparisons, where {expected[0]} whole iterations cost {expected[1]}.",
        )


@with_short_periods_too
def answers_are_of_the_declared_kind(subject: Subject) -> None:
    """A field `labels` decides, at each of its options, what is asked and what is counted."""
    algorithm: Algorithm = with_face(subject.build(), "sampled")
    if not hasattr(algorithm, "labels"):
        raise NotApplicableError("there is no field labels")
    options = [option for name, option in subject.options() if name == "labels"]
    for labels in dict.fromkeys([algorithm.labels, *options]):
        try:
            chosen: Algorithm = with_face(subject.build(labels=labels), "sampled")
        except (ImpossibleSettingError, NotApplicableError):
            continue  # refused: other checks ask how
        _asks_for(chosen, labels)


def _asks_for(algorithm: Algorithm, labels: str) -> None:
    for iteration in range(PHASES_READ):
        for phase in algorithm.phases(iteration):
            if isinstance(phase, Collect):
                require(
                    phase.labels in (labels, "score", "none"),
                    f"labels is {labels}, but iteration {iteration} collects {phase.labels}.",
                )
    _, run = _counted(algorithm, game_for(algorithm, 26, GAMES, 5))
    for _ in range(ITERATIONS):
        run.advance()
    ledger = run.count()
    for kind in ("bernoulli", "probability"):
        answers = getattr(ledger, f"{kind}_answers")
        require(
            kind == labels or answers == 0,
            f"labels is {labels}, but the ledger holds {answers} {kind} answers.",
        )


@with_short_periods_too
def both_faces_count_the_same_evaluations(subject: Subject) -> None:
    """Preference evaluations of three iterations, unless the docstring says why they differ."""
    algorithm: Algorithm = with_face(with_face(subject.build(), "exact"), "sampled")
    game = game_for(algorithm, 31, 1, 3)
    counts = []
    for face in ("exact", "expected"):
        settings = settings_for(algorithm, face=face)
        try:
            found = trained(Limited(algorithm, 1), game, settings)
        except ImpossibleSettingError as error:
            raise NotApplicableError(f"there is no {face} face: {error}") from error
        counts.append(found.ledger.preference_evaluations)
    said = "preference evaluations" in " ".join((inspect.getdoc(subject.kind) or "").split())
    require(
        counts[0] == counts[1] or said,
        f"{ITERATIONS} iterations count {counts[0]} preference evaluations on the exact face and "
        f"{counts[1]} on the expected one: mend the property preference_evaluations, or say in the "
        "docstring why the preference evaluations differ.",
    )


def _counted(algorithm: Algorithm, game: Game) -> tuple[Count, SampledRun]:
    count = Count()
    run = started(Limited(algorithm, 2), game, settings_for(algorithm), (count,))
    assert isinstance(run.collector, SamplingCollector)
    policy: Any = CountedPolicy(count, run.tabular_policy)
    run.collector = replace(run.collector, policy=policy)
    return count, run


def _spent(algorithm: Algorithm, game: Game) -> list[int]:
    """Comparisons of a game that the oracle has answered after 1, 2 and 3 iterations."""
    count, run = _counted(algorithm, game)
    totals = []
    for _ in range(ITERATIONS):
        run.advance()
        totals.append(count.comparisons // GAMES)
    return totals


def _refused(algorithm: Algorithm, game: Game, budget: int, why: str) -> None:
    try:
        trained(algorithm, game, settings_for(algorithm), budget)
    except ImpossibleSettingError:
        return
    raise ConformanceError(
        f"a budget of {budget} comparisons was accepted of an algorithm that {why} "
        f"({GROUPS} groups): check_settings has to refuse it."
    )
