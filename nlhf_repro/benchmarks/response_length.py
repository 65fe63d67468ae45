"""How long a policy's answers are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from nlhf_repro.benchmarks.answers import check_samples
from nlhf_repro.interfaces import Array, PolicySamples, TextOracle


@final
@dataclass(frozen=True)
class ResponseLength:
    """Mean number of response tokens of the policy's answers to every prompt.

    The end-of-sequence token counts, padding does not. Answers cut at the length limit count with
    the limit: read `ended_share` beside it.
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
        return np.asarray(np.asarray(policy.tokens, np.float64).mean(axis=1))
