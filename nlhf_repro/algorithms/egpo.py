"""EGPO, extragradient preference optimization (Zhou, Fazel and Du, arXiv:2503.08942)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

from nlhf_repro.interfaces import (
    Array,
    ExactState,
    FixedPoint,
    Game,
    Phase,
    Responder,
    Tie,
)
from nlhf_repro.phases import require_opponents, uniform_pair_learning_rate, uniform_pair_step
from nlhf_repro.updates import (
    check_step,
    mirror_step,
    reference_state,
    require_regularization,
    win_rates,
)


@final
@dataclass(frozen=True)
class EGPO:
    """Extragradient: a half-step looks ahead, the full step uses its opponent; both start at pi_t.

    Update: log pi_{t+1/2} = (1 - alpha tau) log pi_t + alpha tau log ref + alpha P(y > pi_t) +
    const, and log pi_{t+1} is the same with P(y > pi_{t+1/2}); alpha = `step_size` (the paper's
    eta), tau = `regularization` (its beta). Loss of either half, of which it is one gradient step:
    E over pairs of uniform responses of (gap of log pi / ref - (P(y > y'') - P(y' > y'')) / tau)^2,
    y'' from pi_t, then from pi_{t+1/2}; a uniform pair meets `opponents` fresh responses y''.

    Guarantee (abstract; the theorem's text was not available): the last iterate converges linearly
    to the regularized Nash. At steps up to 2 / (1 + 2 tau), KL(pi*, pi_T) <= (1 - alpha tau)^T
    KL(pi*, ref) held in every game tried; at steps of 5 and 10 it did not, and some runs did not
    converge. One update evaluates preferences twice, which every count of queries includes.

    Departures: uniform responses exist only where responses can be enumerated; the authors'
    language models use temperature 2 and top-k 10 in their place.
    """

    step_size: float
    regularization: float
    labels: Literal["probability", "bernoulli"]
    opponents: int

    def __post_init__(self) -> None:
        check_step("EGPO", self.step_size, self.regularization)
        require_regularization("EGPO", self.regularization, "its loss divides by it")
        require_opponents("EGPO", self.opponents)

    @property
    def fixed_point(self) -> FixedPoint:
        """The regularized Nash equilibrium."""
        return "regularized_nash"

    @property
    def tie(self) -> Tie:
        """One gradient step for each half."""
        return Tie("gradient_step")

    @property
    def preference_evaluations(self) -> int:
        """P @ pi_t and P @ pi_{t+1/2}."""
        return 2

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """Both halves in closed form."""

        def half(opponent: Array) -> tuple[Array, Array]:
            reward = win_rates(game, opponent)
            return mirror_step(
                state.log_policy, reward, game.log_reference, self.step_size, self.regularization
            )

        logits, policy = half(half(state.policy)[1])
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Two halves, each with fresh pairs and fresh opponents, both from the present policy."""
        for opponent, produces in (("current", "half_step"), ("half_step", "current")):
            yield from uniform_pair_step(
                Responder({opponent: 1.0}),
                produces,
                self.regularization,
                self.labels,
                self.opponents,
            )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """Of either half."""
        return uniform_pair_learning_rate(self.step_size, self.regularization, actions)
