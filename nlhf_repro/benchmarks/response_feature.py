"""What the oracle sees of a policy's answers, one feature at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from nlhf_repro.benchmarks.answers import check_samples, feature_table
from nlhf_repro.interfaces import Array, PolicySamples, TextOracle


@final
@dataclass(frozen=True)
class ResponseFeature:
    """Mean of one of a `FeatureOracle`'s features over the policy's answers to every prompt.

    In the feature's own unit: facts covered, things invented, the share of a style. It tells what a
    number such as a win rate is made of, and takes no side.

    Attributes:
        feature: One of the oracle's `feature_names`.
    """

    feature: str
    floor: ClassVar[float] = 0.0
    needs_features: ClassVar[bool] = True

    def score_samples(
        self, policy: PolicySamples, reference: PolicySamples, oracle: TextOracle
    ) -> Array:
        """[prompts]; the reference is not looked at.

        Raises:
            ImpossibleSettingError: the oracle has no features, or none of this name.
            UnusableAnswersError: the answers are malformed, or a feature is not finite.
        """
        check_samples(policy)
        return np.asarray(feature_table(oracle, policy, self.feature).mean(axis=1))
