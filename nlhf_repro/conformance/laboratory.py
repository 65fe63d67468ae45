"""Games and runs on which parts are tested: small, fixed, and cyclic as well as transitive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np
from scipy.special import expit

from nlhf_repro.conformance.outcomes import NotApplicableError, require
from nlhf_repro.games import complete_preferences, log_space
from nlhf_repro.interfaces import (
    Algorithm,
    Array,
    Collect,
    ExactState,
    Fit,
    FixedPoint,
    Game,
    ImpossibleSettingError,
    Model,
    OracleWrapper,
    Phase,
    Tie,
    TrainingSettings,
    Trajectory,
)
from nlhf_repro.models.tabular_softmax import SoftmaxPolicy, TabularSoftmax
from nlhf_repro.pipeline.sampled import SampledRun, sampled_run
from nlhf_repro.pipeline.settings import check_settings
from nlhf_repro.pipeline.training import train
from nlhf_repro.seeds import Generators, generator_for

GROUPS = 7
SETTINGS = TrainingSettings("sampled", 3, 10, True, GROUPS, None, "sgd", 0.01)
SOFTMAX = TabularSoftmax()


def random_game(number: int, games: int, actions: int) -> Game:
    """Uniform preferences in [0.02, 0.98] and normal reference logits; mostly cyclic."""
    random = generator_for("conformance", "random_game", number)
    lower = 0.02 + 0.96 * random.random((games, actions, actions))
    logits = random.standard_normal((games, actions))
    return Game(complete_preferences(lower), log_space.log_normalize(logits))


def bradley_terry_game(number: int, games: int, actions: int) -> Game:
    """Preferences that scores explain."""
    random = generator_for("conformance", "bradley_terry_game", number)
    scores = random.standard_normal((games, actions))
    matrix = complete_preferences(expit(scores[:, :, None] - scores[:, None, :]))
    logits = random.standard_normal((games, actions))
    return Game(matrix, log_space.log_normalize(logits), scores)


def circle(actions: int, strength: float, references: int) -> Game:
    """Each of an odd number of actions beats the next half of the circle; Nash is uniform."""
    ahead = (np.arange(actions)[None, :] - np.arange(actions)[:, None]) % actions
    sign = np.where(ahead == 0, 0.0, np.where(ahead <= actions // 2, 1.0, -1.0))
    matrix = complete_preferences(0.5 + strength * sign)
    random = generator_for("conformance", "circle", actions)
    logits = random.standard_normal((references, actions))
    return Game(np.tile(matrix, (references, 1, 1)), log_space.log_normalize(logits))


def comal_cycle(references: int) -> Game:
    """The cycle of COMAL (arXiv:2410.23223), whose equilibrium (4, 3, 4) / 11 is not uniform."""
    matrix = np.array([[0.5, 0.1, 0.8], [0.9, 0.5, 0.1], [0.2, 0.9, 0.5]])
    logits = generator_for("conformance", "comal_cycle").standard_normal((references, 3))
    return Game(np.tile(matrix, (references, 1, 1)), log_space.log_normalize(logits))


def some_of(game: Game, chosen: list[int]) -> Game:
    """The batch of these games alone."""
    scores = None if game.scores is None else game.scores[chosen]
    return Game(game.preference_matrix[chosen], game.log_reference[chosen], scores)


def game_for(algorithm: Algorithm, number: int, games: int, actions: int) -> Game:
    """A random game, or a Bradley-Terry one where the algorithm needs scores."""
    kind = bradley_terry_game if needs_scores(algorithm) else random_game
    return kind(number, games, actions)


def needs_scores(algorithm: Algorithm) -> bool:
    """Whether either face refuses games that no reward explains, and only these."""
    try:
        if any(phase.labels == "score" for phase in collects(algorithm)):
            return True
    except ImpossibleSettingError:  # a setting that only the exact face has
        pass
    return not _takes(algorithm, random_game(0, 1, 3)) and _takes(
        algorithm, bradley_terry_game(0, 1, 3)
    )


def _takes(algorithm: Algorithm, game: Game) -> bool:
    try:
        algorithm.exact_update(algorithm.initial_state(game), game)
    except ImpossibleSettingError:
        return False
    return True


def with_face(algorithm: Algorithm, face: Literal["exact", "sampled"]) -> Algorithm:
    """The algorithm, where its settings have this face at all.

    Raises:
        NotApplicableError: they have not, and the algorithm says why.
    """
    try:
        if face == "exact":
            game = game_for(algorithm, 0, 1, 3)
            algorithm.exact_update(algorithm.initial_state(game), game)
        else:
            collects(algorithm)
    except ImpossibleSettingError as error:
        raise NotApplicableError(f"there is no {face} face: {error}") from error
    return algorithm


def collects(algorithm: Algorithm) -> list[Collect]:
    """What the first three iterations collect."""
    phases = (phase for iteration in range(3) for phase in algorithm.phases(iteration))
    return [phase for phase in phases if isinstance(phase, Collect)]


def fits(algorithm: Algorithm, iteration: int) -> list[Fit]:
    """What an iteration trains."""
    return [phase for phase in algorithm.phases(iteration) if isinstance(phase, Fit)]


def probabilities(state: ExactState) -> Array:
    """The state's policy, from its logits."""
    return np.exp(log_space.log_normalize(state.log_policy))


def exact_states(algorithm: Algorithm, game: Game, updates: int) -> Iterator[ExactState]:
    """The states after 1, 2, ... updates from the reference."""
    state = algorithm.initial_state(game)
    for _ in range(updates):
        state = algorithm.exact_update(state, game)
        yield state


def random_state(algorithm: Algorithm, game: Game, number: int, updates: int = 0) -> ExactState:
    """A state after so many updates, its policy and all that it remembers drawn at random.

    Raises:
        ConformanceError: memory holds something else than log-policies [games, actions].
    """
    random = generator_for("conformance", "random_state", number)
    first = algorithm.initial_state(game)
    for name, array in first.memory.items():
        require(
            array.shape == game.log_reference.shape,
            f"memory[{name!r}] has the shape {array.shape}: what an exact state remembers are "
            "log-policies [games, actions].",
        )
    policy, *others = (
        log_space.log_normalize(random.standard_normal(game.log_reference.shape))
        for _ in range(1 + len(first.memory))
    )
    memory = dict(zip(first.memory, others, strict=True))
    return ExactState(policy, np.exp(policy), updates, memory)


def streams(*factors: str | int) -> Generators:
    """One random stream a name."""
    return lambda stream: generator_for("conformance", stream, *factors)


def settings_for(algorithm: Algorithm, **changes: object) -> TrainingSettings:
    """Small settings; the rate that the algorithm schedules, where it does."""
    rates = {algorithm.learning_rate(2, update) for update in (0, 1)}
    rate = None if len(rates) > 1 else SETTINGS.learning_rate
    chosen: dict[str, object] = {"learning_rate": rate, **changes}
    return replace(SETTINGS, **chosen)  # type: ignore[arg-type]


def started(
    algorithm: Algorithm,
    game: Game,
    settings: TrainingSettings,
    wrappers: tuple[OracleWrapper, ...] = (),
    budget: int | None = None,
) -> SampledRun:
    """A checked run of the sampled or the expected face, before its first iteration."""
    check_settings(algorithm, SOFTMAX, game, settings, budget)
    return sampled_run(algorithm, SOFTMAX, game, game, wrappers, settings, budget, streams(0))


def softmax_of(run: SampledRun) -> SoftmaxPolicy:
    """The run's policy, whose logits are free."""
    assert isinstance(run.tabular_policy, SoftmaxPolicy)
    return run.tabular_policy


def trained(
    algorithm: Algorithm,
    game: Game,
    settings: TrainingSettings,
    budget: int | None = None,
    seed: int = 0,
    model: Model = SOFTMAX,
) -> Trajectory:
    """The trajectory of a run."""
    return train(algorithm, model, game, (), settings, budget, streams(seed))


@final
@dataclass(frozen=True)
class Limited:
    """The algorithm with every fit of at most so many steps, or (None) solved to convergence."""

    algorithm: Algorithm
    gradient_steps: int | None

    @property
    def regularization(self) -> float:
        """The algorithm's."""
        return self.algorithm.regularization

    @property
    def fixed_point(self) -> FixedPoint:
        """The algorithm's."""
        return self.algorithm.fixed_point

    @property
    def tie(self) -> Tie:
        """The algorithm's."""
        return self.algorithm.tie

    @property
    def preference_evaluations(self) -> int:
        """The algorithm's."""
        return self.algorithm.preference_evaluations

    def initial_state(self, game: Game) -> ExactState:
        """The algorithm's."""
        return self.algorithm.initial_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The algorithm's."""
        return self.algorithm.exact_update(state, game)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """The algorithm's, with other numbers of gradient steps."""
        for phase in self.algorithm.phases(iteration):
            yield self._limited(phase) if isinstance(phase, Fit) else phase

    def learning_rate(self, actions: int, update: int) -> float | None:
        """The algorithm's."""
        return self.algorithm.learning_rate(actions, update)

    def _limited(self, fit: Fit) -> Fit:
        most, own = self.gradient_steps, fit.gradient_steps
        if most is None:
            return replace(fit, gradient_steps=None)
        return replace(fit, gradient_steps=most if own is None else min(own, most))
