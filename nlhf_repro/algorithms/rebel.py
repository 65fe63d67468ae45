"""REBEL: regressing relative rewards (code of ZhaolinGao/REBEL)."""

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
    Phase,
    Responder,
    Tie,
)
from nlhf_repro.losses import SquaredPair
from nlhf_repro.phases import require_unregularized
from nlhf_repro.updates import check_step, game_scores, mirror_step, reference_state, win_rates


@final
@dataclass(frozen=True)
class REBEL:
    """Mirror descent on a reward, learned by regressing log-ratio gaps on reward differences.

    Update: pi_{t+1} proportional to pi_t exp(alpha r(y)), alpha = `step_size` = eta of the paper.
    With `labels: score` r is the oracle's Bradley-Terry reward, with probability or bernoulli r(y)
    = P(y > pi_t) and the algorithm is INPO with tau = 0. Loss: E over pairs from pi_t of (gap of
    log pi / pi_t - alpha (r(y) - r(y')))^2, where with preferences the answer less 1/2 stands for
    r(y) - r(y').

    Guarantee: none on games is known to us beyond multiplicative weights' with preferences; with a
    reward and exact regression the reward never falls and the policy tends to its maximiser.

    Improvement: the first update tilts the reference by P(y > ref), or by a score with which P(y >
    ref) rises, and a tilt by a rising function never lowers the mean: P(pi_1 > ref) >= 1/2.

    Departures: the released configuration takes rewards of a language model; games without scores
    need preferences, which the default asks for.
    """

    step_size: float
    labels: Literal["score", "probability", "bernoulli"]
    gradient_steps: int | None
    regularization: float

    def __post_init__(self) -> None:
        require_unregularized("REBEL", self.regularization)
        check_step("REBEL", self.step_size, 0.0)

    @property
    def fixed_point(self) -> FixedPoint:
        """Every full-support Nash equilibrium with preferences, none with a reward."""
        return "none" if self.labels == "score" else "nash"

    @property
    def tie(self) -> Tie:
        """Minimiser of the expected loss."""
        return Tie("minimiser")

    @property
    def preference_evaluations(self) -> int:
        """One P @ pi_t, none with scores."""
        return 0 if self.labels == "score" else 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The closed form of the class docstring.

        Raises:
            ImpossibleSettingError: Scores are asked of a game without.
        """
        logits, policy = mirror_step(
            state.log_policy, self._reward(state, game), game.log_reference, self.step_size, 0.0
        )
        return ExactState(logits, policy, state.updates + 1)

    def _reward(self, state: ExactState, game: Game) -> Array:
        return game_scores(game) if self.labels == "score" else win_rates(game, state.policy)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Pairs from pi_t, then the regression anchored at pi_t."""
        yield Collect("pairs", Responder({"current": 1.0}), 2, "unfiltered", self.labels)
        yield Fit(
            data="pairs",
            start="current",
            produces="current",
            anchors={"current": 1.0},
            loss=SquaredPair(scale=self.step_size),
            gradient_steps=self.gradient_steps,
            optimizer="fresh",
        )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
