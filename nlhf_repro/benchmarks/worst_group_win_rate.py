"""How often the group of people that likes the policy least prefers it to the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from nlhf_repro.benchmarks.answers import check_against, checked_probabilities
from nlhf_repro.interfaces import (
    Array,
    GroupedOracle,
    ImpossibleSettingError,
    PolicySamples,
    TextOracle,
)
from nlhf_repro.uncertainty import cross_fitted_maximum


@final
@dataclass(frozen=True)
class WorstGroupWinRate:
    """min_g P_g(policy preferred over the reference policy), a probability, mean over prompts.

    The oracle must be a `GroupedOracle`: P_g are the answers of a group of people, whatever its
    share. A population's win rate can hide that one group is worse off than with the reference.

    A minimum of noisy means is biased downward, so that for every prompt the group is chosen on one
    half of the answers of both policies and measured on the other halves, swapped and averaged.
    That is unbiased for the win rates of the groups so chosen, hence never too low in
    expectation: 1/2 for the reference itself. The price is an upward bias elsewhere, where halves
    choose worse than the truth would, so rows are compared at the same number of answers. One
    prompt's worst group may be another's best: a policy of one style has one worst group.
    """

    floor: ClassVar[float] = 0.0
    more_is_better: ClassVar[bool] = True
    minimum_samples: ClassVar[int] = 2
    needs_groups: ClassVar[bool] = True

    def score_samples(
        self, policy: PolicySamples, reference: PolicySamples, oracle: TextOracle
    ) -> Array:
        """[prompts].

        Raises:
            ImpossibleSettingError: fewer than two answers a prompt, or an oracle without groups.
            UnusableAnswersError: the answers do not belong together, or a reply is no probability.
        """
        check_against(policy, reference, minimum=2)
        halves = np.stack([_wins(policy, reference, oracle, half) for half in (0, 1)], axis=1)
        return 1 - cross_fitted_maximum(1 - halves)


def _wins(policy: PolicySamples, reference: PolicySamples, oracle: TextOracle, half: int) -> Array:
    """Every group's preference for the one half of the policy's answers, [prompts, groups].

    Means over all pairs with that half of the reference's answers, asked in both orders.

    Raises:
        ImpossibleSettingError: the oracle has no groups.
    """
    if not isinstance(oracle, GroupedOracle):
        raise ImpossibleSettingError(
            f"The oracle {type(oracle).__name__} knows no groups of people: take an oracle that "
            "does, such as annotators, or leave the benchmark out."
        )
    pairs = [
        (prompt, one, other)
        for prompt, left, right in zip(
            policy.prompts, policy.responses, reference.responses, strict=True
        )
        for one in _half(left, half)
        for other in _half(right, half)
    ]
    asked, first, second = (list(column) for column in zip(*pairs, strict=True))
    groups = (len(oracle.group_names),)
    forward = checked_probabilities(oracle.group_preference(asked, first, second), asked, groups)
    backward = checked_probabilities(oracle.group_preference(asked, second, first), asked, groups)
    table = (forward + (1 - backward)) / 2
    return np.asarray(table.reshape(len(policy.prompts), -1, *groups).mean(axis=1))


def _half(answers: tuple[str, ...], half: int) -> tuple[str, ...]:
    middle = len(answers) // 2
    return answers[middle:] if half else answers[:middle]
