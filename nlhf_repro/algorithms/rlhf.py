"""RLHF: policy gradient on a Bradley-Terry reward (as in Munos et al., arXiv:2312.00886)."""

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
from nlhf_repro.losses import LogisticPair, PolicyGradient
from nlhf_repro.regressions import logistic_utility
from nlhf_repro.updates import (
    check_step,
    game_scores,
    independent_wins,
    policy_gradient_step,
    reference_state,
)


@final
@dataclass(frozen=True)
class RLHF:
    """REINFORCE with a KL penalty on a Bradley-Terry reward: the baseline of Nash learning.

    Update: theta+ = theta + alpha N pi (A - pi.A), A = r - tau log pi / ref, alpha = `step_size`,
    tau = `regularization`, N the number of actions. `reward: oracle` takes the oracle's scores as
    r; `reward: fitted` the Bradley-Terry utilities that fit the reference's pairs best. Loss:
    REINFORCE, -(r(y) - tau log pi / ref) log pi(y), the factor without gradient, y from pi. The
    fitted reward is the log-ratio to the reference of a policy `reward`, which iteration 0 trains
    by DPO's loss at inverse temperature 1; later steps ask nothing, so that a budget counts the
    data set; of preference evaluations the exact face counts one an update, the expected face one
    in all. `labels` and `reward_steps` (null: to convergence) belong to the fitted reward.

    Guarantee: the KL-regularized optimum ref exp(r / tau) is the only stationary point of full
    support; no rate is claimed. tau = 0 is the unregularized form, which section 3.2 of Munos et
    al. shows to jump between pure answers where the Nash policy moves continuously.

    Departures: one gradient step a batch, without value baseline, clipping or a second model; the
    reward is as flexible as the policy, trains at the policy's learning rate, and with few
    `reward_steps` is shrunk towards 0.
    """

    step_size: float
    regularization: float
    reward: Literal["fitted", "oracle"]
    labels: Literal["probability", "bernoulli"]
    reward_steps: int | None

    def __post_init__(self) -> None:
        check_step("RLHF", self.step_size, self.regularization)
        if self.reward_steps is not None and self.reward_steps < 1:
            raise ImpossibleSettingError(
                f"algorithm.reward_steps = {self.reward_steps} of RLHF must be at least 1: raise "
                "it, or set it to null for convergence (training.face=expected)."
            )

    @property
    def fixed_point(self) -> FixedPoint:
        """The Bradley-Terry optimum where preferences are Bradley-Terry; none with tau = 0."""
        return "bradley_terry_optimum" if self.regularization else "none"

    @property
    def tie(self) -> Tie:
        """One gradient step on the oracle's reward; a fitted one is never solved exactly."""
        if self.reward == "oracle":
            return Tie("gradient_step")
        return Tie("none", "the exact update is a gradient step on the converged fit of the reward")

    @property
    def preference_evaluations(self) -> int:
        """The pairs that the reward is fitted to; none with the oracle's reward."""
        return 1 if self.reward == "fitted" else 0

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The expected gradient step on the population's reward.

        Raises:
            ImpossibleSettingError: Scores are asked of a game without, or `logistic_utility`
                refuses: preferences of 0 or 1 can put the reward at infinity.
        """
        rate = self.step_size * game.actions
        logits, policy = policy_gradient_step(
            state, self._reward(game), game.log_reference, rate, self.regularization
        )
        return ExactState(logits, policy, state.updates + 1)

    def _reward(self, game: Game) -> Array:
        if self.reward == "oracle":
            return game_scores(game)
        return logistic_utility(independent_wins(game, reference_state(game).policy))

    def phases(self, iteration: int) -> Iterator[Phase]:
        """A reward from the reference's pairs (once), then one policy-gradient step."""
        fitted = self.reward == "fitted"
        if fitted and iteration == 0:
            reference = Responder({"reference": 1.0})
            yield Collect("comparisons", reference, 2, "unfiltered", self.labels)
            yield Fit(
                data="comparisons",
                start="reference",
                produces="reward",
                anchors={"reference": 1.0},
                loss=LogisticPair(inverse_temperature=1.0),
                gradient_steps=self.reward_steps,
                optimizer="fresh",
            )
        labels: Literal["none", "score"] = "none" if fitted else "score"
        yield Collect("responses", Responder({"current": 1.0}), 1, "win_rate", labels)
        yield Fit(
            data="responses",
            start="current",
            produces="current",
            anchors=self._penalty(),
            loss=PolicyGradient(1.0 if fitted else self.regularization, baseline=0.0),
            gradient_steps=1,
            optimizer="continued",
        )

    def _penalty(self) -> dict[str, float]:
        """Anchors whose log-ratio is log pi / ref, or with a fitted reward tau log pi / ref - r.

        On policy, log pi - (1 - tau) log pi - tau log ref - log reward / ref is the latter.
        """
        if self.reward == "oracle":
            return {"reference": 1.0}
        tau = self.regularization
        return {"current": 1.0 - tau, "reference": tau - 1.0, "reward": 1.0}

    def learning_rate(self, actions: int, update: int) -> float | None:
        """The rate alpha N: the expected loss's gradient is -pi (A - pi.A)."""
        return self.step_size * actions
