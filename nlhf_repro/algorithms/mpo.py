"""MPO, magnetic preference optimization, our reading (Wang et al., arXiv:2410.16714)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

from nlhf_repro.algorithms.comal import (
    anchored_state,
    check_period,
    moving_reference_phases,
    moving_reference_update,
)
from nlhf_repro.algorithms.mmd import MMD
from nlhf_repro.interfaces import ExactState, FixedPoint, Game, Phase, Tie


@final
@dataclass(frozen=True)
class MPO:
    """Magnetic mirror descent whose magnet becomes the current policy every `period` updates.

    Update: MMD's, pi_{t+1} proportional to [pi_t magnet^(eta a) exp(eta P(y > pi_t))]^(1 / (1 + eta
    a)), eta = `proximal_step`, a = `regularization`. With alpha = eta / (1 + eta a) and tau = a the
    iterates are COMAL's, so the two never stand side by side as different results. Loss: MMD's, on
    two independent responses of pi_t.

    Guarantee (abstract; constants not available): the last iterate converges linearly to the
    regularized Nash of a fixed magnet, and with moving magnets to a Nash of the original game.

    Improvement: the first opponent is ref, and pi_1, proportional to ref times an increasing
    function of P(y > ref), has a mean win rate of at least ref's, 1/2.

    Departures: our reading of MPO, part of whose text was available: the paper's language models
    take magnetic steps token by token with REINFORCE, here pairs of whole responses are regressed.
    """

    proximal_step: float
    regularization: float
    period: int
    labels: Literal["probability", "bernoulli"]
    gradient_steps: int | None

    def __post_init__(self) -> None:
        check_period("MPO", self.period)
        _ = self.inner

    @property
    def inner(self) -> MMD:
        """The solver of a period, which refuses impossible steps."""
        return MMD(self.proximal_step, self.regularization, self.labels, self.gradient_steps)

    @property
    def fixed_point(self) -> FixedPoint:
        """Every full-support Nash equilibrium of the original game."""
        return "nash"

    @property
    def tie(self) -> Tie:
        """MMD's: the exact update minimises the expected loss."""
        return Tie("minimiser")

    @property
    def preference_evaluations(self) -> int:
        """One P @ pi_t."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy, which is the first magnet."""
        return anchored_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """MMD's closed form towards the magnet."""
        return moving_reference_update(self.inner, self.period, state, game)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """MMD's phases; the last iteration of a period moves the magnet."""
        yield from moving_reference_phases(self.inner, self.period, iteration)

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
