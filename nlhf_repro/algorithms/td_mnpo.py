"""TD-MNPO, MNPO with past policies as its players (arXiv:2509.23102, Eq. 17)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

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
from nlhf_repro.losses import SquaredPair
from nlhf_repro.updates import check_step, mirror_step, softmax, win_rates


@final
@dataclass(frozen=True)
class TDMNPO:
    """Mirror descent anchored at the reference and at a weighted mean of the last policies.

    Update: log pi_{t+1} = (1 - alpha tau) sum_j lambda_j log pi_{t-j} + alpha tau log ref + alpha
    P(y > pi_t) + const, alpha = `step_size` = 1 / eta of the paper, alpha tau its ratio, tau =
    `regularization`; lambda are the first `history_weights` (the current policy's first), as many
    as there are policies so far, normalized to sum to 1. Loss: E over pairs from pi_t of (h - alpha
    (answer - 1/2))^2, h the gap of log pi less the anchors' part above. One weight is INPO.

    Guarantee: none known to us for more than one weight. Fixed point: the regularized Nash.

    Improvement: the first opponent and the only policy so far is ref, and pi_1, proportional to ref
    exp(alpha P(y > ref)), weights ref by an increasing function of the win rate.

    Departures: the weights act. In the released code the configuration defines `weights` while the
    trainer reads `history_weights`, so that as far as its source shows it trains with equal weights
    over the available history, which is the default here ([0.5, 0.5]: two models at most).
    """

    step_size: float
    regularization: float
    history_weights: tuple[float, ...]
    labels: Literal["probability", "bernoulli"]
    gradient_steps: int | None

    def __post_init__(self) -> None:
        check_step("TD-MNPO", self.step_size, self.regularization)
        weights = np.array(self.history_weights, dtype=np.float64)
        proper = np.isfinite(weights).all() and (weights >= 0).all()
        if weights.size == 0 or not proper or weights[0] == 0:
            raise ImpossibleSettingError(
                f"algorithm.history_weights = {list(self.history_weights)} of TD-MNPO must be "
                "finite, at least 0, and positive for the current policy, which comes first and is "
                "all the history of the first update: change them."
            )

    @property
    def fixed_point(self) -> FixedPoint:
        """Regularized Nash; every full-support Nash equilibrium without regularization."""
        return "regularized_nash" if self.regularization else "nash"

    @property
    def tie(self) -> Tie:
        """The exact update minimises the expected loss."""
        return Tie("minimiser")

    @property
    def preference_evaluations(self) -> int:
        """One P @ pi_t."""
        return 1

    @property
    def _past(self) -> list[str]:
        return [f"previous_{back}" for back in range(1, len(self.history_weights))]

    def _shares(self, updates: int) -> list[float]:
        """lambda_j of the policies that exist after so many updates; they sum to 1."""
        available = np.array(self.history_weights[: updates + 1], dtype=np.float64)
        shares: list[float] = (available / available.sum()).tolist()
        return shares

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy; the places of past policies hold it until they exist."""
        memory = dict.fromkeys(self._past, game.log_reference)
        return ExactState(*softmax(game.log_reference), memory=memory)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """Eq. 17's minimiser in closed form."""
        history = [state.log_policy, *(state.memory[name] for name in self._past)]
        shares = self._shares(state.updates)
        centre = sum((w * each for w, each in zip(shares, history, strict=False)), 0.0 * history[0])
        reward = win_rates(game, state.policy)
        logits, policy = mirror_step(
            centre, reward, game.log_reference, self.step_size, self.regularization
        )
        memory = dict(zip(self._past, history[:-1], strict=True))
        return ExactState(logits, policy, state.updates + 1, memory)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Pairs from pi_t, the regression anchored at reference and history, which then moves."""
        pull = self.step_size * self.regularization
        names = ["current", *self._past]
        shares = zip(names, self._shares(iteration), strict=False)
        history = {name: (1.0 - pull) * share for name, share in shares}
        yield Collect("pairs", Responder({"current": 1.0}), 2, "unfiltered", self.labels)
        yield Fit(
            data="pairs",
            start="current",
            produces="next",
            anchors={"reference": pull} | history,
            loss=SquaredPair(scale=self.step_size),
            gradient_steps=self.gradient_steps,
            optimizer="fresh",
        )
        for older, newer in reversed(list(zip(self._past, names, strict=False))):
            yield Advance(older, newer)
        yield Advance("current", "next")

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
