"""INPO, iterative Nash policy optimization (Zhang et al., arXiv:2407.00617)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

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
from nlhf_repro.regressions import squared_utility
from nlhf_repro.selection import selected_law
from nlhf_repro.updates import (
    StepSize,
    check_step,
    effective_step,
    mirror_step,
    reference_state,
    win_rates,
)

FAITHFUL_DESIGNS = ("unfiltered", "all_pairs")


@final
@dataclass(frozen=True)
class INPO:
    """Online mirror descent on the regularized preference game (Eq. 5), learned from pairs (Eq. 8).

    Update: pi_{t+1} proportional to pi_t^(1 - alpha tau) ref^(alpha tau) exp(alpha P(y > pi_t)),
    with alpha = `step_size` = 1 / eta of the paper and tau = `regularization` (0: "INPO without
    KL", MWU). Loss: E over pairs from pi_t of (h - alpha (answer - 1/2))^2, where h is the gap over
    the pair of log pi - alpha tau log ref - (1 - alpha tau) log pi_t.

    Guarantee: with |log pi / ref| <= B and C = max(B tau, 1), the average iterate's regularized
    duality gap is O(C sqrt(D / T)) for eta = C sqrt(T / D) (Theorem 3), and with eta_t = tau (t +
    2) / 2 (`step_size: harmonic`) the last iterate has KL(pi*, pi_T) <= 32 C^2 / (tau^2 (T + 1))
    (Theorem 4), both for exact minimization.

    Improvement: with independent pairs the first update tilts the reference by P(y > ref), and a
    tilt exp(alpha f) never lowers the mean of f, so P(pi_1 > ref) >= 1/2.

    Departures: the paper's experiments select pairs by a tournament of 8 responses; selected pairs
    (`design: best_worst`, `tournament`) are not independent draws from pi_t, so Proposition 6 and
    the guarantees do not hold for them: the update is then the minimiser of their own loss, which
    is no mirror descent. On a random five-action game (step 0.3, first update, total variation) Eq.
    5 moves 0.0183; the best and worst of 4 end 0.0083 from it with drawn answers and 0.0102 with
    probabilities, the tournament 0.0131 and 0.0116 (the best and worst of 2 drawn answers are Eq. 5
    itself). The default here is Algorithm 1, two unfiltered responses. `labels: probability` uses P
    itself in place of a draw of it: the same expected gradient with less variance.
    """

    step_size: StepSize
    regularization: float
    responses: int
    design: Literal["unfiltered", "all_pairs", "best_worst", "tournament"]
    labels: Literal["probability", "bernoulli"]
    gradient_steps: int | None

    def __post_init__(self) -> None:
        check_step("INPO", self.step_size, self.regularization)
        needed = {"unfiltered": (2, 2), "tournament": (8, 8)}.get(self.design, (2, 1024))
        if not needed[0] <= self.responses <= needed[1]:
            wanted = str(needed[0]) if needed[0] == needed[1] else f"at least {needed[0]}"
            raise ImpossibleSettingError(
                f"algorithm.responses = {self.responses} does not fit algorithm.design = "
                f"{self.design}, which takes {wanted}: change one of them."
            )

    @property
    def fixed_point(self) -> FixedPoint:
        """Regularized Nash, every full-support Nash without regularization; none if selected."""
        if self.design not in FAITHFUL_DESIGNS:
            return "none"
        return "regularized_nash" if self.regularization else "nash"

    @property
    def tie(self) -> Tie:
        """Minimiser: Eq. 5 for independent pairs (Proposition 6), of their own loss if selected."""
        return Tie("minimiser")

    @property
    def preference_evaluations(self) -> int:
        """One P @ pi_t, or one law of the selected pairs."""
        return 1

    def _step(self, updates: int) -> float:
        # The paper counts iterations from 1, and its pi_1 is the reference.
        return effective_step(self.step_size, self.regularization, updates + 1)

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """Eq. 5 in closed form, or the least squares of the selected pairs.

        Raises:
            ImpossibleSettingError: The law of the selected pairs is too large to enumerate, or does
                not connect all responses.
        """
        step = self._step(state.updates)
        if self.design in FAITHFUL_DESIGNS:
            reward = win_rates(game, state.policy)
        else:
            law = selected_law(game, state.policy, self.design, self.responses, self.labels)
            reward = squared_utility(law, 0.5)
        logits, policy = mirror_step(
            state.log_policy, reward, game.log_reference, step, self.regularization
        )
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Pairs from pi_t, then the regression anchored at the reference and at pi_t."""
        step = self._step(iteration)
        pull = step * self.regularization
        responder = Responder({"current": 1.0})
        yield Collect("pairs", responder, self.responses, self.design, self.labels)
        yield Fit(
            data="pairs",
            start="current",
            produces="current",
            anchors={"reference": pull, "current": 1.0 - pull},
            loss=SquaredPair(scale=step),
            gradient_steps=self.gradient_steps,
            optimizer="fresh",
        )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
