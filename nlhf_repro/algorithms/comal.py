"""COMAL, the convergent meta-algorithm (Liu et al., arXiv:2410.23223)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, final

from nlhf_repro.algorithms.inpo import INPO
from nlhf_repro.interfaces import (
    Advance,
    Algorithm,
    ExactState,
    FixedPoint,
    Game,
    ImpossibleSettingError,
    Phase,
    Tie,
)
from nlhf_repro.updates import check_step, require_regularization, softmax


def anchored_state(game: Game) -> ExactState:
    """The reference policy, which is also the anchor of the first period."""
    return ExactState(*softmax(game.log_reference), memory={"reference": game.log_reference})


def moving_reference_update(
    inner: Algorithm, period: int, state: ExactState, game: Game
) -> ExactState:
    """One update of `inner` towards the anchor, which every `period` updates becomes the policy."""
    anchor = state.memory["reference"]
    moved = inner.exact_update(state, replace(game, log_reference=anchor))
    anchor = anchor if moved.updates % period else moved.log_policy
    return replace(moved, memory={"reference": anchor})


def moving_reference_phases(inner: Algorithm, period: int, iteration: int) -> Iterator[Phase]:
    """The phases of `inner`; the last iteration of a period moves the reference."""
    yield from inner.phases(iteration)
    if (iteration + 1) % period == 0:
        yield Advance("reference", "current")


def check_period(name: str, period: int) -> None:
    """Raise ImpossibleSettingError where the reference of `name` would never move."""
    if period < 1:
        raise ImpossibleSettingError(
            f"algorithm.period = {period} of {name} must be at least 1: it is the number of inner "
            "updates before the reference moves, so raise it."
        )


@final
@dataclass(frozen=True)
class COMAL:
    """INPO towards a reference that becomes the current policy every `period` updates.

    Update: INPO's (Eq. 5 of arXiv:2407.00617) with ref replaced by the policy at the end of the
    last period; alpha = `step_size`, tau = `regularization` of the inner game. Loss: INPO's, with
    that anchor. An iteration is an inner update; `period: 1` is multiplicative weights (mwu), which
    cycles, and with a fixed reference it would be INPO.

    Guarantee (second-hand): where every period solves its regularized game, KL(pi*, reference) to a
    Nash equilibrium of the original game never rises, for any tau > 0 (Lemma 4, Theorem 1), and the
    last iterate converges to it. Inside a period KL to the regularized Nash falls at least like (1
    - alpha tau / 2)^k for small alpha (Theorem 2). A short period is covered by neither.

    Improvement: the first opponent is ref, and pi_1, proportional to ref exp(alpha P(y > ref)),
    weights ref by an increasing function of the win rate, so its mean is at least 1/2.

    Departures: the released recipe judges five responses in both orders and trains on the first and
    second of them; here INPO's two independent responses, for which the theory speaks.
    """

    step_size: float
    regularization: float
    period: int
    labels: Literal["probability", "bernoulli"]
    gradient_steps: int | None

    def __post_init__(self) -> None:
        check_step("COMAL", self.step_size, self.regularization)
        require_regularization("COMAL", self.regularization, "without it the anchor has no pull")
        check_period("COMAL", self.period)

    @property
    def inner(self) -> INPO:
        """The solver of a period."""
        return INPO(
            step_size=self.step_size,
            regularization=self.regularization,
            responses=2,
            design="unfiltered",
            labels=self.labels,
            gradient_steps=self.gradient_steps,
        )

    @property
    def fixed_point(self) -> FixedPoint:
        """Every full-support Nash equilibrium of the original game."""
        return "nash"

    @property
    def tie(self) -> Tie:
        """INPO's: the exact update minimises the expected loss."""
        return Tie("minimiser")

    @property
    def preference_evaluations(self) -> int:
        """One P @ pi_t."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy, anchored at itself."""
        return anchored_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """INPO's closed form towards the anchor."""
        return moving_reference_update(self.inner, self.period, state, game)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """INPO's phases; the last iteration of a period moves the reference."""
        yield from moving_reference_phases(self.inner, self.period, iteration)

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
