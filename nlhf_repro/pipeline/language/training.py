"""Training a language model: the phases of an algorithm on texts, recorded and resumable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

from nlhf_repro.interfaces import (
    Algorithm,
    Collect,
    LanguageSettings,
    LearnedOracleWrapper,
    Phase,
    Snapshot,
    TextOracle,
    TrainingSettings,
    Trajectory,
    cost_of,
)
from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy
from nlhf_repro.pipeline.collection import SamplingCollector
from nlhf_repro.pipeline.comparisons import PreferenceData, iteration_comparisons, responses_of
from nlhf_repro.pipeline.fitting import Trainer
from nlhf_repro.pipeline.language.checkpoints import CheckpointRecorder, SnapshotFiles
from nlhf_repro.pipeline.language.early_stopping import EarlyStopping
from nlhf_repro.pipeline.language.log import TrainingLog
from nlhf_repro.pipeline.language.prompts import PromptDeck
from nlhf_repro.pipeline.language.responders import with_proxies
from nlhf_repro.pipeline.language.resume import load_state, save_state
from nlhf_repro.pipeline.language.wrapping import Seen, wrapped
from nlhf_repro.pipeline.optimization import Recipe
from nlhf_repro.pipeline.sampled import SampledRun
from nlhf_repro.pipeline.training import recorded_updates
from nlhf_repro.seeds import Generators


@final
@dataclass(frozen=True)
class LanguageRun:
    """A run with what it records and says; `scratch` is where it goes on after a kill."""

    run: SampledRun
    recorder: CheckpointRecorder
    log: TrainingLog
    scratch: Path
    seen: Seen
    files: SnapshotFiles | None = None

    def train(
        self,
        settings: TrainingSettings,
        resume_every: int | None,
        stopping: EarlyStopping | None = None,
    ) -> Trajectory:
        """Update until the iterations or the budget end, or `stopping` says so, recording.

        After an early end the last policy stands at every later update that would have been
        recorded: all runs of a row record the same updates.
        """
        wanted = recorded_updates(settings.iterations, settings.record_points)
        run, recorder = self.run, self.recorder
        tallies = self.seen.tallies
        before_training = tallies.take()
        if not load_state(self.scratch, run, recorder, self.log):
            recorder.record(0, run)
            self.log.asked(before_training)
        while run.updates < settings.iterations and not _over(stopping, recorder):
            self.log.begin(run.updates)
            self.seen.oracle.occasions.begin(run.updates)
            if not run.advance():
                break
            self.log.asked(tallies.take())
            _keep_data(run)
            if self.files is not None:
                self.files.prune(run.slots.values())
            if run.updates in wanted:
                recorder.record(run.updates, run)
            if resume_every and run.updates % resume_every == 0:
                save_state(self.scratch, run, recorder, self.log)
        if run.updates > recorder.updates[-1]:
            recorder.record(run.updates, run)
        for update in wanted if _over(stopping, recorder) else ():
            if update > recorder.updates[-1]:
                recorder.record(int(update), run)
        return recorder.trajectory(run.count())


def _over(stopping: EarlyStopping | None, recorder: CheckpointRecorder) -> bool:
    return stopping is not None and stopping.over(recorder.updates)


def _keep_data(run: SampledRun) -> None:
    """Forget responses that no data hold any longer."""
    assert isinstance(run.trainable, CausalLanguageModelPolicy)
    held = (
        number
        for data in run.data.values()
        for side in responses_of(data)
        for number in side.flatten().tolist()
    )
    run.trainable.bank.keep(held)


def language_run(
    algorithm: Algorithm,
    policy: CausalLanguageModelPolicy,
    oracle: TextOracle,
    wrappers: Sequence[Any],
    settings: TrainingSettings,
    language: LanguageSettings,
    comparisons_budget: int | None,
    generators: Generators,
    folder: Path,
) -> LanguageRun:
    """The run at the reference policy, its wrapped oracles learned and paid for.

    Checkpoints and the state of an unfinished run go to `folder`.
    """
    log = TrainingLog(policy)
    learned = any(isinstance(wrapper, LearnedOracleWrapper) for wrapper in wrappers)
    recipe = _recipe(algorithm, settings, language, None if learned else comparisons_budget)
    trainer = Trainer(
        policy,
        settings.optimizer,
        settings.minibatch_size,
        generators("minibatches"),
        recipe,
        log.step,
    )
    seen = wrapped(oracle, wrappers, policy, trainer.live, generators, settings.iterations)
    collector = SamplingCollector(
        policy,
        seen.oracle,
        PromptDeck(policy, generators("prompts"), seen.prompts),
        settings.groups_per_iteration,
        comparisons_budget,
        generators,
        seen.ledger,
        learned=learned,
        cost=cost_of(seen.oracle.texts),
    )
    files = SnapshotFiles(folder) if language.snapshots == "disk" else None
    run = SampledRun(
        algorithm,
        policy,
        collector,
        trainer,
        settings.learning_rate,
        actions=0,
        observe=_observer(log, collector),
        keep=None if files is None else files.keep,
        revise=partial(with_proxies, temperature=language.uniform_temperature),
    )
    return LanguageRun(run, CheckpointRecorder(folder), log, folder, seen, files)


def planned_updates(
    algorithm: Algorithm, settings: TrainingSettings, comparisons_budget: int | None
) -> int:
    """How many updates the iterations, or the budget, allow."""
    cost = iteration_comparisons(algorithm.phases(1), settings.groups_per_iteration)
    if comparisons_budget is None or cost == 0:
        return settings.iterations
    return max(1, min(settings.iterations, comparisons_budget // cost))


def _recipe(
    algorithm: Algorithm,
    settings: TrainingSettings,
    language: LanguageSettings,
    comparisons_budget: int | None,
) -> Recipe:
    return Recipe(
        language.schedule,
        planned_updates(algorithm, settings, comparisons_budget),
        language.warmup_steps,
        language.weight_decay,
        language.gradient_clip,
        language.microbatch,
        language.unit_scale,
        settings.groups_per_iteration,
    )


def _observer(
    log: TrainingLog, collector: SamplingCollector
) -> Callable[[Phase, PreferenceData, Mapping[str, Snapshot]], None]:
    def observe(phase: Phase, data: PreferenceData, slots: Mapping[str, Snapshot]) -> None:
        assert isinstance(phase, Collect)
        log.collected(phase, data, collector.drawn, slots, collector.ledger.comparisons)

    return observe
