"""Iterative SLiC: the hinge loss of SLiC-HF (arXiv:2305.10425), on the log-ratios of RSO."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, final

from nlhf_repro.algorithms.iterative_dpo import IterativeDPO
from nlhf_repro.hinge_regression import hinge_utility
from nlhf_repro.interfaces import (
    ExactState,
    Fit,
    FixedPoint,
    Game,
    ImpossibleSettingError,
    Phase,
    Tie,
)
from nlhf_repro.losses import HingePair
from nlhf_repro.updates import reference_state


@final
@dataclass(frozen=True)
class IterativeSLiC:
    """The hinge loss on fresh pairs of the current policy, iteration by iteration.

    Loss: E over pairs from pi_t of max(0, 1 - beta * gap of log pi / anchor) on the preferred side;
    beta = `regularization`. It is the calibration loss of SLiC-HF, max(0, delta - log pi(y) + log
    pi(y')), on the log-ratios of RSO's hinge-norm (arXiv:2309.06657, where beta is gamma); both
    formulas were read in others' accounts of the papers, so that no equation's number is given.
    The anchor is the reference or pi_t. Update: the minimiser of the expected loss, a linear
    program (`hinge_utility`); where several minimise, the one whose log-ratios have the least sum
    of squares, which is our choice. With `design: best_worst` the expectation is over the best and
    the worst of K `responses`.

    Guarantee: none on more than two responses. Of two, one update reaches the gap sign(p - 1/2) /
    beta, whoever sampled and whether p is 0.51 or 1: the loss learns who wins and not how often. In
    general gaps come in steps of 1 / beta and depend on the sampling policy; certain preferences
    have a finite optimum. On a symmetric cycle all gaps within 1 / beta are optimal, and we stay.

    Fixed point: with the reference as anchor none is known. A gap is a step of 1 / beta more or
    not, and iterates need not settle: at beta = 0.5, of 40 random games of five responses 12 come
    to rest and 28 go round 3 to 7 policies, and on COMAL's cycle most references lead round three.
    With the previous policy as anchor and independent pairs, every full-support equilibrium is at
    rest by our choice, as all wins balance there; what is off balance by more than 1e-9 jumps.

    Improvement: with independent pairs, lowering an upper level set of u together cannot gain, so
    that its responses beat the rest at least as often as they lose to them; exp(u / beta) is a
    positive sum of indicators of such sets, so that P(pi_1 > ref) >= 1/2.

    Departures: fresh pairs each iteration, where both papers calibrate on fixed ones (of the
    fine-tuned policy, or by rejection sampling); no cross-entropy on fine-tuning targets, which
    SLiC-HF adds; probabilities as labels, where asked for.
    """

    regularization: float
    responses: int
    design: Literal["unfiltered", "all_pairs", "best_worst"]
    labels: Literal["probability", "bernoulli", "score"]
    anchor: Literal["reference", "previous"]
    gradient_steps: int | None

    def __post_init__(self) -> None:
        if self.regularization <= 0:
            raise ImpossibleSettingError(
                f"algorithm.regularization = {self.regularization} of iterative SLiC must be "
                "positive: one over it is the lead that the loss asks for."
            )
        if self.gradient_steps is None:
            raise ImpossibleSettingError(
                "algorithm.gradient_steps = null of iterative SLiC: the hinge loss has its minimum "
                "at a kink, where no gradient vanishes and descent does not converge, so set a "
                "number of steps."
            )
        self._logistic()

    def _logistic(self) -> IterativeDPO:
        """The same recipe with the logistic loss, whose settings, pairs and phases are these."""
        return IterativeDPO(
            regularization=self.regularization,
            responses=self.responses,
            design=self.design,
            labels=self.labels,
            anchor=self.anchor,
            gradient_steps=self.gradient_steps,
        )

    @property
    def fixed_point(self) -> FixedPoint:
        """Nash with independent pairs and a moving anchor, by our choice; otherwise none."""
        moving = self.anchor == "previous" and self.design != "best_worst"
        return "nash" if moving else "none"

    @property
    def tie(self) -> Tie:
        """None that a gradient could show."""
        return Tie(
            "none",
            "the exact update minimises the expected loss, but at a kink, where its gradient does "
            "not vanish, or on a flat piece, where many policies do: losses are compared instead",
        )

    @property
    def preference_evaluations(self) -> int:
        """One evaluation of P under the policy, or one law of the selected pairs."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The minimiser of the expected loss over all policies that is nearest to the anchor.

        Raises:
            ImpossibleSettingError: The selected pairs are too many to enumerate, or
                `hinge_utility` refuses: responses that the policy has all but dropped.
        """
        return self._logistic().updated(state, game, hinge_utility)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Pairs from pi_t, then the regression from pi_t."""
        for phase in self._logistic().phases(iteration):
            if isinstance(phase, Fit):
                yield replace(phase, loss=HingePair(self.regularization))
            else:
                yield phase

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: no rate makes an exact update of a gradient step."""
        return None
