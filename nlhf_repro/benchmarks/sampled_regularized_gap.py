"""The duality gap of the KL-regularized game from samples, without a responder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from scipy import special

from nlhf_repro.benchmarks.answers import check_against, log_ratios, preference_table
from nlhf_repro.interfaces import Array, ImpossibleSettingError, PolicySamples, TextOracle


@final
@dataclass(frozen=True)
class SampledRegularizedGap:
    """max_p J(p, policy) - min_q J(policy, q), J(p, q) = P(p over q) - tau KL(p) + tau KL(q).

    KL is to the reference policy (INPO, arXiv:2407.00617, Eq. 3). The best response is known in
    closed form, which leaves, for every prompt and with p(y) = P(y over policy),

      gap = 2 [tau log E_{y ~ reference} exp(p(y) / tau) + tau KL(policy || reference)] - 1.

    Estimated from S answers z of the policy and M answers y of the reference: KL by the mean
    log-ratio, which is unbiased, and the first term from the table P(y_j over z_i), with p_j its
    mean over i, f = tau log mean_j exp(p_j / tau) and w = softmax(p / tau). Read off so, f errs
    twice to first order (a Taylor series around the true p, and of the logarithm):

      too high by  V / (2 tau S),   V = E_z Var_{j ~ w} (P(y_j over z) - p_j): f is convex in p
      too low by   tau / 2 (1 / N - 1 / M),   N = 1 / sum_j w_j^2: the logarithm is concave

    Both are of the form c / samples, and the delete-one jackknife takes them out: f less (S - 1)
    (mean_i f without z_i - f) less (M - 1) (mean_j f without y_j - f). What is left is of second
    order in 1 / S and 1 / M. Measured on six games of 8 to 30 answers, 8 to 32 samples and tau from
    .03 to .2, the gap is off by less than tau / 10 where N is 5 or more, and by less than tau / 25
    from N = 7 on; read off, by up to .2 and .14 tau there. One prompt's value may be negative.

    N, the effective number of reference answers behind the exponential weights, falls as
    exp(-KL(best response || reference)): at a small tau the best response lies where the reference
    never answers, and no estimate from its answers can know. Where the harmonic mean of N over the
    prompts is below `minimum_effective_samples`, every value is NaN, and a table refuses to print
    it. Prompts are not dropped one by one, which would select those with little to gain.

    Attributes:
        regularization: tau, in the unit of a preference; comparable only among equal tau and
            reference.
        minimum_effective_samples: Of the harmonic mean of N; at least 1.
        quantity: gap, or effective_samples: N itself, from 1 to M, never NaN.
    """

    regularization: float
    minimum_effective_samples: float
    quantity: Literal["gap", "effective_samples"]
    floor: ClassVar[float] = 0.0
    estimates_a_gap: ClassVar[bool] = True
    reads_log_prob: ClassVar[bool] = True
    may_refuse: ClassVar[bool] = True
    minimum_samples: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if not 0 < self.regularization < np.inf:
            raise ImpossibleSettingError(
                "benchmark.sampled_regularized_gap.regularization = "
                f"{self.regularization} must be positive and finite: without a KL term take "
                "benchmark=[oracle_exploitability], or set this key."
            )
        if not self.minimum_effective_samples >= 1:
            raise ImpossibleSettingError(
                "benchmark.sampled_regularized_gap.minimum_effective_samples = "
                f"{self.minimum_effective_samples} refuses nothing: give 1 or more."
            )

    def score_samples(
        self, policy: PolicySamples, reference: PolicySamples, oracle: TextOracle
    ) -> Array:
        """[prompts]; NaN for all of them where too few reference answers carry the weight.

        Raises:
            ImpossibleSettingError: fewer than two answers a prompt of either policy.
            UnusableAnswersError: the answers do not belong together, or a reply is no probability.
        """
        check_against(policy, reference, minimum=2)
        table = preference_table(oracle, policy.prompts, reference.responses, policy.responses)
        effective = effective_samples(table.mean(axis=2), self.regularization)
        if self.quantity == "effective_samples":
            return effective
        if 1 / np.mean(1 / effective) < self.minimum_effective_samples:
            return np.full(len(policy.prompts), np.nan)
        value = jackknifed_soft_maximum(table, self.regularization)
        divergence = log_ratios(policy).mean(axis=1)
        return np.asarray(2 * (value + self.regularization * divergence) - 1)


def soft_maximum(values: Array, temperature: float) -> Array:
    """The value tau log mean_j exp(v_j / tau), [..., samples] to [...]."""
    scaled = special.logsumexp(values / temperature, axis=-1) - np.log(values.shape[-1])
    return np.asarray(temperature * scaled)


def effective_samples(values: Array, temperature: float) -> Array:
    """1 / sum_j w_j^2 with w = softmax(v / tau), [..., samples] to [...]; 1 to their number."""
    weights = special.softmax(values / temperature, axis=-1)
    return np.asarray(1 / (weights**2).sum(axis=-1))


def jackknifed_soft_maximum(table: Array, temperature: float) -> Array:
    """Estimates tau log E_y exp(E_z P(y over z) / tau), from a table [prompts, y, z] to [prompts].

    The plug-in estimate less its first-order bias in either number of samples.
    """
    candidates, opponents = table.shape[1:]
    mean = table.mean(axis=2)
    plain = soft_maximum(mean, temperature)
    without_opponent = (opponents * mean[:, :, None] - table) / (opponents - 1)
    fewer_opponents = soft_maximum(np.swapaxes(without_opponent, 1, 2), temperature).mean(axis=1)
    kept = ~np.eye(candidates, dtype=bool)
    without_candidate = np.stack([mean[:, keep] for keep in kept], axis=1)
    fewer_candidates = soft_maximum(without_candidate, temperature).mean(axis=1)
    return np.asarray(
        plain
        - (opponents - 1) * (fewer_opponents - plain)
        - (candidates - 1) * (fewer_candidates - plain)
    )
