"""IPO, identity preference optimization (Azar et al., arXiv:2310.12036)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

from nlhf_repro.interfaces import ExactState, FixedPoint, Game, Phase, Tie
from nlhf_repro.losses import SquaredPair
from nlhf_repro.phases import offline_regression
from nlhf_repro.updates import mirror_step, reference_state, require_regularization, win_rates


@final
@dataclass(frozen=True)
class IPO:
    """The regularized best response to the reference, learned offline from its pairs.

    Update: pi proportional to ref exp(P(y > ref) / tau), tau = `regularization`, wherever it
    starts: the maximiser of P(pi > ref) - tau KL(pi, ref). Loss (Eq. 17): E over pairs of the
    reference of (gap of log pi / ref - 1 / (2 tau))^2 on the preferred side. Iteration 0 collects
    all pairs, later iterations train on the same ones, so that a budget counts the data set. Of
    preference evaluations the exact face counts one an update, the expected face one in all.

    Guarantee: the population minimiser is the optimum for any preferences (Bradley-Terry or not);
    it is no equilibrium: its opponent is the reference.

    Improvement: the update tilts the reference by P(y > ref), and a tilt exp(alpha f) never lowers
    the mean of f, so P(pi > ref) >= 1/2.

    Departures: the paper's data policy mu may be any; here it is the reference. Log-probabilities
    are of whole responses, as in the paper (some trainers divide by the length). `labels:
    probability` in place of a draw has the same expected gradient.
    """

    regularization: float
    labels: Literal["probability", "bernoulli"]
    gradient_steps: int | None

    def __post_init__(self) -> None:
        require_regularization("IPO", self.regularization, "its loss divides by it")

    @property
    def fixed_point(self) -> FixedPoint:
        """The regularized best response to the reference."""
        return "best_response_to_reference"

    @property
    def tie(self) -> Tie:
        """Minimiser of the expected loss."""
        return Tie("minimiser")

    @property
    def preference_evaluations(self) -> int:
        """One P @ reference."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The closed form, whatever the present policy."""
        reference = reference_state(game)
        reward = win_rates(game, reference.policy)
        step = 1.0 / self.regularization
        logits, policy = mirror_step(reference.log_policy, reward, game.log_reference, step, 0.0)
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Pairs of the reference once, then the regression anchored at it."""
        loss = SquaredPair(scale=1.0 / self.regularization)
        yield from offline_regression(
            iteration, self.labels, loss, {"reference": 1.0}, self.gradient_steps
        )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
