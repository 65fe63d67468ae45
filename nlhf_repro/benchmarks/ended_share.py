"""How often a policy's answers end by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from nlhf_repro.benchmarks.answers import check_samples
from nlhf_repro.interfaces import Array, PolicySamples, TextOracle


@final
@dataclass(frozen=True)
class EndedShare:
    """Share of the policy's answers to every prompt that ended by themselves, in [0, 1].

    The others were cut at the length limit.
    """

    floor: ClassVar[float] = 0.0

    def score_samples(
        self, policy: PolicySamples, reference: PolicySamples, oracle: TextOracle
    ) -> Array:
        """[prompts]; neither the reference's answers nor the oracle are looked at.

        Raises:
            UnusableAnswersError: the answers are malformed.
        """
        check_samples(policy)
        return np.asarray(np.asarray(policy.ended, np.float64).mean(axis=1))
