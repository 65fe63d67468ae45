"""IPO-MD, our reading of it (Calandriello et al., arXiv:2403.08635)."""

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
from nlhf_repro.losses import SquaredPair
from nlhf_repro.phases import uniform_pair_learning_rate
from nlhf_repro.updates import (
    check_mixture_weight,
    check_step,
    geometric_mixture,
    reference_state,
    require_regularization,
    softmax,
    win_rates,
)


@final
@dataclass(frozen=True)
class IPOMD:
    """Online IPO whose pairs come from the mixture of policy and reference, as in Nash-MD.

    Loss: E over pairs from q = pi^(1 - w) ref^w, sampling without gradient, of (gap of log pi / ref
    - (answer - 1/2) / tau)^2; w = `mixture_weight`, tau = `regularization`. Update, one gradient
    step for every resampling: theta+ = theta + alpha N q (A - q.A), A = P(y > q) - tau log pi /
    ref, alpha = `step_size`, N the number of actions. The baseline is A's mean under q, not under
    pi. w = 0 is online IPO on policy.

    Guarantee: none known to us. Its fixed point is that of Nash-MD-PG: the regularized best
    response to its own mixture. Our derivation of Proposition 5.1: -4 / tau times E_q[grad log
    pi(y) (A(y) - q.A)] is the loss's gradient; without that baseline the direction is another.

    Improvement: at ref every logit moves by a positive multiple of its win rate minus 1/2, so E_ref
    of (win rate - 1/2) (exp(move) - 1) has no negative term, and pi_1 wins at least 1/2.

    Departures: our reading of IPO-MD: the paper's body was not available. The mixture is of whole
    responses; language models mix token by token.
    """

    step_size: float
    regularization: float
    mixture_weight: float
    labels: Literal["probability", "bernoulli"]

    def __post_init__(self) -> None:
        check_step("IPO-MD", self.step_size, self.regularization)
        require_regularization("IPO-MD", self.regularization, "its loss divides by it")
        check_mixture_weight("IPO-MD", self.mixture_weight)

    @property
    def fixed_point(self) -> FixedPoint:
        """The policy that is a regularized best response to its own mixture."""
        ends: dict[float, FixedPoint] = {0: "regularized_nash", 1: "best_response_to_reference"}
        return ends.get(self.mixture_weight, "mixture_point")

    @property
    def tie(self) -> Tie:
        """One gradient step."""
        return Tie("gradient_step")

    @property
    def preference_evaluations(self) -> int:
        """One P @ q."""
        return 1

    def mixture_share(self, update: int) -> float:
        """The reference's share of the mixture, the same at every update."""
        return self.mixture_weight

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The gradient step of the class docstring."""
        mixture = geometric_mixture(state.log_policy, game.log_reference, self.mixture_weight)
        log_ratio = state.log_policy - game.log_reference
        advantage = win_rates(game, mixture) - self.regularization * log_ratio
        mean = (mixture * advantage).sum(axis=-1, keepdims=True)
        move = self.step_size * game.actions * mixture * (advantage - mean)
        logits, policy = softmax(state.log_policy + move)
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Pairs from the mixture, then one gradient step."""
        share = self.mixture_weight
        mixture = Responder({"current": 1.0 - share, "reference": share})
        yield Collect("pairs", mixture, 2, "unfiltered", self.labels)
        yield Fit(
            data="pairs",
            start="current",
            produces="current",
            anchors={"reference": 1.0},
            loss=SquaredPair(scale=1.0 / self.regularization),
            gradient_steps=1,
            optimizer="continued",
        )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """The rate alpha tau N / 4, of a gradient -(4 / tau) q (A - q.A)."""
        return uniform_pair_learning_rate(self.step_size, self.regularization, actions)
