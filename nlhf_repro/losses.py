"""Losses of log-ratios: pure, elementwise functions, shared by tabular and language-model policies.

A log-ratio is log pi(y) - sum_i w_i log anchor_i(y); a log-ratio gap is its difference over a pair,
first minus second. `margin` is what the oracle says of the pair: P(first over second) - 1/2, or a
difference of win rates or scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    import torch


@final
@dataclass(frozen=True)
class SquaredPair:
    """(gap - scale * margin)^2: IPO (arXiv:2310.12036, Eq. 17), INPO (arXiv:2407.00617, Eq. 8).

    With a hard answer the margin is +-1/2, so the preferred side's gap is regressed to scale / 2:
    for INPO scale = 1 / eta gives 1 / (2 eta), for IPO scale = 1 / tau gives 1 / (2 tau).
    """

    scale: float

    def __call__(self, log_ratio_gap: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
        """Elementwise; at a gap of 0 and hard answers, scale^2 / 4."""
        return (log_ratio_gap - self.scale * margin) ** 2


@final
@dataclass(frozen=True)
class LogisticPair:
    """-(p log sigmoid(beta gap) + (1 - p) log sigmoid(-beta gap)), with p = margin + 1/2.

    The loss of DPO (arXiv:2305.18290). With a hard answer p is 0 or 1; with a probability it is
    the expectation over the answer.
    """

    inverse_temperature: float

    def __call__(self, log_ratio_gap: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
        """Elementwise, at least 0; log 2 at a gap of 0."""
        return _cross_entropy(0.5 + margin, self.inverse_temperature * log_ratio_gap)


@final
@dataclass(frozen=True)
class SmoothedLogisticPair:
    """`LogisticPair` with p replaced by (1 - 2 e) p + e, e the label smoothing: conservative DPO.

    With a hard answer, -(1 - e) log sigmoid(beta gap) - e log sigmoid(-beta gap) on the preferred
    side: the loss of answers that are wrong with probability e.
    """

    inverse_temperature: float
    label_smoothing: float

    def __call__(self, log_ratio_gap: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
        """Elementwise; log 2 at a gap of 0."""
        preferred = 0.5 + (1.0 - 2.0 * self.label_smoothing) * margin
        return _cross_entropy(preferred, self.inverse_temperature * log_ratio_gap)


@final
@dataclass(frozen=True)
class MarginLogisticPair:
    """-(p log sigmoid(beta gap - gamma) + (1 - p) log sigmoid(-beta gap - gamma)).

    The loss of SimPO (arXiv:2405.14734), with p = margin + 1/2: the preferred side has to lead by
    gamma, `target_margin`.
    """

    inverse_temperature: float
    target_margin: float

    def __call__(self, log_ratio_gap: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
        """Elementwise, at least 0; log(1 + exp(gamma)) at a gap of 0."""
        from torch.nn.functional import softplus

        scaled, target = self.inverse_temperature * log_ratio_gap, self.target_margin
        return (0.5 + margin) * softplus(target - scaled) + (0.5 - margin) * softplus(
            target + scaled
        )


@final
@dataclass(frozen=True)
class HingePair:
    """p max(0, 1 - beta gap) + (1 - p) max(0, 1 + beta gap), with p = margin + 1/2.

    The calibration loss of SLiC-HF (arXiv:2305.10425) on log-ratios, "hinge-norm" of RSO
    (arXiv:2309.06657), whose gamma is beta: the preferred side has to lead by 1 / beta, and a
    greater lead earns nothing. With a hard answer p is 0 or 1.
    """

    inverse_temperature: float

    def __call__(self, log_ratio_gap: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
        """Elementwise, at least 0; 1 at a gap of 0. At beta gap = +-1 the kink's slope is 0."""
        scaled = self.inverse_temperature * log_ratio_gap
        return (0.5 + margin) * (1.0 - scaled).relu() + (0.5 - margin) * (1.0 + scaled).relu()


@final
@dataclass(frozen=True)
class RewardLogisticPair:
    """-(s log sigmoid(beta gap) + (1 - s) log sigmoid(-beta gap)), s = sigmoid(margin).

    The loss of DNO (arXiv:2404.03715, Algorithm 1): the margin is a difference of rewards r(y) -
    r(y'), there win rates against pi_t, and beta its eta.
    """

    inverse_temperature: float

    def __call__(self, log_ratio_gap: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
        """Elementwise; log 2 at a gap of 0, least where beta gap = margin."""
        return _cross_entropy(margin.sigmoid(), self.inverse_temperature * log_ratio_gap)


def _cross_entropy(preferred: torch.Tensor, scaled_gap: torch.Tensor) -> torch.Tensor:
    from torch.nn.functional import logsigmoid

    return -(preferred * logsigmoid(scaled_gap) + (1.0 - preferred) * logsigmoid(-scaled_gap))


@final
@dataclass(frozen=True)
class SquaredPoint:
    """(log_ratio - scale * (value - 1/2))^2: SPPO (arXiv:2405.00675, Eq. 4.7), scale = its eta."""

    scale: float

    def point(
        self, log_prob: torch.Tensor, log_ratio: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        """Elementwise; `value` is the response's win rate in [0, 1]."""
        return (log_ratio - self.scale * (value - 0.5)) ** 2


@final
@dataclass(frozen=True)
class PolicyGradient:
    """-[value - baseline - tau * log_ratio] * log pi(y), the bracket without gradient.

    The score-function estimator of E[value] - tau KL(pi, anchor) for y sampled from pi; the
    derivative of the log-ratio itself has mean zero. Nash-MD-PG (arXiv:2312.00886) with the
    reference as the anchor.
    """

    regularization: float
    baseline: float

    def point(
        self, log_prob: torch.Tensor, log_ratio: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        """Elementwise; only its gradient has a meaning."""
        advantage = value - self.baseline - self.regularization * log_ratio
        return -advantage.detach() * log_prob
