"""The answer whose probability moved furthest from the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from nlhf_repro.benchmarks.answers import check_samples, log_ratios
from nlhf_repro.interfaces import Array, PolicySamples, TextOracle


@final
@dataclass(frozen=True)
class LargestLogRatio:
    """max over the sampled answers y of |log policy(y) - log reference(y)|, in nats, per prompt.

    The sampled side of `log_ratio_to_reference`, which INPO's Assumption A (arXiv:2407.00617)
    bounds over all responses: this one is a lower bound on that, and grows with the number of
    answers, so that rows are compared at the same number.
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
        return np.asarray(np.abs(log_ratios(policy)).max(axis=1))
