"""Iterative DPO (the RLHF workflow of Dong et al., arXiv:2405.07863)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, final

from nlhf_repro.interfaces import (
    Array,
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
from nlhf_repro.losses import LogisticPair
from nlhf_repro.regressions import logistic_utility
from nlhf_repro.selection import selected_law
from nlhf_repro.updates import independent_wins, reference_state, softmax


@final
@dataclass(frozen=True)
class IterativeDPO:
    """DPO's logistic loss on fresh pairs of the current policy, iteration by iteration.

    Loss: E over pairs from pi_t of -log sigmoid(beta * gap of log pi / anchor) on the preferred
    side; beta = `regularization`. The anchor is the reference (`anchor: reference`, the paper) or
    pi_t (`anchor: previous`, the released scripts, which do not do what the paper says). Update:
    the minimiser of the expected loss, found by damped Newton; with `design: best_worst` the
    expectation is over the best and the worst of K `responses`.

    Guarantee: where preferences are Bradley-Terry and the anchor is the reference, one update
    reaches pi proportional to ref exp(score / beta), whatever the policy that sampled the
    independent pairs. On other preferences, and for selected pairs, the minimiser depends on the
    sampling policy and nothing is proven.

    Improvement: with independent pairs the first fit u has sum_y' ref(y') sigmoid(u(y) - u(y')) =
    P(y > ref), so u rises with P(y > ref), and tilting by a rising function never lowers the mean:
    P(pi_1 > ref) >= 1/2.

    Departures: `labels: score` with `design: best_worst` is the paper's recipe (8 scores of a
    reward model a prompt), whose population minimiser lies at infinity, as the higher score always
    wins: it exists in the sampled face alone. The default asks the oracle for one comparison of two
    responses.
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
                f"algorithm.regularization = {self.regularization} of iterative DPO must be "
                "positive: it is the inverse temperature of the loss."
            )
        if self.responses < 2 or (self.design == "unfiltered" and self.responses != 2):
            raise ImpossibleSettingError(
                f"algorithm.responses = {self.responses} does not fit algorithm.design = "
                f"{self.design}: unfiltered takes 2 and the others at least 2."
            )
        if self.labels == "score" and self.design != "best_worst":
            raise ImpossibleSettingError(
                f"algorithm.labels = score with algorithm.design = {self.design}: scores order "
                "responses but are no preference, so set design to best_worst."
            )

        if self.labels == "score" and self.gradient_steps is None:
            raise ImpossibleSettingError(
                "algorithm.gradient_steps = null with algorithm.labels = score: the higher score "
                "always wins and the optimum lies at infinity, so set a number of steps."
            )

    @property
    def fixed_point(self) -> FixedPoint:
        """The Bradley-Terry optimum; none with a moving anchor or selected pairs."""
        fixed = self.anchor == "reference" and self.design != "best_worst"
        return "bradley_terry_optimum" if fixed else "none"

    @property
    def tie(self) -> Tie:
        """Minimiser of the recipe's own loss; none where scores put it at infinity."""
        if self.labels == "score":
            return Tie("none", "the higher score always wins: the optimum lies at infinity")
        return Tie("minimiser")

    @property
    def preference_evaluations(self) -> int:
        """One evaluation of P under the policy, or one law of the selected pairs."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The minimiser of the expected loss over all policies.

        Raises:
            ImpossibleSettingError: The selected pairs are too many to enumerate, or
                `logistic_utility` refuses: wins that all point one way, as with scores.
        """
        return self.updated(state, game, logistic_utility)

    def updated(
        self, state: ExactState, game: Game, utility: Callable[[Array], Array]
    ) -> ExactState:
        """The anchor tilted by what `utility` makes of the law of this recipe's pairs, over beta.

        Raises:
            ImpossibleSettingError: The selected pairs are too many to enumerate.
        """
        if self.design == "best_worst":
            law = selected_law(game, state.policy, self.design, self.responses, self.labels)
        else:
            law = independent_wins(game, state.policy)
        anchor = game.log_reference if self.anchor == "reference" else state.log_policy
        logits, policy = softmax(anchor + utility(law) / self.regularization)
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Pairs from pi_t, then the logistic regression from pi_t."""
        responder = Responder({"current": 1.0})
        yield Collect("pairs", responder, self.responses, self.design, self.labels)
        yield Fit(
            data="pairs",
            start="current",
            produces="current",
            anchors={"reference" if self.anchor == "reference" else "current": 1.0},
            loss=LogisticPair(self.regularization),
            gradient_steps=self.gradient_steps,
            optimizer="fresh",
        )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
