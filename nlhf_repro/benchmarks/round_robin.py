"""Several policies against each other and against a common pool; for reports, not a benchmark."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from nlhf_repro.benchmarks.answers import (
    check_against,
    check_samples,
    preference_table,
)
from nlhf_repro.interfaces import (
    Array,
    ImpossibleSettingError,
    PolicySamples,
    Prompt,
    TextOracle,
)
from nlhf_repro.uncertainty import cross_fitted_maximum


@final
@dataclass(frozen=True)
class PoolExploitability:
    """A lower bound on max_y P(y over policy) - 1/2: what the best responder of a pool gains.

    `values` are in [-1/2, 1/2], and negative where the policy beats the whole pool. `chosen` holds
    the responder that the other half of the prompts chose, for the half 0 and 1: the index of a
    policy, or BEST_OF_REFERENCE or TARGETED_REFERENCE, counted from the end. `half` says which
    half a prompt is in.
    """

    values: Array  # [policies, prompts]
    chosen: NDArray[np.int64]  # [policies, 2]
    half: NDArray[np.int64]  # [prompts]


BEST_OF_REFERENCE, TARGETED_REFERENCE = -2, -1


def round_robin(samples: Sequence[PolicySamples], oracle: TextOracle) -> Array:
    """P(row policy over column policy), [policies, policies, prompts], order-averaged, in [0, 1].

    The mean over pairs of an answer of one and an answer of the other, without pairs of answers of
    the same number: rows draw from the same streams, so that those two are not independent and
    alike policies would look more alike. P + P^T = 1 exactly. A
    policy against itself is 1/2 by symmetry and not asked: among its own S answers, 1/S of the
    pairs would set an answer against itself and hide the spread of the others.

    Raises:
        ImpossibleSettingError: no policy, or a prompt without an answer.
        UnusableAnswersError: the policies answered other prompts, or a reply is no probability.
    """
    _check_policies(samples)
    prompts = samples[0].prompts
    table = np.full((len(samples), len(samples), len(prompts)), 0.5)
    for row, first in enumerate(samples):
        for column, second in enumerate(samples[:row]):
            won = preference_table(oracle, prompts, first.responses, second.responses)
            table[row, column] = _independent_mean(won)
            table[column, row] = 1 - table[row, column]
    return table


def _independent_mean(won: Array) -> Array:
    """The mean of [prompts, first's answers, second's answers] over answers of other numbers."""
    _, first, second = won.shape
    independent = ~np.eye(first, second, dtype=bool)
    if not independent.any():
        raise ImpossibleSettingError(
            "Policies meet by answers of different numbers, and each has one answer a prompt: set "
            "language.evaluation_samples to at least 2."
        )
    return np.asarray(won[:, independent].mean(axis=1))


def pool_exploitability(
    samples: Sequence[PolicySamples], reference: PolicySamples, oracle: TextOracle
) -> PoolExploitability:
    """What the best responder of one pool gains over each policy, as a lower bound.

    The pool, the same for every policy: the other policies; best-of-n of the reference, which
    gives, of its n answers to a prompt, the one that the oracle prefers most often to the other
    n - 1; and the targeted best-of-n, which gives the one that it prefers most often to the
    policy's own answers (chosen on one half of the policy's answers, measured on the other,
    swapped, averaged). A policy is measured against the responder that gains most on the other half
    of the prompts; both halves so. That is unbiased for the responders so chosen, hence a lower
    bound of the true exploitability in expectation, and as loose as the pool is poor: policies that
    were trained alike need not contain a good response to each other. Halves are by the prompt's
    identifier: the same for all policies, whatever the order of the prompts.

    Raises:
        ImpossibleSettingError: no policy, fewer than two prompts, or fewer than two answers a
            prompt.
        UnusableAnswersError: the policies answered other prompts, or a reply is no probability.
    """
    _check_policies(samples, minimum=2)
    check_against(samples[0], reference, minimum=2)
    prompts = samples[0].prompts
    if len(prompts) < 2:
        raise ImpossibleSettingError(
            "A best responder is chosen on one half of the prompts and measured on the other, and "
            "there is one prompt: evaluate at least two."
        )
    gains = np.concatenate(
        [
            np.swapaxes(round_robin(samples, oracle), 0, 1),
            reference_responders(samples, reference, oracle),
        ],
        axis=1,
    )
    # A policy is no responder to itself.
    gains[np.arange(len(samples)), np.arange(len(samples))] = -np.inf
    found = best_of_pool(gains, prompts)
    named = np.where(found.chosen < len(samples), found.chosen, found.chosen - gains.shape[1])
    return replace(found, chosen=named.astype(np.int64))


def best_of_pool(gains: Array, prompts: Sequence[Prompt]) -> PoolExploitability:
    """Choose a responder on each half of the prompts and measure it on the other one.

    Args:
        gains: P(responder over policy), [policies, responders, prompts]; minus infinity where the
            responder may not be chosen.
        prompts: Two or more.

    Returns:
        `chosen` numbers the responders as `gains` does.
    """
    half = halves(prompts)
    # What was chosen on the other half, [policies, 2].
    chosen = np.stack([gains[..., half != side].mean(axis=-1).argmax(axis=1) for side in (0, 1)], 1)
    values = np.take_along_axis(gains, chosen[:, half][:, None], axis=1)[:, 0] - 0.5
    return PoolExploitability(values=values, chosen=chosen.astype(np.int64), half=half)


def halves(prompts: Sequence[Prompt]) -> NDArray[np.int64]:
    """0 or 1 for every prompt, as evenly as can be, by the order of their identifiers' SHA-256."""
    digests = [hashlib.sha256(prompt.identifier.encode()).hexdigest() for prompt in prompts]
    ranks = np.empty(len(prompts), dtype=np.int64)
    ranks[np.argsort(digests, kind="stable")] = np.arange(len(prompts))
    return np.asarray(ranks >= len(prompts) // 2, dtype=np.int64)


def reference_responders(
    samples: Sequence[PolicySamples], reference: PolicySamples, oracle: TextOracle
) -> Array:
    """P(best-of-n, and targeted best-of-n, over each policy), [policies, 2, prompts]."""
    best = _best_of_own(reference, oracle)[:, None, None]
    found = []
    for policy in samples:
        won = preference_table(oracle, policy.prompts, reference.responses, policy.responses)
        plain = np.take_along_axis(won, best, axis=1).mean(axis=(1, 2))
        targeted = cross_fitted_maximum(np.swapaxes(won, 1, 2))
        found.append(np.stack([plain, targeted]))
    return np.stack(found)


def _best_of_own(reference: PolicySamples, oracle: TextOracle) -> NDArray[np.int64]:
    """Of each prompt's answers the one preferred most often to the others, [prompts]."""
    answers = reference.responses
    table = preference_table(oracle, reference.prompts, answers, answers)
    others = ~np.eye(table.shape[1], dtype=bool)
    return np.asarray((table * others).sum(axis=2).argmax(axis=1), dtype=np.int64)


def _check_policies(samples: Sequence[PolicySamples], minimum: int = 1) -> None:
    if not samples:
        raise ImpossibleSettingError("There is no policy to compare: give at least one.")
    check_samples(samples[0], minimum)
    for other in samples[1:]:
        check_against(samples[0], other, minimum)
