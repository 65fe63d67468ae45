"""Direct optimisation of INPO's mirror-descent objective (arXiv:2407.00617, Eq. 4; ours)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

from nlhf_repro.interfaces import (
    Advance,
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
from nlhf_repro.losses import PolicyGradient
from nlhf_repro.updates import check_step, mirror_step, reference_state, win_rates


@final
@dataclass(frozen=True)
class DirectOMD:
    """Policy-gradient steps on the objective that INPO turns into a regression.

    Update: the objective's maximiser, INPO's Eq. 5: pi_{t+1} proportional to pi_t^(1 - alpha tau)
    ref^(alpha tau) exp(alpha P(y > pi_t)), alpha = `step_size`, tau = `regularization`. Loss: Eq. 4
    says to maximise E_pi[P(y > pi_t) - tau log pi_t / ref] - KL(pi, pi_t) / alpha, which is E_pi[
    P(y > pi_t) - (1 / alpha) log ratio] with log ratio = log pi - alpha tau log ref - (1 - alpha
    tau) log pi_t. Its gradient is E of grad log pi(y) (win rate - 1/2 - (1 / alpha) log ratio), y
    from pi, the win rate over `opponents` responses of the frozen pi_t; the derivative of log ratio
    itself has mean 0. `inner_steps` such steps from pi_t, each on fresh responses, make pi_{t+1}.
    Of preference evaluations an exact update counts one, an expected one as many as inner steps.

    Guarantee: INPO's, in the limit of inner steps that reach the maximiser; for finitely many none.
    The learning rate is training's: no rate makes a fixed number of steps the update.

    Improvement: the first opponent is ref, and the maximiser, proportional to ref exp(alpha P(y >
    ref)), weights ref by an increasing function of the win rate, so its mean is at least 1/2.

    Departures: no paper trains so; a reviewer of INPO asked for the comparison.
    """

    step_size: float
    regularization: float
    inner_steps: int
    opponents: int
    labels: Literal["probability", "bernoulli"]

    def __post_init__(self) -> None:
        check_step("direct OMD", self.step_size, self.regularization)
        for name, value in (("inner_steps", self.inner_steps), ("opponents", self.opponents)):
            if value < 1:
                raise ImpossibleSettingError(
                    f"algorithm.{name} = {value} of direct OMD must be at least 1: raise it."
                )

    @property
    def fixed_point(self) -> FixedPoint:
        """Regularized Nash; every full-support Nash equilibrium without regularization."""
        return "regularized_nash" if self.regularization else "nash"

    @property
    def tie(self) -> Tie:
        """None: the sampled face reaches the maximiser in the limit of inner steps alone."""
        return Tie("none", "finitely many gradient steps stop short of the objective's maximiser")

    @property
    def preference_evaluations(self) -> int:
        """One P @ pi_t."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The objective's maximiser in closed form."""
        reward = win_rates(game, state.policy)
        logits, policy = mirror_step(
            state.log_policy, reward, game.log_reference, self.step_size, self.regularization
        )
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Gradient steps of the inner policy against the frozen current one, which it becomes."""
        pull = self.step_size * self.regularization
        yield Advance("inner", "current")
        for _ in range(self.inner_steps):
            yield Collect(
                "responses",
                Responder({"inner": 1.0}),
                1,
                "against",
                self.labels,
                opponent=(Responder({"current": 1.0}),),
                opponents=self.opponents,
            )
            yield Fit(
                data="responses",
                start="inner",
                produces="inner",
                anchors={"reference": pull, "current": 1.0 - pull},
                loss=PolicyGradient(1.0 / self.step_size, baseline=0.5),
                gradient_steps=1,
                optimizer="continued",
            )
        yield Advance("current", "inner")

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: training gives it."""
        return None
