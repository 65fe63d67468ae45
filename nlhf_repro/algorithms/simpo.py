"""SimPO, simple preference optimization (Meng et al., arXiv:2405.14734)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

from nlhf_repro.interfaces import (
    ExactState,
    FixedPoint,
    Game,
    ImpossibleSettingError,
    Phase,
    Tie,
)
from nlhf_repro.losses import MarginLogisticPair
from nlhf_repro.phases import offline_regression
from nlhf_repro.regressions import logistic_utility
from nlhf_repro.updates import independent_wins, reference_state, softmax


@final
@dataclass(frozen=True)
class SimPO:
    """DPO's logistic loss without the reference, and with a margin, on offline pairs.

    Update: pi proportional to exp(u / beta), beta = `inverse_temperature`, wherever it starts; u
    minimises E over the reference's pairs of log(1 + exp(gamma - (u(y_w) - u(y_l)))), gamma =
    `target_margin` (damped Newton). Loss: E over pairs of the reference of -log sigmoid(beta (log
    pi(y_w) - log pi(y_l)) - gamma). Iteration 0 collects all pairs, later iterations train on the
    same ones, so that a budget counts the data set. Of preference evaluations the exact face counts
    one an update, the expected face one in all. Our reading: on full-support data the reference
    enters through the law of the pairs alone.

    Guarantee: none is known to us.

    Departures: the paper divides log-probabilities by the response's length, which is one here.
    `labels: probability` takes the expectation over the answer.
    """

    inverse_temperature: float
    target_margin: float
    labels: Literal["probability", "bernoulli"]
    gradient_steps: int | None
    regularization: float

    def __post_init__(self) -> None:
        if self.inverse_temperature <= 0:
            raise ImpossibleSettingError(
                f"algorithm.inverse_temperature = {self.inverse_temperature} of SimPO must be "
                "positive: set it above 0."
            )
        if self.target_margin < 0:
            raise ImpossibleSettingError(
                f"algorithm.target_margin = {self.target_margin} of SimPO is negative: raise it "
                "to 0."
            )
        if self.regularization != 0:
            raise ImpossibleSettingError(
                f"algorithm.regularization = {self.regularization} has no meaning for SimPO, whose "
                "loss has no reference: leave it at 0 or use algorithm=dpo."
            )

    @property
    def fixed_point(self) -> FixedPoint:
        """What the data teach, one update away."""
        return "population_minimiser"

    @property
    def tie(self) -> Tie:
        """Minimiser of the expected loss."""
        return Tie("minimiser")

    @property
    def preference_evaluations(self) -> int:
        """One evaluation of P under the reference."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The minimiser of the expected loss over all policies, whatever the present one.

        Raises:
            ImpossibleSettingError: `logistic_utility` refuses: preferences of 0 or 1 can put the
                optimum at infinity.
        """
        wins = independent_wins(game, reference_state(game).policy)
        utility = logistic_utility(wins, self.target_margin)
        logits, policy = softmax(utility / self.inverse_temperature)
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Pairs of the reference once, then the logistic regression without anchors."""
        loss = MarginLogisticPair(self.inverse_temperature, self.target_margin)
        yield from offline_regression(iteration, self.labels, loss, {}, self.gradient_steps)

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
