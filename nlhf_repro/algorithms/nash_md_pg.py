"""Nash-MD-PG, the policy-gradient form of Nash-MD (Munos et al., arXiv:2312.00886)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

from nlhf_repro.interfaces import (
    Collect,
    ExactState,
    Fit,
    FixedPoint,
    Game,
    Phase,
    Responder,
    Tie,
)
from nlhf_repro.losses import PolicyGradient
from nlhf_repro.phases import require_opponents
from nlhf_repro.updates import (
    check_mixture_weight,
    check_step,
    geometric_mixture,
    policy_gradient_step,
    reference_state,
    win_rates,
)


@final
@dataclass(frozen=True)
class NashMDPG:
    """Score-function gradient of the win rate against the mixture, less the KL penalty.

    Estimator: grad log pi(y) (P(y > y') - baseline - tau log pi(y) / ref(y)), y from pi, y' from
    pi^(1 - w) ref^w without gradient; w = `mixture_weight` (0: self-play, 1: best response to the
    reference), tau = `regularization`; P(y > y') is the mean over `opponents` fresh y'.
    Update: theta+ = theta + alpha N pi (A - pi.A), A = P(y > mixture) - tau log pi / ref, alpha =
    `step_size`, N the number of actions, so that at a uniform policy the step is that of Nash-MD.

    Guarantee: none for the gradient form; its fixed point is the regularized best response to its
    own mixture.

    Improvement: at the reference the mixture is the reference, and log pi_1 / ref has everywhere
    the sign of P(y > ref) - 1/2, up to a constant, so E_{pi_1}[P(y > ref)] >= 1/2.

    Departures: the mixture is of whole responses, as in the theory; the paper's language models mix
    token by token.
    """

    step_size: float
    regularization: float
    mixture_weight: float
    baseline: float
    labels: Literal["probability", "bernoulli"]
    opponents: int

    def __post_init__(self) -> None:
        check_step("Nash-MD-PG", self.step_size, self.regularization)
        require_opponents("Nash-MD-PG", self.opponents)
        check_mixture_weight("Nash-MD-PG", self.mixture_weight)

    @property
    def fixed_point(self) -> FixedPoint:
        """Where the policy is a regularized best response to its own mixture.

        Without regularization every full-support Nash equilibrium under self-play; a mixture with
        the reference moves away from it.
        """
        if self.regularization == 0:
            return "nash" if self.mixture_weight == 0 else "none"
        ends: dict[float, FixedPoint] = {0: "regularized_nash", 1: "best_response_to_reference"}
        return ends.get(self.mixture_weight, "mixture_point")

    @property
    def tie(self) -> Tie:
        """One gradient step."""
        return Tie("gradient_step")

    @property
    def preference_evaluations(self) -> int:
        """One P @ mixture."""
        return 1

    def mixture_share(self, update: int) -> float:
        """The reference's share of the mixture, the same at every update."""
        return self.mixture_weight

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The expected gradient step."""
        mixture = geometric_mixture(state.log_policy, game.log_reference, self.mixture_weight)
        logits, policy = policy_gradient_step(
            state,
            win_rates(game, mixture),
            game.log_reference,
            self.step_size * game.actions,
            self.regularization,
        )
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """One response against `opponents` of the mixture, then one gradient step."""
        share = self.mixture_weight
        yield Collect(
            "responses",
            Responder({"current": 1.0}),
            1,
            "against",
            self.labels,
            opponent=(Responder({"current": 1.0 - share, "reference": share}),),
            opponents=self.opponents,
        )
        yield Fit(
            data="responses",
            start="current",
            produces="current",
            anchors={"reference": 1.0},
            loss=PolicyGradient(self.regularization, self.baseline),
            gradient_steps=1,
            optimizer="continued",
        )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """The rate alpha N: the expected loss's gradient is -pi (A - pi.A)."""
        return self.step_size * actions
