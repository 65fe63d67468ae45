"""The phases of an iteration: who responds, what is compared, what is fitted to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch

LabelKind = Literal["probability", "bernoulli", "score", "none"]


@dataclass(frozen=True)
class Responder:
    """Who responds: the geometric mixture of named policies.

    log pi = (sum_i w_i log pi_i) / temperature, normalized.
    An infinite temperature is the uniform policy; it exists only where responses can be enumerated.
    """

    mixture: Mapping[str, float]
    temperature: float = 1.0


@dataclass(frozen=True)
class Collect:
    """Sample groups of responses, ask the oracle, and keep the labelled data under the name `into`.

    design, with K = `responses`:
      unfiltered   K = 2 independent responses, one comparison, one pair.
      all_pairs    all K(K-1)/2 comparisons, all pairs.
      best_worst   all K(K-1)/2 comparisons; the best and the worst, labelled as preferred.
      tournament   K = 8: a knock-out among winners and one among losers, then the final; 11
                   comparisons; the pair is kept only if the winner's side wins.
      win_rate     all K(K-1)/2 comparisons; every response with its mean over the others (over
                   the others and itself, at 1/2, with `self_comparison`).
      against      K = 2 (pairs) or 1 (points): each response meets `opponents` fresh responses of
                   every `opponent`; a pair's margin is the difference of the two win rates.
    With `labels: score` the oracle scores the K responses instead: a pair's margin is the
    difference of scores, a single response's value its score, and no comparison is asked. With
    `labels: none` (win_rate only) nothing is asked: every value is 0, and the anchors of the Fit
    carry the reward.
    """

    into: str
    candidate: Responder
    responses: int
    design: Literal["unfiltered", "all_pairs", "best_worst", "tournament", "win_rate", "against"]
    labels: LabelKind
    opponent: tuple[Responder, ...] = ()
    opponents: int = 0
    self_comparison: bool = False


@runtime_checkable
class PairLoss(Protocol):
    """A loss of log-ratio gaps: elementwise, [problems, items] to [problems, items]."""

    def __call__(self, log_ratio_gap: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
        """`margin` is P(first over second) - 1/2, or a difference of win rates or of scores."""
        ...


@runtime_checkable
class PointLoss(Protocol):
    """A loss of single responses: elementwise, [problems, items] to [problems, items]."""

    def point(
        self, log_prob: torch.Tensor, log_ratio: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        """`value` is the response's win rate, or its score."""
        ...


@dataclass(frozen=True)
class Fit:
    """Train `start` on `data` and keep the result as `produces`.

    The loss sees log-ratios to the anchors: log pi - sum_i weight_i log anchor_i, where the anchors
    are the policies of those names as they stand when the phase begins.
    `gradient_steps` None solves to convergence. `optimizer` continued keeps moments from the policy
    that training starts from; fresh starts at zero.
    """

    data: str
    start: str
    produces: str
    anchors: Mapping[str, float]
    loss: PairLoss | PointLoss
    gradient_steps: int | None
    optimizer: Literal["fresh", "continued"]


@dataclass(frozen=True)
class Advance:
    """`target` becomes `source`, or (1 - share) target + share source of their weights."""

    target: str
    source: str
    share: float = 1.0


Phase = Collect | Fit | Advance
