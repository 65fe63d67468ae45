"""Which settings of training have a meaning together: said before any work begins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlhf_repro.interfaces import (
    Algorithm,
    Collect,
    Fit,
    Game,
    ImpossibleSettingError,
    Model,
    Phase,
    TrainingSettings,
)
from nlhf_repro.losses import PolicyGradient
from nlhf_repro.selection import check_best_worst_size

# One that collects in none of these is taken for offline.
LATER_ITERATIONS = range(1, 100)


def check_settings(
    algorithm: Algorithm,
    model: Model,
    game: Game,
    settings: TrainingSettings,
    comparisons_budget: int | None,
) -> None:
    """Refuse what has no meaning, and what the chosen face would silently ignore.

    Raises:
        ImpossibleSettingError: One sentence that names the key and the remedy.
    """
    check_numbers(settings)
    if settings.face == "exact":
        if comparisons_budget is not None:
            raise _no_comparisons(settings, comparisons_budget)
        algorithm.exact_update(algorithm.initial_state(game), game)
        return
    phases = list(algorithm.phases(0))
    model.build(game, np.random.default_rng(0))  # a model that does not fit the games says so
    check_steps(phases)
    check_temperatures([*phases, *algorithm.phases(1)])
    _check_learning_rate(algorithm, model, settings, phases)
    for phase in (*phases, *algorithm.phases(1)):
        if isinstance(phase, Collect):
            _check_collect(phase, game, settings)
        elif isinstance(phase, Fit) and phase.gradient_steps is None:
            _check_convergence(settings, model)
    if settings.face == "expected":
        _check_expected(settings, comparisons_budget)
    elif comparisons_budget is not None:
        check_budget(phases, settings, comparisons_budget)
        check_data_set(algorithm, settings, comparisons_budget)


def check_numbers(settings: TrainingSettings) -> None:
    """Refuse counts below 1 and learning rates that are not positive."""
    for name in ("iterations", "record_points", "groups_per_iteration", "minibatch_size"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise ImpossibleSettingError(f"training.{name} = {value} must be at least 1: raise it.")
    if settings.learning_rate is not None and settings.learning_rate <= 0:
        raise ImpossibleSettingError(
            f"training.learning_rate = {settings.learning_rate} must be positive: raise it or set "
            "it to null for the rate that ties a gradient step to the exact update."
        )


def check_temperatures(phases: Sequence[Phase]) -> None:
    """A score-function gradient is that of the policy which drew the responses."""
    tempered = {
        phase.into: phase.candidate.temperature
        for phase in phases
        if isinstance(phase, Collect) and phase.candidate.temperature != 1
    }
    for phase in phases:
        if not isinstance(phase, Fit) or not isinstance(phase.loss, PolicyGradient):
            continue
        if phase.data in tempered:
            raise ImpossibleSettingError(
                f"the phase that fits {phase.data} takes policy gradients on responses drawn at "
                f"temperature {tempered[phase.data]:g}, which are off policy: draw them at "
                "temperature 1 or use a regression."
            )


def _no_comparisons(settings: TrainingSettings, budget: int) -> ImpossibleSettingError:
    return ImpossibleSettingError(
        f"budget.comparisons = {budget} with training.face = {settings.face}, which asks no "
        "comparison: set training.face=sampled or budget.comparisons=null."
    )


def _check_learning_rate(
    algorithm: Algorithm, model: Model, settings: TrainingSettings, phases: Sequence[Phase]
) -> None:
    """The tied rate exists for one gradient step of plain descent on free logits."""
    if not phases:
        return
    name = type(algorithm).__name__
    rates = [algorithm.learning_rate(2, update) for update in (0, 1)]
    if settings.learning_rate is not None:
        if rates[0] != rates[1]:
            raise ImpossibleSettingError(
                f"training.learning_rate = {settings.learning_rate} would fix the step that "
                f"algorithm.step_size of {name} schedules: set training.learning_rate=null."
            )
        return
    if rates[0] is None or settings.optimizer != "sgd" or not model.free_logits:
        raise ImpossibleSettingError(
            "training.learning_rate = null needs an algorithm whose update is one gradient step, "
            f"training.optimizer = sgd and model=tabular_softmax; {name} with "
            f"{settings.optimizer} and {type(model).__name__} has no such rate, so set "
            "training.learning_rate."
        )


def check_steps(phases: Sequence[Phase]) -> None:
    """Refuse fits of no gradient step."""
    for phase in phases:
        if isinstance(phase, Fit) and phase.gradient_steps is not None and phase.gradient_steps < 1:
            raise ImpossibleSettingError(
                f"algorithm.gradient_steps = {phase.gradient_steps} trains nothing: give at least "
                "1, or null to solve."
            )


def _check_collect(phase: Collect, game: Game, settings: TrainingSettings) -> None:
    """Refuse data that cannot be collected from these games."""
    if phase.design == "against" and not (phase.opponent and phase.opponents):
        raise ImpossibleSettingError(
            f"the phase that collects {phase.into} has design against and no opponent."
        )
    if phase.labels == "score" and phase.design in ("against", "tournament"):
        raise ImpossibleSettingError(
            f"the phase that collects {phase.into} asks for scores with design {phase.design}, "
            "which compares: take probability or bernoulli labels."
        )
    if phase.labels == "score" and game.scores is None:
        raise ImpossibleSettingError(
            "algorithm.labels = score needs an oracle with scores, and no reward explains these "
            "preferences: take oracle=bradley_terry, or labels probability or bernoulli."
        )
    if phase.labels == "none" and phase.design != "win_rate":
        raise ImpossibleSettingError(
            f"the phase that collects {phase.into} asks for no label with design {phase.design}, "
            "which compares: take design win_rate, or probability or bernoulli labels."
        )
    if settings.face == "expected" and phase.design == "best_worst":
        check_best_worst_size(game.actions, phase.responses, phase.labels)


def _check_convergence(settings: TrainingSettings, model: Model) -> None:
    if settings.face == "sampled" or not model.free_logits:
        raise ImpossibleSettingError(
            "algorithm.gradient_steps = null solves the expected loss of free logits; drawn data "
            "leave responses without a label and optima at infinity: set a number of steps, or "
            "training.face=expected with model=tabular_softmax."
        )


def _check_expected(settings: TrainingSettings, budget: int | None) -> None:
    if budget is not None:
        raise _no_comparisons(settings, budget)
    if settings.minibatch_size is not None:
        raise ImpossibleSettingError(
            f"training.minibatch_size = {settings.minibatch_size} with training.face = expected, "
            "whose items carry probabilities that a minibatch would distort: set it to null."
        )


def check_budget(phases: Sequence[Phase], settings: TrainingSettings, budget: int) -> None:
    """Refuse a budget that never ends training, or that does not pay for one iteration."""
    from nlhf_repro.pipeline.comparisons import iteration_comparisons

    collects = any(isinstance(phase, Collect) for phase in phases)
    cost = iteration_comparisons(phases, settings.groups_per_iteration)
    if collects and cost == 0:
        raise ImpossibleSettingError(
            f"budget.comparisons = {budget} never ends an algorithm that asks for scores: set it "
            "to null and training.iterations to what you want."
        )
    if cost > budget:
        raise ImpossibleSettingError(
            f"budget.comparisons = {budget} does not pay for one iteration of {cost} comparisons: "
            "raise it or lower training.groups_per_iteration."
        )


def offline_group(algorithm: Algorithm) -> int | None:
    """Comparisons a group of a data set that is collected once; None for any other algorithm.

    Such an algorithm asks in its first iteration alone, so that no budget ends its training.
    """
    from nlhf_repro.pipeline.comparisons import iteration_comparisons

    first = iteration_comparisons(algorithm.phases(0), 1)
    again = any(iteration_comparisons(algorithm.phases(each), 1) for each in LATER_ITERATIONS)
    return first if first and not again else None


def check_data_set(algorithm: Algorithm, settings: TrainingSettings, budget: int) -> None:
    """Refuse an offline algorithm that would leave more than a group of its budget unasked."""
    cost = offline_group(algorithm)
    if cost is None or budget - cost * settings.groups_per_iteration <= cost:
        return
    raise ImpossibleSettingError(
        f"training.groups_per_iteration = {settings.groups_per_iteration} would use "
        f"{cost * settings.groups_per_iteration} of budget.comparisons = {budget}, because "
        f"{type(algorithm).__name__} asks in its first iteration alone: set it to "
        f"{budget // cost}, and training.iterations, which then counts passes over those data and "
        "which the budget does not end, to what you want."
    )
