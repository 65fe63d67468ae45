"""SPPO, self-play preference optimization (Wu et al., arXiv:2405.00675)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from scipy.special import wrightomega

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
from nlhf_repro.losses import SquaredPoint
from nlhf_repro.phases import require_unregularized
from nlhf_repro.updates import mirror_step, reference_state, softmax, win_rates


@final
@dataclass(frozen=True)
class SPPO:
    """Multiplicative weights on the unregularized game (Eq. 4.3), learned response by response.

    Update, `normalizer: exact`: pi_{t+1} proportional to pi_t exp(alpha P(y > pi_t)), alpha =
    `step_size` = eta of the paper. Loss (Eq. 4.7): E_{y ~ pi_t} of (log pi / pi_t - alpha (win rate
    - 1/2))^2, which puts 1/2 in the place of the normalizer's logarithm; `normalizer: half` is the
    exact minimiser of that loss over normalized policies. The two agree to O(alpha^3) and part at
    the papers' alpha of 1000.

    Guarantee: with alpha of order 1 / sqrt(T) the average iterate's duality gap is O(1 / sqrt(T))
    (Theorem 4.1, exact normalizer). The last iterate cycles on cyclic games.

    Improvement: the first update tilts the reference by a rising function of P(y > ref) (either
    normalizer), which never lowers its mean, so P(pi_1 > ref) >= 1/2.

    `responses` K counts the opponents of a response besides itself, so K + 1 responses are drawn
    and K (K + 1) / 2 comparisons asked; K = 1 is Eq. 4.12. `self_comparison: true` is the released
    code: K responses, the win rate includes the response against itself at 1/2, and K = 1 cannot
    move.

    Departures: the paper trains on the best and worst of its five responses; here all are trained
    on, which is what the loss is derived for. The loss is a mean over responses (the paper's is a
    sum).
    """

    step_size: float
    responses: int
    self_comparison: bool
    labels: Literal["probability", "bernoulli"]
    normalizer: Literal["exact", "half"]
    gradient_steps: int | None
    regularization: float

    def __post_init__(self) -> None:
        if self.step_size <= 0:
            raise ImpossibleSettingError(
                f"algorithm.step_size = {self.step_size} of SPPO must be positive: set it above 0."
            )
        if self.responses < 1:
            raise ImpossibleSettingError(
                f"algorithm.responses = {self.responses} of SPPO must be at least 1: raise it."
            )
        require_unregularized("SPPO", self.regularization)

    @property
    def fixed_point(self) -> FixedPoint:
        """Every full-support Nash equilibrium, though the iterates need not approach it."""
        return "nash"

    @property
    def tie(self) -> Tie:
        """Minimiser with the constant 1/2; the exact normalizer is unknown to a sampled loss."""
        if self.normalizer == "half":
            return Tie("minimiser")
        return Tie("none", "the sampled loss uses 1/2 for the logarithm of the normalizer")

    @property
    def preference_evaluations(self) -> int:
        """One P @ pi_t."""
        return 1

    @property
    def shrinkage(self) -> float:
        """(K - 1) / K where the self-comparison pulls the win rate to 1/2, else 1."""
        return (self.responses - 1) / self.responses if self.self_comparison else 1.0

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The closed form (exact normalizer), or the minimiser of Eq. 4.7 (constant 1/2)."""
        reward = self.shrinkage * (win_rates(game, state.policy) - 0.5)
        if self.normalizer == "exact":
            logits, policy = mirror_step(
                state.log_policy, reward, game.log_reference, self.step_size, 0.0
            )
        else:
            log_ratio = half_normalized_log_ratio(state.policy, self.step_size * reward)
            logits, policy = softmax(state.log_policy + log_ratio)
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """A group from pi_t with all its comparisons, then the regression anchored at pi_t."""
        if self.normalizer == "exact":
            raise ImpossibleSettingError(
                "algorithm.normalizer = exact of SPPO is unknown to a sampled loss: set "
                "algorithm.normalizer=half or training.face=exact."
            )
        group = self.responses if self.self_comparison else self.responses + 1
        yield Collect(
            "responses",
            Responder({"current": 1.0}),
            group,
            "win_rate",
            self.labels,
            self_comparison=self.self_comparison,
        )
        yield Fit(
            data="responses",
            start="current",
            produces="current",
            anchors={"current": 1.0},
            loss=SquaredPoint(scale=self.step_size),
            gradient_steps=self.gradient_steps,
            optimizer="fresh",
        )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None


def half_normalized_log_ratio(policy: Array, target: Array) -> Array:
    """The log-ratio r that minimises E_policy[(r - target)^2] subject to E_policy[exp(r)] = 1.

    Stationarity is r + m exp(r) = target with one multiplier m >= 0 a game (E_policy[target] = 0
    makes E_policy[exp(target)] >= 1), so r = target - omega(log m + target), omega the Wright
    function. log m is found by Newton's method inside a shrinking bracket; [games, actions].
    """
    low = np.full((*policy.shape[:-1], 1), -800.0)
    high = np.maximum(target.max(axis=-1, keepdims=True), 0.0) + 2.0
    excess = (policy * np.expm1(np.minimum(target, 1.0))).sum(axis=-1, keepdims=True)
    log_multiplier = np.clip(np.log(np.maximum(excess, 1e-300)), low, high)
    for _ in range(200):
        omega = wrightomega(log_multiplier + target)
        weight = policy * np.exp(target - omega)
        error = weight.sum(axis=-1, keepdims=True) - 1.0
        low, high = (
            np.where(error > 0, log_multiplier, low),
            np.where(error > 0, high, log_multiplier),
        )
        slope = -(weight * omega / (1.0 + omega)).sum(axis=-1, keepdims=True)
        newton = log_multiplier - error / np.minimum(slope, -1e-300)
        inside = (newton >= low) & (newton <= high)
        step = np.where(inside, newton, 0.5 * (low + high)) - log_multiplier
        log_multiplier = log_multiplier + step
        if (np.abs(error) <= 4e-16).all() or (np.abs(step) <= 1e-15 * np.abs(log_multiplier)).all():
            break
    result: Array = target - wrightomega(log_multiplier + target)
    return result
