"""How often the true majority cycles among a policy's own answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from nlhf_repro.benchmarks.answers import check_samples, preference_table
from nlhf_repro.games import cycle_share
from nlhf_repro.interfaces import Array, PolicySamples, TextOracle


@final
@dataclass(frozen=True)
class CycleShare:
    """Share of triples of a prompt's answers whose majority preferences form a cycle, in [0, 1].

    0 for every Bradley-Terry oracle. Answers that are alike are ties, and no cycle.
    """

    floor: ClassVar[float] = 0.0
    minimum_samples: ClassVar[int] = 3

    def score_samples(
        self, policy: PolicySamples, reference: PolicySamples, oracle: TextOracle
    ) -> Array:
        """[prompts]; the reference is not looked at.

        Raises:
            ImpossibleSettingError: fewer than three answers a prompt.
            UnusableAnswersError: the answers are malformed, or a reply is no probability.
        """
        check_samples(policy, minimum=3)
        table = preference_table(oracle, policy.prompts, policy.responses, policy.responses)
        return np.asarray(cycle_share(table), dtype=np.float64)
