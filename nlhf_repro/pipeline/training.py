"""The one training loop: exact updates, or the phases of an algorithm on a trainable policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, final

import numpy as np

from nlhf_repro.interfaces import (
    Algorithm,
    Array,
    Game,
    Ledger,
    Model,
    OracleWrapper,
    PreferenceOracle,
    TrainingSettings,
    Trajectory,
)
from nlhf_repro.pipeline.settings import check_settings
from nlhf_repro.seeds import Generators

if TYPE_CHECKING:
    from nlhf_repro.pipeline.sampled import SampledRun


def train(
    algorithm: Algorithm,
    model: Model,
    game: Game,
    wrappers: Sequence[OracleWrapper],
    settings: TrainingSettings,
    comparisons_budget: int | None,
    generators: Generators,
) -> Trajectory:
    """Run an algorithm from the reference policy and record its policies on the way.

    Training sees the preferences through the wrappers; the game itself is the truth that benchmarks
    score against. `comparisons_budget` counts comparisons per training problem and is never
    exceeded; training ends with the last update that it pays for. `generators(stream)` gives every
    source of randomness its own generator; the exact face uses none.

    Raises:
        ImpossibleSettingError: Where settings have no meaning together, before any update.
        FloatingPointError: Where a policy stops being finite, with the update at which it did.
    """
    check_settings(algorithm, model, game, settings, comparisons_budget)
    seen = _seen_game(game, wrappers)
    run: ExactRun | SampledRun
    if settings.face == "exact":
        run = ExactRun(algorithm, seen)
    else:
        from nlhf_repro.pipeline.sampled import sampled_run

        run = sampled_run(
            algorithm, model, game, seen, wrappers, settings, comparisons_budget, generators
        )
    return _record(run, settings)


def recorded_updates(iterations: int, points: int) -> list[int]:
    """0, then about `points` updates evenly spaced on a log scale up to `iterations`.

    All of them where `points` reaches `iterations`.
    """
    if points >= iterations:
        return list(range(iterations + 1))
    if points == 1:
        return [0, iterations]
    grid = np.unique(np.rint(np.geomspace(1, iterations, points)).astype(int))
    return sorted({0, iterations, *(int(update) for update in grid)})


@final
@dataclass
class ExactRun:
    """The exact face: closed-form updates on the batch of games."""

    algorithm: Algorithm
    game: Game
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.state = self.algorithm.initial_state(self.game)
        self.ledger = Ledger(problems=self.game.games)

    def advance(self) -> bool:
        """One update; always affordable."""
        self.state = self.algorithm.exact_update(self.state, self.game)
        return True

    def count(self) -> Ledger:
        """The cost so far: evaluations of P @ policy."""
        evaluations = self.state.updates * self.algorithm.preference_evaluations
        return replace(self.ledger, preference_evaluations=evaluations)

    def policy(self) -> Array:
        """Present probabilities, [games, actions]."""
        return self.state.policy

    def log_policy(self) -> Array:
        """Present normalized log-probabilities, [games, actions]."""
        return normalized(self.state.log_policy)


def normalized(log_policy: Array) -> Array:
    """Log-probabilities that sum to 1 over the last axis."""
    shifted = log_policy - log_policy.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def _seen_game(game: Game, wrappers: Sequence[OracleWrapper]) -> Game:
    """The game whose preferences are what the wrapped oracle answers."""
    if not wrappers:
        return game
    import torch

    from nlhf_repro.oracles.matrix import MatrixOracle

    wrapped: PreferenceOracle = MatrixOracle(game)
    for wrapper in wrappers:
        wrapped = wrapper.wrap(wrapped)
    games, actions = torch.arange(game.games), torch.arange(game.actions)
    matrix = wrapped.preference(
        games[:, None, None], actions[None, :, None], actions[None, None, :]
    )
    return replace(game, preference_matrix=matrix.numpy())


def _record(run: ExactRun | SampledRun, settings: TrainingSettings) -> Trajectory:
    wanted = recorded_updates(settings.iterations, settings.record_points)
    recorder = Recorder(settings.average_iterate)
    recorder.record(0, run)
    update, done = 0, True
    for target in wanted[1:]:
        while update < target:
            played = run.policy() if settings.average_iterate else None
            done = run.advance()
            if not done:
                break
            update += 1
            if played is not None:
                recorder.played(played)
        if update > recorder.updates[-1]:
            recorder.record(update, run)
        if not done:
            break
    return recorder.trajectory(run.count())


@final
class Recorder:
    """Collects the recorded points of a run."""

    def __init__(self, average_iterate: bool) -> None:
        self.updates: list[int] = []
        self.ledgers: list[Ledger] = []
        self.last: list[Array] = []
        self.average: list[Array] | None = [] if average_iterate else None
        self._sum: Array | None = None
        self._played = 0

    def played(self, policy: Array) -> None:
        """Add a policy that an update has just been played from to the average."""
        self._sum = policy.copy() if self._sum is None else self._sum + policy
        self._played += 1

    def record(self, update: int, run: ExactRun | SampledRun) -> None:
        """Keep the present policies; raise FloatingPointError where one is not finite."""
        log_policy = run.log_policy()
        if not np.isfinite(log_policy).all():
            game = int(np.argwhere(~np.isfinite(log_policy).all(axis=-1))[0, 0])
            raise FloatingPointError(
                f"the policy of game {game} is no longer finite by update {update}: lower "
                "training.learning_rate or algorithm.step_size."
            )
        self.updates.append(update)
        self.ledgers.append(run.count())
        self.last.append(log_policy)
        if self.average is not None:
            mean = run.policy() if self._sum is None else self._sum / self._played
            self.average.append(np.log(np.maximum(mean, np.finfo(np.float64).tiny)))

    def trajectory(self, ledger: Ledger) -> Trajectory:
        """Everything recorded."""
        return Trajectory(
            updates=np.array(self.updates, dtype=np.float64),
            comparisons=np.array([each.comparisons for each in self.ledgers], dtype=np.float64),
            preference_evaluations=np.array(
                [each.preference_evaluations for each in self.ledgers], dtype=np.float64
            ),
            last=np.stack(self.last),
            average=None if self.average is None else np.stack(self.average),
            ledger=ledger,
        )
