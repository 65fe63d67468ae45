"""What a cell will ask, draw and train, counted from its phases before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

from nlhf_repro.benchmarks.official_counts import OfficialCount, official_count
from nlhf_repro.interfaces import (
    Algorithm,
    Answers,
    Collect,
    Fit,
    ImpossibleSettingError,
    JudgedBenchmark,
    LearnedOracleWrapper,
    OracleCost,
    Phase,
    TrainingSettings,
    cost_of,
)
from nlhf_repro.pipeline.comparisons import comparisons_in_group, iteration_comparisons
from nlhf_repro.pipeline.keys import is_language
from nlhf_repro.pipeline.lacking import is_lacking, planned_judgments_key
from nlhf_repro.pipeline.parts import build
from nlhf_repro.pipeline.scored import judge_node, judge_of, judged_benchmark, kind_of

Config = Mapping[str, Any]


@dataclass(frozen=True)
class PlannedTraining:
    """Counts of one training, a training problem, as its ledger will have them.

    Attributes:
        updates: that the iterations, or the budget, allow.
        comparisons, responses, paid_calls: see `Ledger`.
        preference_evaluations: of the exact and the expected face.
        gradient_steps: None where a fit is solved to convergence.
        trained_responses: of all gradient steps, those that are not told apart counted twice; None
            as for gradient_steps.
        most_sampled_tokens: all responses at their longest; None for actions, which have no tokens.
    """

    updates: int
    comparisons: int
    responses: int
    paid_calls: int
    preference_evaluations: int
    gradient_steps: int | None
    trained_responses: int | None
    most_sampled_tokens: int | None


@dataclass(frozen=True)
class PlannedJudging:
    """One judging of a cell's answers: benchmarks that only score it otherwise share it.

    `calls` are at most made: two equal answers are not always judged, and a verdict that cannot be
    read may be asked for again (which no count says beforehand). They are None where the questions
    are not there and nobody knows how many there are; `official` questions were counted without
    their files.
    """

    key: str
    benchmark: str
    judge: str
    identity: Mapping[str, Any]
    calls: int | None
    prices: tuple[float | None, float | None] | None  # US dollars a million tokens; None: is free
    official: int | None = None


def planned_training(config: Config) -> PlannedTraining:
    """The counts of the cell's training."""
    settings = TrainingSettings(**config["training"])
    algorithm: Algorithm = build(config["algorithm"])
    if settings.face == "exact":
        evaluations = settings.iterations * algorithm.preference_evaluations
        return PlannedTraining(settings.iterations, 0, 0, 0, evaluations, 0, 0, None)
    learned = _learned(config)
    tally = _Tally(settings, comparisons=learned, responses=2 * learned)
    budget = None if learned else config["budget"]["comparisons"]
    while tally.updates < settings.iterations:
        phases = list(algorithm.phases(tally.updates))
        cost = iteration_comparisons(phases, settings.groups_per_iteration)
        sampled = settings.face == "sampled"
        if sampled and budget is not None and tally.comparisons + cost > budget:
            break
        tally.update(phases, asks=not learned)
    return tally.planned(config)


def planned_judgings(config: Config) -> list[PlannedJudging]:
    """What judged benchmarks will ask about the cell, each judging once."""
    found: dict[str, PlannedJudging] = {}
    for name, node in config["benchmark"].items():
        if kind_of(node) != "judged":
            continue
        key = planned_judgments_key(config, name)
        if key not in found:
            found[key] = _planned_judging(config, name, key)
    return list(found.values())


def _planned_judging(config: Config, name: str, key: str) -> PlannedJudging:
    asked = judge_node(config, name)
    judge, identity, priced = _judge(config, name)
    prices = (asked.get("prompt_price"), asked.get("completion_price"))
    benchmark = judged_benchmark(config, name)
    official: OfficialCount | None = None
    requests: int | None
    try:
        requests = _requests(benchmark)
    except ImpossibleSettingError as error:
        if not is_lacking(error):
            raise
        official = official_count(benchmark)
        requests = official.requests if official else None
    return PlannedJudging(
        key,
        name,
        judge,
        identity,
        None if requests is None else requests * benchmark.repeats * _iterates(config),
        prices if priced else None,
        official.questions if official else None,
    )


def _judge(config: Config, name: str) -> tuple[str, Mapping[str, Any], bool]:
    """Name and identity of the judge, and whether it may be paid; one in memory may be lacking."""
    try:
        judge = judge_of(config, name)
    except ImpossibleSettingError as error:
        if not is_lacking(error):
            raise
        return str(judge_node(config, name).get("name_or_path", "the judge")), {}, False
    return judge.name, judge.identity, bool(getattr(judge, "answers_elsewhere", False))


def _requests(benchmark: JudgedBenchmark) -> int:
    """Requests about one policy's answers, all of which differ from what they are compared with."""
    questions = benchmark.questions()
    own, other = (
        Answers(
            text,
            {x.identifier: tuple(text for _ in x.turns) for x in questions},
            {x.identifier: tuple(1 for _ in x.turns) for x in questions},
        )
        for text in ("an answer", "another answer")
    )
    baseline = (_baseline(benchmark) or other) if benchmark.compares else None
    return len(benchmark.requests(own, baseline))


def _baseline(benchmark: JudgedBenchmark) -> Answers | None:
    """What it compares with; None also where that is lacking, as only its number counts."""
    try:
        return benchmark.baseline()
    except ImpossibleSettingError as error:
        if not is_lacking(error):
            raise
        return None


def _iterates(config: Config) -> int:
    """The policies whose answers are judged: the last, and the selected one where there is one."""
    return 2 if config["language"]["selection"] else 1


def _learned(config: Config) -> int:
    """Comparisons that learned oracles of texts are fitted to, before training."""
    if not is_language(config):
        return 0
    wrappers = [build(node) for node in config["oracle_wrapper"].values()]
    return sum(x.comparisons for x in wrappers if isinstance(x, LearnedOracleWrapper))


class _Tally:
    """Counts iterations as the training loop performs them."""

    def __init__(self, settings: TrainingSettings, comparisons: int, responses: int) -> None:
        self.settings = settings
        self.updates = 0
        self.comparisons, self.responses = comparisons, responses
        self.evaluations = 0
        self.steps: int | None = 0
        self.trained: int | None = 0
        self.items: dict[str, tuple[int, int]] = {}  # of data: how many, and responses in each

    def update(self, phases: Sequence[Phase], asks: bool) -> None:
        """One iteration."""
        for phase in phases:
            if isinstance(phase, Collect):
                self._collect(phase, asks)
            elif isinstance(phase, Fit):
                self._fit(phase)
        self.updates += 1

    def _collect(self, phase: Collect, asks: bool) -> None:
        if self.settings.face == "expected":
            self.evaluations += _evaluations(phase)
            return
        groups = self.settings.groups_per_iteration
        self.comparisons += groups * comparisons_in_group(phase) if asks else 0
        self.responses += groups * (phase.responses + phase.opponents * len(phase.opponent))
        items, sides = _items(phase)
        self.items[phase.into] = (groups * items, sides)

    def _fit(self, phase: Fit) -> None:
        steps = phase.gradient_steps
        if steps is None or self.steps is None or self.trained is None:
            self.steps = self.trained = None
            return
        items, sides = self.items.get(phase.data, (0, 0))
        size = self.settings.minibatch_size
        self.steps += steps
        self.trained += steps * sides * (items if size is None else min(size, items))

    def planned(self, config: Config) -> PlannedTraining:
        """The counts so far."""
        language = is_language(config)
        paid = 0
        if language:
            paid = self.comparisons * _oracle_cost(config).paid_calls
        return PlannedTraining(
            self.updates,
            self.comparisons,
            self.responses,
            paid,
            self.evaluations,
            self.steps,
            self.trained,
            self.responses * config["language"]["max_new_tokens"] if language else None,
        )


def _oracle_cost(config: Config) -> OracleCost:
    """Of an answer; families that say it themselves need not load their weights for it."""
    family = build(config["oracle"])
    said = getattr(family, "cost", None)
    return said if isinstance(said, OracleCost) else cost_of(family.oracle(config["world"]))


def _evaluations(phase: Collect) -> int:
    """Products with the preference matrix that enumerating a phase takes."""
    if phase.design in ("best_worst", "tournament"):
        return int(phase.labels != "score")
    return 0 if phase.labels in ("score", "none") else max(len(phase.opponent), 1)


def _items(phase: Collect) -> tuple[int, int]:
    """Items that a group becomes, and the responses in each."""
    if phase.design == "win_rate":
        return phase.responses, 1
    if phase.design == "against":
        return (1, 2) if phase.responses == 2 else (phase.responses, 1)
    if phase.design in ("best_worst", "tournament"):
        return 1, 2
    return comb(phase.responses, 2), 2
