"""MMD, magnetic mirror descent (Sokota et al., arXiv:2206.05825)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

from nlhf_repro.algorithms.inpo import INPO
from nlhf_repro.interfaces import (
    ExactState,
    FixedPoint,
    Game,
    ImpossibleSettingError,
    Phase,
    Tie,
)
from nlhf_repro.updates import reference_state, require_regularization, softmax, win_rates


@final
@dataclass(frozen=True)
class MMD:
    """Mirror descent on the win rate with a magnet, the reference, inside the proximal step.

    Update: pi_{t+1} proportional to [pi_t ref^(eta a) exp(eta P(y > pi_t))]^(1 / (1 + eta a)), eta
    = `proximal_step`, a = `regularization`, the magnet's weight. It is INPO's with alpha = eta / (1
    + eta a) and tau = a, so the two never stand side by side as different results. Loss: INPO's at
    that alpha, on two independent responses of pi_t.

    Guarantee (second-hand): the last iterate has KL(pi*, pi_t) <= (1 + eta a)^-t KL(pi*, ref); the
    condition eta <= a / L^2 = 4 a is from memory, not verified.

    Improvement: the first opponent is ref, and pi_1, proportional to ref times an increasing
    function of P(y > ref), has a mean win rate of at least ref's, 1/2.

    Departures: the paper trains by reinforcement learning on games in extensive form; learning from
    pairs of responses is INPO's regression.
    """

    proximal_step: float
    regularization: float
    labels: Literal["probability", "bernoulli"]
    gradient_steps: int | None

    def __post_init__(self) -> None:
        if not self.proximal_step > 0:
            raise ImpossibleSettingError(
                f"algorithm.proximal_step = {self.proximal_step} of MMD must be positive: set it "
                "above 0."
            )
        require_regularization("MMD", self.regularization, "without a magnet it is algorithm=mwu")

    @property
    def regression(self) -> INPO:
        """INPO at alpha = eta / (1 + eta a), whose sampled face this is."""
        return INPO(
            step_size=self.proximal_step / (1.0 + self.proximal_step * self.regularization),
            regularization=self.regularization,
            responses=2,
            design="unfiltered",
            labels=self.labels,
            gradient_steps=self.gradient_steps,
        )

    @property
    def fixed_point(self) -> FixedPoint:
        """The regularized Nash equilibrium."""
        return "regularized_nash"

    @property
    def tie(self) -> Tie:
        """The exact update minimises the regression's expected loss."""
        return Tie("minimiser")

    @property
    def preference_evaluations(self) -> int:
        """One P @ pi_t."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The closed form of the proximal step."""
        eta, magnet = self.proximal_step, self.proximal_step * self.regularization
        pulled = state.log_policy + magnet * game.log_reference
        logits, policy = softmax((pulled + eta * win_rates(game, state.policy)) / (1.0 + magnet))
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Pairs from pi_t, then the regression anchored at the reference and at pi_t."""
        yield from self.regression.phases(iteration)

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
