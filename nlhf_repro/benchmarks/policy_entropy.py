"""How spread out a policy's answers are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from nlhf_repro.benchmarks.answers import check_samples
from nlhf_repro.interfaces import Array, PolicySamples, TextOracle


@final
@dataclass(frozen=True)
class PolicyEntropy:
    """-E log policy(y) over the policy's answers y, in nats a response, for every prompt.

    The mean of -log_prob, over response tokens with the end-of-sequence token: an unbiased estimate
    of the entropy of the distribution that the answers were drawn from, cut at the length limit.
    """

    floor: ClassVar[float] = 0.0
    reads_log_prob: ClassVar[bool] = True

    def score_samples(
        self, policy: PolicySamples, reference: PolicySamples, oracle: TextOracle
    ) -> Array:
        """[prompts]; neither the reference's answers nor the oracle are looked at.

        Raises:
            UnusableAnswersError: the answers are malformed.
        """
        check_samples(policy)
        return np.asarray(-np.asarray(policy.log_prob, np.float64).mean(axis=1))
