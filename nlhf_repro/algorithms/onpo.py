"""ONPO, optimistic Nash policy optimization (Zhang et al., arXiv:2502.16852)."""

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
from nlhf_repro.phases import require_unregularized
from nlhf_repro.updates import check_step, softmax, win_rates


@final
@dataclass(frozen=True)
class ONPO:
    """Optimistic mirror descent on the unregularized game: the last reward predicts the next.

    Update: base_{t+1} proportional to base_t exp(alpha P(y > pi_t)), pi_{t+1} proportional to
    base_{t+1} exp(alpha P(y > pi_t)), both from the reference; alpha = `step_size` = eta of the
    paper. From the second update on it is OMWU: theta_{t+1} = theta_t + alpha (2 P(y > pi_t) - P(y
    > pi_{t-1})); the first moves by 2 alpha P(y > ref). Loss of either regression, on the same
    pairs from pi_t: E of (h - alpha (answer - 1/2))^2, h the gap of log pi - log base_t, then of
    log pi - log base_{t+1}.

    Guarantee: with D = max KL(pi, ref) the average iterate's duality gap is at most 4 sqrt(D) / T
    for alpha = min(1/2, sqrt D) (Theorem 2; square roots uncertain in the text we have), and the
    last iterate's KL(pi*, pi_t) is O(C^-t), C > 1, where the equilibrium is unique and alpha <= 1/8
    (Theorem 3).

    Improvement: the first opponent is ref, and pi_1, proportional to ref exp(2 alpha P(y > ref)),
    weights ref by an increasing function of the win rate, so its mean is at least 1/2.

    Departures: none in the method; the paper's experiments were not available.
    """

    step_size: float
    labels: Literal["probability", "bernoulli"]
    gradient_steps: int | None
    regularization: float

    def __post_init__(self) -> None:
        check_step("ONPO", self.step_size, 0.0)
        require_unregularized("ONPO", self.regularization, instead="egpo")

    @property
    def fixed_point(self) -> FixedPoint:
        """Every full-support Nash equilibrium."""
        return "nash"

    @property
    def tie(self) -> Tie:
        """Either half minimises its regression's expected loss."""
        return Tie("minimiser")

    @property
    def preference_evaluations(self) -> int:
        """One P @ pi_t, used twice."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy, as the policy and as its base."""
        return ExactState(*softmax(game.log_reference), memory={"base": game.log_reference})

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """Both halves in closed form, with the same reward."""
        reward = self.step_size * win_rates(game, state.policy)
        base = softmax(state.memory["base"] + reward)[0]
        return ExactState(*softmax(base + reward), state.updates + 1, {"base": base})

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Pairs from pi_t and two regressions on them: the base, then the policy from it."""
        yield Collect("pairs", Responder({"current": 1.0}), 2, "unfiltered", self.labels)
        for produces in ("base", "current"):
            yield Fit(
                data="pairs",
                start="base",
                produces=produces,
                anchors={"base": 1.0},
                loss=SquaredPair(scale=self.step_size),
                gradient_steps=self.gradient_steps,
                optimizer="fresh",
            )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
