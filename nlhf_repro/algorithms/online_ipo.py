"""Online IPO (Calandriello et al., arXiv:2403.08635), in the two forms of the EGPO simulations."""

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
    ImpossibleSettingError,
    Phase,
    Responder,
    Tie,
)
from nlhf_repro.losses import SquaredPair
from nlhf_repro.phases import require_opponents, uniform_pair_learning_rate, uniform_pair_step
from nlhf_repro.updates import (
    check_step,
    mirror_step,
    policy_gradient_step,
    reference_state,
    require_regularization,
    win_rates,
)


@final
@dataclass(frozen=True)
class OnlineIPO:
    """IPO's loss on pairs from the current policy, one gradient step for every resampling.

    `form: on_policy` (the paper's; "Online IPO 2" of arXiv:2503.08942): E over pairs from pi,
    sampling without gradient, of (gap of log pi / ref - (answer - 1/2) / tau)^2. The gradient step
    is theta+ = theta + alpha N pi (A - pi.A), A = P(y > pi) - tau log pi / ref. `form: uniform`
    ("Online IPO 1 (OMD)"): uniform pairs against a response of pi. The gradient step is theta+ = (1
    - alpha tau) theta + alpha tau log ref + alpha P(y > pi): the same population update as INPO's,
    so the two never stand side by side as different results. alpha = `step_size`, tau =
    `regularization`, N the number of actions: at a uniform policy both forms take the same step.

    Guarantee (abstract): its self-play stationary point is the regularized Nash equilibrium. No
    rate is known to us for constant steps, and large ones cycle.

    Improvement: at the reference log pi_1 / ref has everywhere the sign of P(y > ref) - 1/2, up to
    a constant, in both forms, so E_{pi_1}[P(y > ref)] >= 1/2.

    `responses` and `design` belong to `form: on_policy` (all pairs of K responses in place of one
    pair), `opponents`, the fresh responses a uniform pair meets, to `form: uniform`.

    Departures: the paper's body was not available; the forms follow ONPO's restatement
    (arXiv:2502.16852) and the EGPO simulations. `labels: probability` in place of a draw has the
    same expected gradient.
    """

    step_size: float
    regularization: float
    form: Literal["on_policy", "uniform"]
    labels: Literal["probability", "bernoulli"]
    responses: int
    design: Literal["unfiltered", "all_pairs"]
    opponents: int

    def __post_init__(self) -> None:
        check_step("online IPO", self.step_size, self.regularization)
        require_regularization("online IPO", self.regularization, "its loss divides by it")
        require_opponents("online IPO", self.opponents)
        if self.responses < 2 or (self.design == "unfiltered" and self.responses != 2):
            raise ImpossibleSettingError(
                f"algorithm.responses = {self.responses} does not fit algorithm.design = "
                f"{self.design}: unfiltered takes 2 and all_pairs at least 2."
            )
        if self.form == "uniform" and self.design != "unfiltered":
            raise ImpossibleSettingError(
                "algorithm.design = all_pairs belongs to algorithm.form = on_policy: set "
                "algorithm.opponents to compare more in form uniform."
            )
        if self.form == "on_policy" and self.opponents != 1:
            raise ImpossibleSettingError(
                f"algorithm.opponents = {self.opponents} belongs to algorithm.form = uniform: set "
                "algorithm.design=all_pairs and algorithm.responses to compare more in on_policy."
            )

    @property
    def fixed_point(self) -> FixedPoint:
        """The regularized Nash equilibrium, in both forms."""
        return "regularized_nash"

    @property
    def tie(self) -> Tie:
        """One gradient step."""
        return Tie("gradient_step")

    @property
    def preference_evaluations(self) -> int:
        """One P @ pi."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The gradient step of the class docstring."""
        reward = win_rates(game, state.policy)
        log_reference, step = game.log_reference, self.step_size
        if self.form == "uniform":
            logits, policy = mirror_step(
                state.log_policy, reward, log_reference, step, self.regularization
            )
        else:
            logits, policy = policy_gradient_step(
                state, reward, log_reference, step * game.actions, self.regularization
            )
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Pairs from the current policy (or uniform against it), then one gradient step."""
        current = Responder({"current": 1.0})
        if self.form == "uniform":
            yield from uniform_pair_step(
                current, "current", self.regularization, self.labels, self.opponents
            )
            return
        yield Collect("pairs", current, self.responses, self.design, self.labels)
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
        """The same in both forms."""
        return uniform_pair_learning_rate(self.step_size, self.regularization, actions)
