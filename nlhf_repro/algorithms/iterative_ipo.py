"""Iterative IPO: IPO's loss (Azar et al., arXiv:2310.12036) on fresh pairs of the policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

from nlhf_repro.algorithms.inpo import INPO
from nlhf_repro.interfaces import ExactState, FixedPoint, Game, ImpossibleSettingError, Phase, Tie
from nlhf_repro.updates import check_step


@final
@dataclass(frozen=True)
class IterativeIPO:
    """IPO's loss on fresh pairs of the current policy, iteration by iteration.

    Update, `anchor: previous`: pi_{t+1} proportional to pi_t exp(alpha P(y > pi_t)): multiplicative
    weights, INPO with tau = 0 and SPPO with the exact normalizer. `anchor: reference`: pi_{t+1}
    proportional to ref exp(alpha P(y > pi_t)), alpha = 1 / tau: the regularized best response to
    pi_t, INPO with alpha tau = 1. alpha = `step_size` is 1 / tau of IPO's loss. Loss: E over pairs
    from pi_t of (gap of log pi / anchor - alpha (answer - 1/2))^2. These are one algorithm with
    those named, never results that stand side by side. The anchor and the step decide tau:
    `regularization` None takes what they require, which is what it then holds.

    Guarantee: with `previous`, as multiplicative weights, the average iterate's duality gap is
    O(1 / sqrt(T)) for steps of that order; the last cycles on cyclic games. With `reference` none:
    best responses may cycle where 1 / tau is large.

    Improvement: the first update tilts the reference by P(y > ref), and a tilt exp(alpha f) never
    lowers the mean of f, so P(pi_1 > ref) >= 1/2.

    Departures: no paper fixes the recipe; COMAL's baseline of this name was not available to us.
    """

    step_size: float
    regularization: float | None
    anchor: Literal["previous", "reference"]
    responses: int
    design: Literal["unfiltered", "all_pairs"]
    labels: Literal["probability", "bernoulli"]
    gradient_steps: int | None

    def __post_init__(self) -> None:
        check_step("iterative IPO", self.step_size, 0.0)
        if self.regularization is None:
            object.__setattr__(self, "regularization", self._required)
        elif abs(self.step_size * (self.regularization - self._required)) > 1e-12:
            remedy = "0" if self.anchor == "previous" else "1 / algorithm.step_size"
            raise ImpossibleSettingError(
                f"algorithm.regularization = {self.regularization} of iterative IPO does not fit "
                f"algorithm.anchor = {self.anchor}: set it to {remedy}, or to null for that."
            )
        self._inner()

    @property
    def _required(self) -> float:
        """The tau of the anchor and the step, free of what rounding leaves of a given one."""
        return 0.0 if self.anchor == "previous" else 1.0 / self.step_size

    def _inner(self) -> INPO:
        return INPO(
            step_size=self.step_size,
            regularization=self._required,  # rounding must not leave the previous policy a share
            responses=self.responses,
            design=self.design,
            labels=self.labels,
            gradient_steps=self.gradient_steps,
        )

    @property
    def fixed_point(self) -> FixedPoint:
        """Regularized Nash with the reference as anchor, every full-support Nash with pi_t."""
        return self._inner().fixed_point

    @property
    def tie(self) -> Tie:
        """Minimiser of the expected loss."""
        return self._inner().tie

    @property
    def preference_evaluations(self) -> int:
        """One P @ pi_t."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return self._inner().initial_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The closed form."""
        return self._inner().exact_update(state, game)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Pairs from pi_t, then the regression anchored at pi_t or at the reference."""
        return self._inner().phases(iteration)

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
