"""DNO-Prct, the practical direct Nash optimization (Rosset et al., arXiv:2404.03715)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

from nlhf_repro.algorithms.iterative_dpo import IterativeDPO
from nlhf_repro.interfaces import ExactState, FixedPoint, Game, ImpossibleSettingError, Phase, Tie
from nlhf_repro.phases import require_unregularized


@final
@dataclass(frozen=True)
class DNOPrct:
    """Contrastive iterations on the best and the worst of K, anchored at pi_t (Algorithm 2).

    Update: pi_{t+1} proportional to pi_t exp(u / eta), eta = `inverse_temperature`; u are the
    Bradley-Terry utilities that fit the pairs (best, worst of K = `responses` of pi_t, ranked by
    their wins in the group) best. Loss (Eq. 13): E over those pairs of -log sigmoid(eta gap of log
    pi / pi_t). The same recipe as iterative DPO's with `design: best_worst` and `anchor: previous`.

    Guarantee: none for the practical form.

    Departures: a game has no gold answer, which the paper adds to every group. Its filter of large
    margins compares a judge's points on a six-point scale, for which wins in a group are no
    measure, so there is none. Its experiments rank by a listwise judge; here every pair of
    the group is compared once. Replay of old pairs is left out, and the last policy is reported, not the best on
    a validation set.
    """

    inverse_temperature: float
    responses: int
    labels: Literal["probability", "bernoulli"]
    gradient_steps: int | None
    regularization: float

    def __post_init__(self) -> None:
        require_unregularized("DNO-Prct", self.regularization)
        if self.inverse_temperature <= 0:
            raise ImpossibleSettingError(
                f"algorithm.inverse_temperature = {self.inverse_temperature} of DNO-Prct must be "
                "positive: set it above 0."
            )
        self._inner()

    def _inner(self) -> IterativeDPO:
        return IterativeDPO(
            regularization=self.inverse_temperature,
            responses=self.responses,
            design="best_worst",
            labels=self.labels,
            anchor="previous",
            gradient_steps=self.gradient_steps,
        )

    @property
    def fixed_point(self) -> FixedPoint:
        """None is known."""
        return "none"

    @property
    def tie(self) -> Tie:
        """Minimiser of the recipe's own loss, over the law of its selected pairs."""
        return self._inner().tie

    @property
    def preference_evaluations(self) -> int:
        """One law of the selected pairs."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return self._inner().initial_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The minimiser of the expected loss over all policies.

        Raises:
            ImpossibleSettingError: The pairs are too many to enumerate, or all wins point one way
                (`labels: probability` ranks without noise).
        """
        return self._inner().exact_update(state, game)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """A group from pi_t with all its comparisons, then the logistic regression."""
        return self._inner().phases(iteration)

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
