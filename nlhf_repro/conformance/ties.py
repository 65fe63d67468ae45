"""The two faces of an algorithm belong together as its tie says, and gradients average out."""

from __future__ import annotations

import numpy as np
import torch

from nlhf_repro.conformance import transplants
from nlhf_repro.conformance.laboratory import (
    Limited,
    exact_states,
    fits,
    game_for,
    probabilities,
    random_state,
    settings_for,
    softmax_of,
    started,
    with_face,
)
from nlhf_repro.conformance.outcomes import ConformanceError, NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.conformance.variants import with_short_periods_too
from nlhf_repro.interfaces import Algorithm, Array, Collect, Fit, Game, ImpossibleSettingError
from nlhf_repro.pipeline.sampled import SampledRun
from nlhf_repro.seeds import generator_for

ITERATIONS, RARE, LATER = 12, 1e-5, (4, 99, 1000)
BATCHES, GROUPS, STANDARD_ERRORS = 40, 4000, 5.0


@with_short_periods_too
def the_tie_of_the_faces_holds(subject: Subject) -> None:
    """Minimiser, gradient step or identity, as declared; none has a reason."""
    algorithm: Algorithm = subject.build()
    kind = algorithm.tie.kind
    if kind == "none":
        require(bool(algorithm.tie.reason), "the tie is none without a reason: give Tie one.")
        raise NotApplicableError(f"there is no tie: {algorithm.tie.reason}")
    checks = {
        "gradient_step": _is_one_gradient_step,
        "minimiser": _is_the_minimiser,
        "identity": _stays_at_the_reference,
    }
    if kind not in checks:
        raise ConformanceError(f"the tie {kind} is unknown: use {', '.join([*checks, 'none'])}.")
    checks[kind](with_face(with_face(algorithm, "exact"), "sampled"))


def _is_one_gradient_step(algorithm: Algorithm) -> None:
    """Twelve updates of plain descent at the tied rate, to 1e-13."""
    game = game_for(algorithm, 21, 3, 4)
    rate = algorithm.learning_rate(game.actions, 0)
    require(
        rate is not None, "the tie is gradient_step, but learning_rate(actions, update) is None."
    )
    run = started(algorithm, game, settings_for(algorithm, face="expected", learning_rate=None))
    for update, state in enumerate(exact_states(algorithm, game, ITERATIONS), start=1):
        run.advance()
        _close(run.policy(), probabilities(state), 1e-13, f"{update} gradient steps")
    _holds_from_anywhere(algorithm, run, game, 1e-13)


def _is_the_minimiser(algorithm: Algorithm) -> None:
    """Twelve iterations solved to convergence; where one fit is all, its gradient there is 0.

    After the third, the comparison ends where an action has become so rare that its share of the
    loss is below what the solver resolves.
    """
    solved = Limited(algorithm, None)
    first = fits(algorithm, 0)
    if len(first) == 1 and first[0].produces == "current":
        _gradient_is_zero_at_the_exact_update(algorithm, game_for(algorithm, 22, 2, 4))
    game = game_for(algorithm, 22, 2, 3)
    run = started(solved, game, settings_for(algorithm, face="expected"))
    for update, state in enumerate(exact_states(algorithm, game, ITERATIONS), start=1):
        if update > 3 and probabilities(state).min() < RARE:
            break
        run.advance()
        _close(run.policy(), probabilities(state), 3e-6, f"{update} converged iterations")
    _holds_from_anywhere(algorithm, run, game, 3e-6)


def _holds_from_anywhere(
    algorithm: Algorithm, run: SampledRun, game: Game, tolerance: float
) -> None:
    """One iteration from random states after more updates, where a state says all of the run's.

    All that is remembered starts apart, and has to end as the exact update leaves it.
    """
    for number, updates in enumerate(LATER):
        state = random_state(algorithm, game, number, updates)
        if not transplants.says_all(algorithm, state, updates):
            continue
        transplants.put(run, state)
        run.advance()
        worst, name = transplants.apart(run, algorithm.exact_update(state, game))
        require(
            worst <= tolerance,
            f"the tie does not hold: from a random state after {updates} updates, {name} of the "
            f"expected face ends {worst:.1e} away from the exact one, where {tolerance:g} is "
            "allowed: do phases() and exact_update describe the same update of all policies?",
        )


def _gradient_is_zero_at_the_exact_update(algorithm: Algorithm, game: Game) -> None:
    run = started(algorithm, game, settings_for(algorithm, face="expected"))
    policy, fit = softmax_of(run), _collected(run, algorithm)
    exact = next(exact_states(algorithm, game, 1))
    with torch.no_grad():
        policy.logits.copy_(torch.from_numpy(exact.log_policy))
    gradient = transplants.gradient(run, fit) / np.exp(game.log_reference)
    worst = float(np.abs(gradient).max())
    require(
        worst < 1e-11,
        f"at the exact update the expected loss still has a gradient of {worst:.1e} (divided by "
        "the action's probability): the loss and exact_update disagree, in scale, sign or anchors.",
    )


def _stays_at_the_reference(algorithm: Algorithm) -> None:
    game = game_for(algorithm, 21, 3, 4)
    run = started(algorithm, game, settings_for(algorithm))
    for _ in range(3):
        run.advance()
    for state in exact_states(algorithm, game, 3):
        _close(run.policy(), probabilities(state), 1e-15, "an identity")
    _close(run.policy(), np.exp(game.log_reference), 1e-14, "an identity, from the reference")


def sampled_gradients_average_to_the_expected_one(subject: Subject) -> None:
    """The first fit's gradient from drawn data, to five standard errors, off the reference.

    The streams are fixed, so that the check gives the same answer every time. A tie that holds in a
    limit only, such as that of many opponents a response, says so with this word in its reason.
    """
    algorithm: Algorithm = with_face(subject.build(), "sampled")
    if not fits(algorithm, 0):
        raise NotApplicableError("the first iteration trains nothing")
    game = game_for(algorithm, 24, 1, 3)
    expected = _expected_gradient(algorithm, game)
    settings = settings_for(algorithm, groups_per_iteration=GROUPS)
    run = started(Limited(algorithm, 1), game, settings)
    _move_away(run)
    drawn = np.stack(
        [transplants.gradient(run, _collected(run, algorithm)) for _ in range(BATCHES)]
    )
    mean, error = drawn.mean(axis=0), drawn.std(axis=0, ddof=1) / np.sqrt(BATCHES)
    largest = float(np.abs(expected).max())
    off = np.abs(mean - expected) / np.maximum(error, 1e-12 * max(largest, 1.0))
    if (off >= STANDARD_ERRORS).any() and "limit" in algorithm.tie.reason:
        raise NotApplicableError(
            f"drawn gradients are {off.max():.0f} standard errors off their enumeration, and the "
            f"tie says that it holds in a limit only: {algorithm.tie.reason}"
        )
    require(
        bool((off < STANDARD_ERRORS).all()),
        f"the gradient of the first fit from {BATCHES * GROUPS} drawn groups is {off.max():.0f} "
        f"standard errors away from its enumerated expectation ({mean.ravel()} for "
        f"{expected.ravel()}): what is drawn is not what is enumerated.",
    )
    require(
        bool(largest > 10 * error.max()),
        "the expected gradient of the first fit is too small beside its noise to be checked.",
    )


def _expected_gradient(algorithm: Algorithm, game: Game) -> Array:
    try:
        run = started(Limited(algorithm, 1), game, settings_for(algorithm, face="expected"))
    except ImpossibleSettingError as error:
        raise NotApplicableError(f"the expectation cannot be enumerated: {error}") from error
    _move_away(run)
    return transplants.gradient(run, _collected(run, algorithm))


def _move_away(run: SampledRun) -> None:
    """Put the current policy off the reference, so that anchors and mixtures matter."""
    policy = softmax_of(run)
    noise = generator_for("conformance", "moved").standard_normal(tuple(policy.logits.shape))
    with torch.no_grad():
        policy.logits.add_(torch.from_numpy(noise))
    run.slots["current"] = run.trainer.snapshot()


def _collected(run: SampledRun, algorithm: Algorithm) -> Fit:
    """Collect up to the first fit of iteration 0, which is returned."""
    for phase in algorithm.phases(0):
        if isinstance(phase, Collect):
            run.data[phase.into] = run.collector.collect(phase, run.slots)
        elif isinstance(phase, Fit):
            return phase
    raise NotApplicableError("the first iteration trains nothing")


def _close(found: Array, expected: Array, tolerance: float, what: str) -> None:
    worst = float(np.abs(found - expected).max())
    require(
        worst <= tolerance,
        f"the tie does not hold: after {what} the expected face and the exact one differ by "
        f"{worst:.1e}, where {tolerance:g} is allowed: do phases() and exact_update describe the "
        "same update, with the same learning_rate?",
    )
