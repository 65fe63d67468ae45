"""How far a language-model policy has gone from its reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np

from nlhf_repro.benchmarks.answers import check_samples, log_ratios
from nlhf_repro.interfaces import Array, ImpossibleSettingError, PolicySamples, TextOracle


@final
@dataclass(frozen=True)
class KLToReference:
    """KL(policy || reference) in nats a response, over response tokens only, for every prompt.

    With d = log policy(y) - log reference(y) of an answer y of the policy,

      k1   mean of d                  unbiased always; may be negative for one prompt
      k3   mean of e^-d - 1 + d       (Schulman, "Approximating KL divergence", 2020) k1 plus the
                                      control variate e^-d - 1, of expectation 0 because
                                      E_policy reference / policy = 1; every term is at least 0

    k3 has the smaller variance while the policies are close (d below about 1 nat), where its terms
    are d^2 / 2 against d. Far from the reference it is the worse of the two: e^-d is then carried
    by answers that the policy all but never gives, and few samples read too little on most prompts.
    Both are exact for answers cut at a length limit: the log-probability of what was generated is
    that of the cut answer under either policy. Draws with a temperature or from a nucleus make the
    divergence that of the policy that drew them; what a nucleus leaves out takes the unbiasedness
    of k3 away, because the expectation above is then below 1.
    """

    estimator: Literal["k1", "k3"]
    floor: ClassVar[float] = 0.0
    reads_log_prob: ClassVar[bool] = True
    may_refuse: ClassVar[bool] = True  # k3 is infinite where a ratio overflows

    def __post_init__(self) -> None:
        if self.estimator not in ("k1", "k3"):
            raise ImpossibleSettingError(
                f"benchmark.kl_to_reference.estimator = {self.estimator} is no estimator: choose "
                "k1 or k3."
            )

    def score_samples(
        self, policy: PolicySamples, reference: PolicySamples, oracle: TextOracle
    ) -> Array:
        """[prompts]; neither the reference's answers nor the oracle are looked at.

        inf where k3 overflows: an answer 700 nats likelier under the reference.

        Raises:
            UnusableAnswersError: the answers are malformed.
        """
        check_samples(policy)
        ratios = log_ratios(policy)
        if self.estimator == "k1":
            return np.asarray(ratios.mean(axis=1))
        with np.errstate(over="ignore"):
            return np.asarray((np.expm1(-ratios) + ratios).mean(axis=1))
