"""DPO, direct preference optimization (Rafailov et al., arXiv:2305.18290)."""

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
from nlhf_repro.losses import SmoothedLogisticPair
from nlhf_repro.phases import offline_regression
from nlhf_repro.regressions import logistic_utility
from nlhf_repro.updates import (
    independent_wins,
    reference_state,
    require_regularization,
    softmax,
)


@final
@dataclass(frozen=True)
class DPO:
    """Reinforcement learning from human feedback as one logistic regression on offline pairs.

    Update: pi proportional to ref exp(u / beta), beta = `regularization`, wherever it starts; u are
    the Bradley-Terry utilities that fit the reference's pairs best (damped Newton). Loss: E over
    pairs of the reference of -(1 - e) log sigmoid(beta h) - e log sigmoid(-beta h), h the gap of
    log pi / ref on the preferred side, e = `label_smoothing` (conservative DPO). Iteration 0
    collects all pairs, later iterations train on the same ones, so that a budget counts the data
    set. Of preference evaluations the exact face counts one an update, the expected face one in
    all.

    Guarantee: where preferences are Bradley-Terry and e = 0, the population minimiser is ref
    exp(score / beta). On other preferences it depends on the data policy and is no equilibrium.

    Improvement: u has sum_y' ref(y') sigmoid(u(y) - u(y')) = (1 - 2 e) P(y > ref) + e, so u rises
    with P(y > ref), and tilting by a rising function never lowers the mean: P(pi > ref) >= 1/2.

    Departures: `labels: probability` takes the expectation over the answer.
    """

    regularization: float
    label_smoothing: float
    labels: Literal["probability", "bernoulli"]
    gradient_steps: int | None

    def __post_init__(self) -> None:
        why = "it is the inverse temperature of the loss"
        require_regularization("DPO", self.regularization, why)
        if not 0 <= self.label_smoothing < 0.5:
            raise ImpossibleSettingError(
                f"algorithm.label_smoothing = {self.label_smoothing} of DPO is outside [0, 0.5), "
                "where answers would say nothing or the opposite: set it inside."
            )

    @property
    def fixed_point(self) -> FixedPoint:
        """The Bradley-Terry optimum where there is one and e = 0; else what the data teach."""
        return "population_minimiser" if self.label_smoothing else "bradley_terry_optimum"

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
        reference = reference_state(game)
        wins = independent_wins(game, reference.policy)
        smoothed = wins + self.label_smoothing * (wins.swapaxes(-1, -2) - wins)
        utility = logistic_utility(smoothed)
        logits, policy = softmax(reference.log_policy + utility / self.regularization)
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Pairs of the reference once, then the logistic regression anchored at it."""
        loss = SmoothedLogisticPair(self.regularization, self.label_smoothing)
        yield from offline_regression(
            iteration, self.labels, loss, {"reference": 1.0}, self.gradient_steps
        )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
