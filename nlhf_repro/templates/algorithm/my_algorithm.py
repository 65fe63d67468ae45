"""MyAlgorithm: say in a line what it is, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nlhf_repro.interfaces import (
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
from nlhf_repro.updates import check_step, mirror_step, reference_state, win_rates


@dataclass(frozen=True)
class MyAlgorithm:
    """Mirror descent against its own policy: a working start, to be changed.

    Update: pi_{t+1} proportional to pi_t^(1 - alpha tau) ref^(alpha tau) exp(alpha P(y > pi_t)),
    with alpha = `step_size` and tau = `regularization`.

    Loss: E over pairs from pi_t of (h - alpha (answer - 1/2))^2, where h is the gap over the pair
    of log pi - alpha tau log ref - (1 - alpha tau) log pi_t.

    Guarantee: what is proven, and where.

    Departures: what differs from the paper.
    """

    step_size: float
    regularization: float
    labels: Literal["probability", "bernoulli"]
    gradient_steps: int | None

    def __post_init__(self) -> None:
        # Refuse what has no meaning: one sentence, with the key and the remedy.
        check_step("MyAlgorithm", self.step_size, self.regularization)
        if self.regularization == 0:
            raise ImpossibleSettingError(
                "algorithm.regularization = 0 of MyAlgorithm must be positive: raise it."
            )

    @property
    def fixed_point(self) -> FixedPoint:
        """CHANGE: the point that an exact update leaves alone; "none" promises nothing."""
        return "regularized_nash"

    @property
    def tie(self) -> Tie:
        """CHANGE: "minimiser" of the loss, "gradient_step" on it, or "none" with a reason."""
        return Tie("minimiser")

    @property
    def preference_evaluations(self) -> int:
        """How often an exact update multiplies P by a policy."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy; what the algorithm remembers besides goes into `memory`."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """CHANGE: one population update of every game, [games, actions] to [games, actions]."""
        reward = win_rates(game, state.policy)
        logits, policy = mirror_step(
            state.log_policy, reward, game.log_reference, self.step_size, self.regularization
        )
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """CHANGE: the same update from data: what is collected, and what is fitted to it."""
        pull = self.step_size * self.regularization
        yield Collect("pairs", Responder({"current": 1.0}), 2, "unfiltered", self.labels)
        yield Fit(
            data="pairs",
            start="current",
            produces="current",
            anchors={"reference": pull, "current": 1.0 - pull},
            loss=SquaredPair(scale=self.step_size),
            gradient_steps=self.gradient_steps,
            optimizer="fresh",
        )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """The rate at which a gradient step is the exact update; None for other ties."""
        return None
