"""Nash-MD, Nash mirror descent (Munos et al., arXiv:2312.00886)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

from nlhf_repro.interfaces import (
    ExactState,
    FixedPoint,
    Game,
    Phase,
    Responder,
    Tie,
)
from nlhf_repro.phases import require_opponents, uniform_pair_learning_rate, uniform_pair_step
from nlhf_repro.updates import (
    StepSize,
    check_mixture_weight,
    check_step,
    effective_step,
    geometric_mixture,
    mirror_step,
    reference_state,
    require_regularization,
    win_rates,
)


@final
@dataclass(frozen=True)
class NashMD:
    """Mirror descent against the geometric mixture of the policy and the reference.

    Update: log pi_{t+1} = (1 - alpha tau) log pi_t + alpha tau log ref + alpha P(y > mixture) +
    const, mixture = pi_t^(1 - w) ref^w, alpha = `step_size`, tau = `regularization`; w = alpha tau
    where `mixture_weight` is null, as in the paper. Loss, of which the update is one gradient step:
    E over pairs of uniform responses of (gap of log pi / ref - (P(y > y'') - P(y' > y'')) / tau)^2,
    y'' from the mixture (the form of the EGPO simulations, arXiv:2503.08942); a uniform pair meets
    `opponents` fresh responses y''.

    Guarantee (Theorem 1): `step_size: harmonic` gives KL(pi*, pi_{T+1}) <= 8 / (tau^2 (T + 1)). A
    constant step converges, where it is small, to the point whose opponent is its own mixture, near
    the regularized Nash, not at it; large ones cycle.

    Improvement: at the reference the mixture is the reference, and the first update tilts it by
    P(y > ref), which never lowers its mean, so P(pi_1 > ref) >= 1/2.

    Departures: the sampled face is a regression with uniform pairs, not the paper's policy gradient
    (nash_md_pg). Uniform responses exist only where responses can be enumerated.
    """

    step_size: StepSize
    regularization: float
    mixture_weight: float | None
    labels: Literal["probability", "bernoulli"]
    opponents: int

    def __post_init__(self) -> None:
        check_step("Nash-MD", self.step_size, self.regularization)
        require_regularization("Nash-MD", self.regularization, "its loss divides by it")
        require_opponents("Nash-MD", self.opponents)
        if self.mixture_weight is not None:
            check_mixture_weight("Nash-MD", self.mixture_weight)

    @property
    def fixed_point(self) -> FixedPoint:
        """The policy that is a regularized best response to its own mixture."""
        return "mixture_point"

    @property
    def tie(self) -> Tie:
        """One gradient step."""
        return Tie("gradient_step")

    @property
    def preference_evaluations(self) -> int:
        """One P @ mixture."""
        return 1

    def mixture_share(self, update: int) -> float:
        """The reference's share w of the mixture at this update."""
        if self.mixture_weight is not None:
            return self.mixture_weight
        return effective_step(self.step_size, self.regularization, update) * self.regularization

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The closed form of the class docstring."""
        step = effective_step(self.step_size, self.regularization, state.updates)
        share = self.mixture_share(state.updates)
        mixture = geometric_mixture(state.log_policy, game.log_reference, share)
        logits, policy = mirror_step(
            state.log_policy,
            win_rates(game, mixture),
            game.log_reference,
            step,
            self.regularization,
        )
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Uniform pairs against a response of the mixture, then one gradient step."""
        share = self.mixture_share(iteration)
        mixture = Responder({"current": 1.0 - share, "reference": share})
        yield from uniform_pair_step(
            mixture, "current", self.regularization, self.labels, self.opponents
        )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """Of the step at this update."""
        step = effective_step(self.step_size, self.regularization, update)
        return uniform_pair_learning_rate(step, self.regularization, actions)
