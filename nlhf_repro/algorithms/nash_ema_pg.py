"""Nash-EMA-PG, the policy-gradient form of Nash-EMA (Munos et al., arXiv:2312.00886)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

from nlhf_repro.algorithms.nash_ema import check_averaging_share
from nlhf_repro.interfaces import (
    Advance,
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
from nlhf_repro.updates import check_step, policy_gradient_step, softmax, win_rates


@final
@dataclass(frozen=True)
class NashEMAPG:
    """Score-function gradient of the win rate against the average policy, less the KL penalty.

    Update: theta_{t+1} = theta_t + alpha N pi (A - pi.A), A = P(y > mean_t) - tau log pi / ref,
    then mean_{t+1} = (1 - s) mean_t + s theta_{t+1} of the weights, from the reference; alpha =
    `step_size`, tau = `regularization`, s = `averaging_share`, N the number of actions, so that at
    a uniform policy the step is that of Nash-EMA. Loss: its gradient is the estimator -grad log
    pi(y) (P(y > y') - 1/2 - tau log pi(y) / ref(y)), y from pi, y' from mean_t without gradient.

    Guarantee: none known to us. The regularized Nash is its fixed point; s = 1 is self-play.

    Improvement: at ref every logit moves by a positive multiple of its win rate minus 1/2, so E_ref
    of (win rate - 1/2) (exp(move) - 1) has no negative term, and pi_1 wins at least 1/2.

    Departures: the paper's averaging knobs look inconsistent (a mix with the initial weights in one
    place, decays near 1 in another), so this is the standard moving average of decay 1 - s, whose
    values 0.999 and 0.9995 are s = 0.001 and 0.0005.
    """

    step_size: float
    regularization: float
    averaging_share: float
    labels: Literal["probability", "bernoulli"]

    def __post_init__(self) -> None:
        check_step("Nash-EMA-PG", self.step_size, self.regularization)
        check_averaging_share("Nash-EMA-PG", self.averaging_share)

    @property
    def fixed_point(self) -> FixedPoint:
        """Regularized Nash; every full-support Nash equilibrium without regularization."""
        return "regularized_nash" if self.regularization else "nash"

    @property
    def tie(self) -> Tie:
        """One gradient step."""
        return Tie("gradient_step")

    @property
    def preference_evaluations(self) -> int:
        """One P @ mean_t."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy, which is its own average."""
        return ExactState(*softmax(game.log_reference), memory={"average": game.log_reference})

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The expected gradient step, then the new average."""
        average = state.memory["average"]
        logits, policy = policy_gradient_step(
            state,
            win_rates(game, softmax(average)[1]),
            game.log_reference,
            self.step_size * game.actions,
            self.regularization,
        )
        average = (1.0 - self.averaging_share) * average + self.averaging_share * logits
        return ExactState(logits, policy, state.updates + 1, {"average": average})

    def phases(self, iteration: int) -> Iterator[Phase]:
        """One response against one of the average, one gradient step, the new average."""
        yield Collect(
            "responses",
            Responder({"current": 1.0}),
            1,
            "against",
            self.labels,
            opponent=(Responder({"average": 1.0}),),
            opponents=1,
        )
        yield Fit(
            data="responses",
            start="current",
            produces="current",
            anchors={"reference": 1.0},
            loss=PolicyGradient(self.regularization, baseline=0.5),
            gradient_steps=1,
            optimizer="continued",
        )
        yield Advance("average", "current", share=self.averaging_share)

    def learning_rate(self, actions: int, update: int) -> float | None:
        """The rate alpha N: the expected loss's gradient is -pi (A - pi.A)."""
        return self.step_size * actions
