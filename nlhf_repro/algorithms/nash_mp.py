"""Nash-MP, Nash mirror prox (Tiapkin et al., arXiv:2505.19731, version 1)."""

from __future__ import annotations

from collections.abc import Iterator
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
from nlhf_repro.losses import SquaredPair
from nlhf_repro.updates import reference_state, require_regularization, softmax, win_rates


@final
@dataclass(frozen=True)
class NashMP:
    """Mirror prox: both proximal steps start at pi_k, the second against the first one's result.

    Update: theta_{k+1/2} = (theta_k + eta log ref + (eta / tau) P(y > pi_k)) / (1 + eta), and
    theta_{k+1} is the same with P(y > pi_{k+1/2}); eta = `proximal_step`, tau = `regularization`
    (its beta). It is EGPO's with alpha = eta / (tau (1 + eta)), so the two never stand side by side
    as different results. Loss of either half: E over pairs from pi_k of (h - alpha (P(y > y'') -
    P(y' > y'')))^2, y'' from pi_k, then from pi_{k+1/2}, where h is the gap over the pair of log pi
    - (log pi_k + eta log ref) / (1 + eta).

    Guarantee (abstract of version 1): KL to the regularized Nash falls like (1 + 2 tau)^(-n / 2) in
    n preference evaluations, two an update, so (1 + 2 tau)^-k; eta = 2 tau is what that rate
    implies (our derivation).

    Departures: version 1, not version 2 (Nash Prox, a proximal-point wrapper). The paper's practice
    is a policy gradient with an averaged target; the regressions are ours, for its closed form.
    """

    proximal_step: float
    regularization: float
    labels: Literal["probability", "bernoulli"]
    gradient_steps: int | None

    def __post_init__(self) -> None:
        if not self.proximal_step > 0:
            raise ImpossibleSettingError(
                f"algorithm.proximal_step = {self.proximal_step} of Nash-MP must be positive: set "
                "it above 0."
            )
        require_regularization("Nash-MP", self.regularization, "its steps divide by it")

    @property
    def fixed_point(self) -> FixedPoint:
        """The regularized Nash equilibrium."""
        return "regularized_nash"

    @property
    def tie(self) -> Tie:
        """Either half minimises its regression's expected loss."""
        return Tie("minimiser")

    @property
    def preference_evaluations(self) -> int:
        """P @ pi_k and P @ pi_{k+1/2}."""
        return 2

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """Both proximal steps in closed form."""
        eta = self.proximal_step
        centre = state.log_policy + eta * game.log_reference

        def half(opponent: Array) -> tuple[Array, Array]:
            reward = eta / self.regularization * win_rates(game, opponent)
            return softmax((centre + reward) / (1.0 + eta))

        logits, policy = half(half(state.policy)[1])
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Two regressions, each on fresh pairs from pi_k with fresh opponents."""
        share = self.proximal_step / (1.0 + self.proximal_step)
        for opponent, produces in (("current", "half_step"), ("half_step", "current")):
            yield Collect(
                "pairs",
                Responder({"current": 1.0}),
                2,
                "against",
                self.labels,
                opponent=(Responder({opponent: 1.0}),),
                opponents=1,
            )
            yield Fit(
                data="pairs",
                start="current",
                produces=produces,
                anchors={"reference": share, "current": 1.0 - share},
                loss=SquaredPair(scale=share / self.regularization),
                gradient_steps=self.gradient_steps,
                optimizer="fresh",
            )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
