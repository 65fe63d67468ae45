"""MNPO, multiplayer Nash preference optimization (arXiv:2509.23102, Eq. 10)."""

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
from nlhf_repro.phases import require_unregularized
from nlhf_repro.updates import check_step, softmax, win_rates


@final
@dataclass(frozen=True)
class MNPO:
    """Every player starts from the geometric mean of the others and plays against all of them.

    Update, for each of n = `players` at once: theta_i+ = mean over j != i of theta_j + alpha mean
    over j != i of P(y > pi_j), alpha = `step_size` = eta of Eq. 10; the policy that is reported is
    player 0's. Loss of player i (Eqs. 12-15): E over pairs from pi_i of (h - alpha (P(y > y'') -
    P(y' > y'')))^2, the win rates against a response of each other player, h the gap of log pi -
    mean over j != i of log pi_j.

    Guarantee: the average policy's gap is O(1 / sqrt(T)), for one oracle that all players share and
    steps of that order.
    Consequences (ours): players of one start stay identical and follow mwu; two exchange places
    at every update; three or more merge, their log-differences shrinking by 1 / (n - 1) but for the
    game's term.

    Of preference evaluations an exact update counts n, one a player, whose rates the others share;
    an expected one n (n - 1), as every player's pairs ask for the other players' anew.

    `start_spread` s starts player i at ref^(1 + s (i - (n - 1) / 2)), so that different starts can
    be studied on the exact face; the sampled faces start every player at the reference.

    Improvement: with `start_spread: 0` the first opponents are ref, and pi_1, proportional to ref
    exp(alpha P(y > ref)), weights ref by an increasing function of the win rate.

    Departures: tau, which the paper's game has, is absent from its Eq. 10 and from here. Win rates
    against fresh responses in place of the paper's hard labels have the same expected minimiser.
    """

    step_size: float
    players: int
    start_spread: float
    labels: Literal["probability", "bernoulli"]
    gradient_steps: int | None
    regularization: float

    def __post_init__(self) -> None:
        check_step("MNPO", self.step_size, 0.0)
        if self.players < 2:
            raise ImpossibleSettingError(
                f"algorithm.players = {self.players} of MNPO must be at least 2: every player "
                "needs another, so raise it."
            )
        if not 0 <= self.start_spread < np.inf:
            raise ImpossibleSettingError(
                f"algorithm.start_spread = {self.start_spread} of MNPO must be finite and at least "
                "0, where 0 starts every player at the reference: set it so."
            )
        require_unregularized("MNPO", self.regularization, instead="td_mnpo")

    @property
    def fixed_point(self) -> FixedPoint:
        """Every full-support Nash equilibrium, with all players at it."""
        return "nash"

    @property
    def tie(self) -> Tie:
        """Every player's update minimises its regression's expected loss."""
        return Tie("minimiser")

    @property
    def preference_evaluations(self) -> int:
        """One P @ pi_i a player."""
        return self.players

    @property
    def _names(self) -> list[str]:
        return ["current", *(f"player_{index}" for index in range(1, self.players))]

    def initial_state(self, game: Game) -> ExactState:
        """Player i at ref^(1 + s (i - (n - 1) / 2))."""
        centred = np.arange(self.players) - (self.players - 1) / 2
        starts = [(1.0 + self.start_spread * place) * game.log_reference for place in centred]
        memory = dict(zip(self._names[1:], starts[1:], strict=True))
        return ExactState(*softmax(starts[0]), memory=memory)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """Eq. 10 for all players at once."""
        others = [state.memory[name] for name in self._names[1:]]
        log_policies = np.stack([state.log_policy, *others])
        rewards = np.stack([win_rates(game, softmax(each)[1]) for each in log_policies])
        terms = log_policies + self.step_size * rewards
        moved = (terms.sum(axis=0) - terms) / (self.players - 1)
        players = [softmax(each) for each in moved]
        memory = {name: each[0] for name, each in zip(self._names[1:], players[1:], strict=True)}
        return ExactState(*players[0], state.updates + 1, memory)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Every player's pairs against all others and its regression; then all move at once."""
        if self.start_spread:
            raise ImpossibleSettingError(
                f"algorithm.start_spread = {self.start_spread} of MNPO starts players away from "
                "the reference, where trained policies start: set it to 0 or training.face=exact."
            )
        for player in self._names:
            others = [name for name in self._names if name != player]
            yield Collect(
                "pairs",
                Responder({player: 1.0}),
                2,
                "against",
                self.labels,
                opponent=tuple(Responder({name: 1.0}) for name in others),
                opponents=1,
            )
            yield Fit(
                data="pairs",
                start=player,
                produces=f"next_{player}",
                anchors=dict.fromkeys(others, 1.0 / len(others)),
                loss=SquaredPair(scale=self.step_size),
                gradient_steps=self.gradient_steps,
                optimizer="fresh",
            )
        for player in self._names:
            yield Advance(player, f"next_{player}")

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None
