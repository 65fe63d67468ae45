"""SPO, self-play preference optimization by rewards (Swamy et al., arXiv:2401.04056)."""

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
from nlhf_repro.losses import PolicyGradient
from nlhf_repro.phases import require_unregularized
from nlhf_repro.updates import check_step, policy_gradient_step, reference_state, win_rates


@final
@dataclass(frozen=True)
class SPO:
    """The share of wins among K responses of the policy is the reward of a policy-gradient step.

    Update: theta+ = theta + alpha N pi (A - pi.A), A = P(y > pi), alpha = `step_size`, N the number
    of actions. Loss: over groups of K = `responses` from pi, -(share of the group's other K - 1
    responses that y beats - 1/2) log pi(y), summed as a mean over y. Its natural gradient is
    multiplicative weights (mwu), for which the theory speaks.

    Guarantee (abstract): against itself a no-regret learner's average iterate approaches the
    minimax winner at its regret's rate, O(1 / sqrt(T)). For this gradient step none is known; every
    full-support Nash equilibrium is a fixed point, which the last iterate need not approach.

    Improvement: at ref every logit moves by a positive multiple of its win rate minus 1/2, so E_ref
    of (win rate - 1/2) (exp(move) - 1) has no negative term, and pi_1 wins at least 1/2.

    Departures: the paper takes any reinforcement learning algorithm, on trajectories of continuous
    control; one policy-gradient step on single responses is our form of it.
    """

    step_size: float
    responses: int
    labels: Literal["probability", "bernoulli"]
    regularization: float

    def __post_init__(self) -> None:
        check_step("SPO", self.step_size, 0.0)
        if self.responses < 2:
            raise ImpossibleSettingError(
                f"algorithm.responses = {self.responses} of SPO must be at least 2: a response is "
                "compared with the others of its group, so raise it."
            )
        require_unregularized("SPO", self.regularization, instead="self_play")

    @property
    def fixed_point(self) -> FixedPoint:
        """Every full-support Nash equilibrium, though the iterates need not approach it."""
        return "nash"

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
        """The expected gradient step."""
        reward, rate = win_rates(game, state.policy), self.step_size * game.actions
        logits, policy = policy_gradient_step(state, reward, game.log_reference, rate, 0.0)
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """A group with all its comparisons, then one gradient step on all its responses."""
        current = Responder({"current": 1.0})
        yield Collect("responses", current, self.responses, "win_rate", self.labels)
        yield Fit(
            data="responses",
            start="current",
            produces="current",
            anchors={},
            loss=PolicyGradient(regularization=0.0, baseline=0.5),
            gradient_steps=1,
            optimizer="continued",
        )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """The rate alpha N: the expected loss's gradient is -pi (A - pi.A)."""
        return self.step_size * actions
