"""How often the oracle prefers the policy to the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from nlhf_repro.benchmarks.answers import check_against, preference_table
from nlhf_repro.interfaces import Array, PolicySamples, TextOracle


@final
@dataclass(frozen=True)
class OracleWinRate:
    """P(policy preferred over the reference policy) by the true oracle, a probability in [0, 1].

    For every prompt the mean of P(y over y') over all pairs of an answer y of the policy and an
    answer y' of the reference, asked in both orders: unbiased for the expectation over y and y', of
    less variance than disjoint pairs, and 1/2 in expectation for the reference itself. It says
    nothing about other opponents: with intransitive preferences a policy can beat the reference and
    lose to its neighbor.
    """

    floor: ClassVar[float] = 0.0
    more_is_better: ClassVar[bool] = True

    def score_samples(
        self, policy: PolicySamples, reference: PolicySamples, oracle: TextOracle
    ) -> Array:
        """[prompts].

        Raises:
            UnusableAnswersError: the answers do not belong together, or a reply is no probability.
        """
        check_against(policy, reference)
        table = preference_table(oracle, policy.prompts, policy.responses, reference.responses)
        return np.asarray(table.mean(axis=(1, 2)))
