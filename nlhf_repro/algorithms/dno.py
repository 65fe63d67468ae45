"""DNO, direct Nash optimization, the algorithm of its theory (Rosset et al., arXiv:2404.03715)."""

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
from nlhf_repro.losses import RewardLogisticPair
from nlhf_repro.phases import require_opponents, require_unregularized
from nlhf_repro.updates import check_step, mirror_step, reference_state, win_rates


@final
@dataclass(frozen=True)
class DNO:
    """Multiplicative weights, learned by logistic regression on soft targets (Algorithm 1).

    Update: pi_{t+1} proportional to pi_t exp(alpha r(y)), r(y) = P(y > pi_t), alpha = `step_size` =
    1 / eta of the paper. Loss: E over pairs from pi_t of the cross-entropy between sigmoid(r(y) -
    r(y')) and sigmoid(eta gap of log pi / pi_t). The same population update as SPPO's (exact
    normalizer) and as INPO's with tau = 0.

    Guarantee: with exact regression those of multiplicative weights (our reading): the average
    iterate's duality gap is O(1 / sqrt(T)) for steps of that order, the last iterate cycles on
    cyclic games.

    Improvement: the first update tilts the reference by P(y > ref), and a tilt exp(alpha f) never
    lowers the mean of f, so P(pi_1 > ref) >= 1/2.

    Departures: the win rates are estimated from `opponents` K fresh responses, and the expectation
    of sigmoid(r^ - r'^) is not sigmoid(r - r'): the tie holds in the limit of exact win rates.
    One update on a random five-action game (step 0.3, hard answers, in total variation) then moves
    0.0183 and misses its limit by 0.0013 with K = 1, 0.00045 with 4 and 0.00012 with 16. The
    paper's regularized variant (its Appendix A) was not available to us.
    """

    step_size: float
    opponents: int
    labels: Literal["probability", "bernoulli"]
    gradient_steps: int | None
    regularization: float

    def __post_init__(self) -> None:
        require_unregularized("DNO", self.regularization)
        check_step("DNO", self.step_size, 0.0)
        require_opponents("DNO", self.opponents)

    @property
    def fixed_point(self) -> FixedPoint:
        """Every full-support Nash equilibrium, though the iterates need not approach it."""
        return "nash"

    @property
    def tie(self) -> Tie:
        """Minimiser where the win rates are exact, as in the enumerated expectation."""
        return Tie("minimiser", "in the limit of exact win rates (opponents to infinity)")

    @property
    def preference_evaluations(self) -> int:
        """One P @ pi_t."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The closed form of the class docstring."""
        reward = win_rates(game, state.policy)
        logits, policy = mirror_step(
            state.log_policy, reward, game.log_reference, self.step_size, 0.0
        )
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Pairs from pi_t with their win rates against K more, then the logistic regression."""
        current = Responder({"current": 1.0})
        yield Collect("pairs", current, 2, "against", self.labels, (current,), self.opponents)
        yield Fit(
            data="pairs",
            start="current",
            produces="current",
            anchors={"current": 1.0},
            loss=RewardLogisticPair(inverse_temperature=1.0 / self.step_size),
            gradient_steps=self.gradient_steps,
            optimizer="fresh",
        )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
