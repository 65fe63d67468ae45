"""A best response that is trained against one finished policy, which itself stays as it is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch

from nlhf_repro.algorithms.nash_md_pg import NashMDPG
from nlhf_repro.interfaces import (
    Algorithm,
    Collect,
    ExactState,
    FixedPoint,
    Game,
    ImpossibleSettingError,
    LanguageSettings,
    Ledger,
    Phase,
    Responder,
    ResponderTraining,
    Snapshot,
    TextOracle,
    Tie,
    TrainingSettings,
    oracle_at,
)
from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy
from nlhf_repro.pipeline.collection import Collector, PromptSource, SamplingCollector, Slots
from nlhf_repro.pipeline.comparisons import PointData, PreferenceData
from nlhf_repro.pipeline.keys import seed_factors
from nlhf_repro.pipeline.language.checkpoints import checkpoint, checkpoint_path
from nlhf_repro.pipeline.language.task import LanguageTask
from nlhf_repro.pipeline.language.training import LanguageRun, language_run
from nlhf_repro.pipeline.measured import PeakMemory
from nlhf_repro.pipeline.stages import generators, load_trajectory, save_trajectory
from nlhf_repro.seeds import Generators

OPPONENT = "opponent"


@final
@dataclass(frozen=True)
class AgainstOpponent:
    """An algorithm whose responses meet the policy named `opponent`, whatever it had them meet."""

    algorithm: Algorithm

    @property
    def regularization(self) -> float:
        """The algorithm's."""
        return self.algorithm.regularization

    @property
    def fixed_point(self) -> FixedPoint:
        """None that is declared: a best response to the opponent."""
        return "none"

    @property
    def tie(self) -> Tie:
        """None: there is no exact face."""
        return Tie("none", "the opponent is a policy from outside of the game")

    @property
    def preference_evaluations(self) -> int:
        """The algorithm's."""
        return self.algorithm.preference_evaluations

    def initial_state(self, game: Game) -> ExactState:
        """The algorithm's."""
        return self.algorithm.initial_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The opponent is no part of a game.

        Raises:
            ImpossibleSettingError: always.
        """
        raise ImpossibleSettingError("A response to a named opponent has no exact update.")

    def phases(self, iteration: int) -> Iterator[Phase]:
        """The algorithm's, against the opponent."""
        for phase in self.algorithm.phases(iteration):
            if isinstance(phase, Collect) and phase.design == "against":
                yield replace(phase, opponent=(Responder({OPPONENT: 1.0}),))
            else:
                yield phase

    def learning_rate(self, actions: int, update: int) -> float | None:
        """The algorithm's."""
        return self.algorithm.learning_rate(actions, update)


@final
@dataclass(frozen=True)
class RepeatedPrompts:
    """Every prompt of a source `times` in a row."""

    source: PromptSource
    times: int

    @property
    def unique(self) -> int:
        """Different prompts drawn so far."""
        return self.source.unique

    def draw(self, groups: int) -> torch.Tensor:
        """The next groups / times prompts, each repeated, [1, groups]."""
        return self.source.draw(groups // self.times).repeat_interleave(self.times, dim=1)

    def of(self, data: PreferenceData) -> torch.Tensor:
        """The source's."""
        return self.source.of(data)


@final
class LeaveOneOut:
    """A collector whose values are relative to the mean of the other responses to the same prompt.

    The other responses are independent of the one that the baseline belongs to, so that the
    policy's gradient stays unbiased. Responses to a prompt stand in a row, `responses` of them.
    """

    def __init__(self, collector: Collector, responses: int) -> None:
        self.collector = collector
        self.responses = responses

    @property
    def ledger(self) -> Ledger:
        """The collector's."""
        return self.collector.ledger

    @ledger.setter
    def ledger(self, ledger: Ledger) -> None:
        self.collector.ledger = ledger

    def affords(self, phases: Sequence[Phase]) -> bool:
        """The collector's."""
        return self.collector.affords(phases)

    def prompts(self, data: PreferenceData) -> torch.Tensor:
        """The collector's."""
        return self.collector.prompts(data)

    def collect(self, phase: Collect, slots: Slots) -> PreferenceData:
        """The collector's data, every value as if the others in its group had won half."""
        data = self.collector.collect(phase, slots)
        assert isinstance(data, PointData)
        return replace(data, value=leave_one_out(data.value, self.responses))


def leave_one_out(value: torch.Tensor, responses: int) -> torch.Tensor:
    """1/2 plus value less the mean of the others in its group of `responses`, [problems, items]."""
    grouped = value.reshape(*value.shape[:-1], -1, responses)
    others = (grouped.sum(dim=-1, keepdim=True) - grouped) / (responses - 1)
    return 0.5 + (grouped - others).flatten(start_dim=-2)


def responder_run(
    settings: ResponderTraining,
    policy: CausalLanguageModelPolicy,
    opponent: Snapshot,
    oracle: TextOracle,
    language: LanguageSettings,
    streams: Generators,
    folder: Path,
) -> tuple[LanguageRun, TrainingSettings]:
    """Policy gradient on P(y over the opponent's responses), from the reference policy.

    REINFORCE without regularization, with the leave-one-out baseline, the oracle's probabilities as
    rewards and Adam at a constant rate: the algorithm of algorithm=best_response, its opponent
    exchanged.
    """
    algorithm = AgainstOpponent(
        NashMDPG(
            step_size=1.0,  # the learning rate is the settings'
            regularization=0.0,
            mixture_weight=1.0,
            baseline=0.5,  # the even chance that `leave_one_out` adds
            labels="probability",
            opponents=settings.opponents,
        )
    )
    training = TrainingSettings(
        face="sampled",
        iterations=settings.iterations,
        record_points=1,
        average_iterate=False,
        groups_per_iteration=settings.groups_per_iteration * settings.responses,
        minibatch_size=None,
        optimizer="adam",
        learning_rate=settings.learning_rate,
    )
    made = language_run(algorithm, policy, oracle, (), training, language, None, streams, folder)
    collector = made.run.collector
    assert isinstance(collector, SamplingCollector)
    collector.source = RepeatedPrompts(collector.source, settings.responses)
    made.run.collector = LeaveOneOut(collector, settings.responses)
    made.run.slots[OPPONENT] = opponent
    return made, training


def responder_language(language: LanguageSettings) -> LanguageSettings:
    """The language settings of a responder: those of sampling, and else the same for every row.

    Raises:
        ImpossibleSettingError: sampling is truncated, which a policy gradient is not taken of.
    """
    if language.top_p is not None or language.top_k is not None:
        raise ImpossibleSettingError(
            "table.round_robin.trained takes policy gradients, and language.top_p and "
            "language.top_k truncate the policy: set both to null, or trained to null."
        )
    return replace(
        language,
        log_prob="sum",
        schedule="constant",
        warmup_steps=0,
        weight_decay=0.0,
        gradient_clip=1.0,
        resume_every=None,
        snapshots="memory",
    )


def responder_stage(
    config: Mapping[str, Any],
    settings: ResponderTraining,
    base: Path | None,
    opponent: Path,
    folder: Path,
) -> None:
    """Train against the last policy that `opponent` recorded; write the response and its log."""
    task = LanguageTask(config, base)
    start = time.perf_counter()
    with PeakMemory() as memory:
        made, training = responder_run(
            settings,
            task.policy(task.prompts("training")),
            checkpoint(opponent, int(load_trajectory(opponent).updates[-1])),
            oracle_at(task.oracle(), 1.0),  # the opponent is the last policy
            responder_language(task.settings),
            generators((*seed_factors(config), "responder")),
            folder,
        )
        save_trajectory(folder, made.train(training, None))
    for path in folder.glob("checkpoint-*.safetensors"):
        if path != checkpoint_path(folder, settings.iterations):
            path.unlink()
    (folder / "training.jsonl").write_text(made.log.text())
    measured = {"seconds": time.perf_counter() - start, "peak_memory_mib": memory.mebibytes}
    (folder / "measured.json").write_text(json.dumps(measured))
