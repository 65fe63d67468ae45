"""Running the phases of an algorithm: collect, fit, advance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import final

import torch

from nlhf_repro.interfaces import (
    Advance,
    Algorithm,
    Array,
    Collect,
    Fit,
    Game,
    Ledger,
    Model,
    OracleWrapper,
    Phase,
    PreferenceOracle,
    Snapshot,
    TrainablePolicy,
    TrainingSettings,
)
from nlhf_repro.models.tabular import TabularPolicy
from nlhf_repro.oracles.matrix import MatrixOracle
from nlhf_repro.pipeline.collection import (
    Collector,
    EnumeratingCollector,
    ProblemPrompts,
    SamplingCollector,
)
from nlhf_repro.pipeline.comparisons import PreferenceData
from nlhf_repro.pipeline.fitting import Trainer, objective
from nlhf_repro.seeds import Generators

Observer = Callable[[Phase, PreferenceData, Mapping[str, Snapshot]], None]


def sampled_run(
    algorithm: Algorithm,
    model: Model,
    game: Game,
    seen: Game,
    wrappers: Sequence[OracleWrapper],
    settings: TrainingSettings,
    comparisons_budget: int | None,
    generators: Generators,
) -> SampledRun:
    """The run of the sampled face, or of the expected one, at the reference policy.

    `seen` is the game with the preferences that the wrapped oracle answers with.
    """
    policy = model.build(game, generators("initialization"))
    if not isinstance(policy, TabularPolicy):
        raise TypeError(f"model {type(model).__name__} does not play games: use a tabular model.")
    ledger = Ledger(problems=game.games)
    collector: Collector
    if settings.face == "expected":
        collector = EnumeratingCollector(policy, seen, ledger)
    else:
        oracle: PreferenceOracle = MatrixOracle(game)
        for wrapper in wrappers:
            oracle = wrapper.wrap(oracle)
        collector = SamplingCollector(
            policy,
            oracle,
            ProblemPrompts(game.games),
            settings.groups_per_iteration,
            comparisons_budget,
            generators,
            ledger,
        )
    trainer = Trainer(
        policy, settings.optimizer, settings.minibatch_size, generators("minibatches")
    )
    return SampledRun(algorithm, policy, collector, trainer, settings.learning_rate, game.actions)


@final
class SampledRun:
    """Named policies, and what the phases do with them."""

    def __init__(
        self,
        algorithm: Algorithm,
        policy: TrainablePolicy,
        collector: Collector,
        trainer: Trainer,
        learning_rate: float | None,
        actions: int,
        observe: Observer | None = None,
        keep: Callable[[Snapshot], Snapshot] | None = None,
        revise: Callable[[Iterable[Phase]], Iterable[Phase]] = iter,
    ) -> None:
        """`observe` is told of everything collected; `keep` says where fitted policies are kept.

        `revise` changes the phases of every iteration before they are performed.
        """
        self.algorithm = algorithm
        self.trainable = policy
        self.collector = collector
        self.trainer = trainer
        self.learning_rate = learning_rate
        self.actions = actions
        self.updates = 0
        self.start = trainer.live
        self.slots = self._named({})
        self.data: dict[str, PreferenceData] = {}
        self._observe = observe
        self._keep = keep
        self._revise = revise

    def _named(self, slots: Mapping[str, Snapshot]) -> defaultdict[str, Snapshot]:
        """The policies of these names; every other name starts at the reference."""
        start = self.start
        return defaultdict(lambda: start, {"reference": start, "current": start, **slots})

    def continue_from(self, start: Snapshot, slots: Mapping[str, Snapshot], live: Snapshot) -> None:
        """Take the named policies of another run of the same kind, `live` under training."""
        self.start = start
        self.slots = self._named(slots)
        self.trainer.resume(live)

    @property
    def tabular_policy(self) -> TabularPolicy:
        """The policy of a run on games."""
        assert isinstance(self.trainable, TabularPolicy)
        return self.trainable

    def advance(self) -> bool:
        """One iteration; False, and nothing is asked, where the budget does not pay for it."""
        phases = list(self._revise(self.algorithm.phases(self.updates)))
        if not self.collector.affords(phases):
            return False
        for phase in phases:
            self.perform(phase)
        self.updates += 1
        return True

    def perform(self, phase: Phase) -> None:
        """One phase."""
        if isinstance(phase, Collect):
            self.data[phase.into] = self.collector.collect(phase, self.slots)
            if self._observe is not None:
                self._observe(phase, self.data[phase.into], self.slots)
        elif isinstance(phase, Fit):
            self.slots[phase.produces] = self._fit(phase)
        else:
            self.slots[phase.target] = self._moved(phase)

    def _fit(self, phase: Fit) -> Snapshot:
        data = self.data[phase.data]
        prompts = self.collector.prompts(data)
        scaled = self.trainer.recipe.unit_scale
        loss = objective(self.trainable, phase, data, self.slots, prompts, scaled)
        rate = self.learning_rate
        if rate is None:
            rate = self.algorithm.learning_rate(self.actions, self.updates) or 0.0
        fitted = self.trainer.fit(phase, self.slots[phase.start], loss, rate, self.updates)
        return fitted if self._keep is None else self.trainer.rename(self._keep(fitted))

    def _moved(self, phase: Advance) -> Snapshot:
        """The source, or the average of the target's and the source's weights."""
        source = self.slots[phase.source]
        if phase.share == 1.0:
            return source
        target = self.slots[phase.target]
        averaged = {
            name: (1.0 - phase.share) * target.parameters[name] + phase.share * weight
            for name, weight in source.parameters.items()
        }
        return Snapshot(averaged, target.optimizer_state)

    def count(self) -> Ledger:
        """The cost so far."""
        return replace(
            self.collector.ledger,
            gradient_steps=self.trainer.gradient_steps,
            sampled_tokens=self.trainable.sampled_tokens,
            trained_tokens=self.trainable.trained_tokens,
        )

    def policy(self) -> Array:
        """Present probabilities, [games, actions]."""
        table: Array = self._table().exp().numpy()
        return table

    def log_policy(self) -> Array:
        """Present normalized log-probabilities, [games, actions]."""
        table: Array = self._table().numpy()
        return table

    def _table(self) -> torch.Tensor:
        return self.tabular_policy.frozen_log_policy(self.slots["current"])
