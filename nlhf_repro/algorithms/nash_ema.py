"""Nash-EMA, mirror descent against the policy's average (Munos et al., arXiv:2312.00886)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

from nlhf_repro.interfaces import (
    Advance,
    ExactState,
    FixedPoint,
    Game,
    ImpossibleSettingError,
    Phase,
    Responder,
    Tie,
)
from nlhf_repro.phases import uniform_pair_learning_rate, uniform_pair_step
from nlhf_repro.updates import (
    check_step,
    mirror_step,
    require_regularization,
    softmax,
    win_rates,
)


def check_averaging_share(name: str, averaging_share: float) -> None:
    """Raise ImpossibleSettingError where the average of `name` would stand still or overshoot."""
    if not 0 < averaging_share <= 1:
        raise ImpossibleSettingError(
            f"algorithm.averaging_share = {averaging_share} of {name} is outside (0, 1]: set it "
            "inside, or take algorithm=best_response for an opponent that stays the reference."
        )


@final
@dataclass(frozen=True)
class NashEMA:
    """Mirror descent whose opponent is the exponential moving average of the policy's weights.

    Update: log pi_{t+1} = (1 - alpha tau) log pi_t + alpha tau log ref + alpha P(y > mean_t) +
    const, then log mean_{t+1} = (1 - s) log mean_t + s log pi_{t+1} + const, from mean_0 = ref;
    alpha = `step_size`, tau = `regularization`, s = `averaging_share`. On free logits the average
    of weights is this geometric mean. Loss, of which the update is one gradient step: E over pairs
    of uniform responses of (gap of log pi / ref - (P(y > y'') - P(y' > y'')) / tau)^2, y'' from
    mean_t.

    Guarantee: none known to us. Its fixed point is the regularized Nash; s = 1 is the mirror
    descent of INPO.

    Improvement: the first opponent is ref, and pi_1, proportional to ref exp(alpha P(y > ref)),
    weights ref by an increasing function of the win rate, so its mean is at least 1/2.

    Departures: the paper's averaging knobs look inconsistent (a mix with the initial weights in one
    place, decays near 1 in another), so this is the standard moving average of decay 1 - s. The
    paper trains by policy gradient (nash_ema_pg). Uniform responses exist only where responses can
    be enumerated.
    """

    step_size: float
    regularization: float
    averaging_share: float
    labels: Literal["probability", "bernoulli"]

    def __post_init__(self) -> None:
        check_step("Nash-EMA", self.step_size, self.regularization)
        require_regularization("Nash-EMA", self.regularization, "its loss divides by it")
        check_averaging_share("Nash-EMA", self.averaging_share)

    @property
    def fixed_point(self) -> FixedPoint:
        """The regularized Nash equilibrium, as the policy and as its average."""
        return "regularized_nash"

    @property
    def tie(self) -> Tie:
        """One gradient step."""
        return Tie("gradient_step")

    @property
    def preference_evaluations(self) -> int:
        """One P @ mean_t."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy, which is its own average."""
        return ExactState(*softmax(game.log_reference), memory={"average": game.log_reference})

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The closed form of the class docstring."""
        average = state.memory["average"]
        reward = win_rates(game, softmax(average)[1])
        logits, policy = mirror_step(
            state.log_policy, reward, game.log_reference, self.step_size, self.regularization
        )
        average = (1.0 - self.averaging_share) * average + self.averaging_share * logits
        return ExactState(logits, policy, state.updates + 1, {"average": average})

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Uniform pairs against a response of the average, one gradient step, the new average."""
        average = Responder({"average": 1.0})
        yield from uniform_pair_step(average, "current", self.regularization, self.labels)
        yield Advance("average", "current", share=self.averaging_share)

    def learning_rate(self, actions: int, update: int) -> float | None:
        """Of the one gradient step."""
        return uniform_pair_learning_rate(self.step_size, self.regularization, actions)
