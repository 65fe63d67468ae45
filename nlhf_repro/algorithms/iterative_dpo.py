"""Iterative DPO (the RLHF workflow of Dong et al., arXiv:2405.07863)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from nlhf_repro.interfaces import (
    Array,
    Collect,
    ExactState,
    Fit,
    FixedPoint,
    Game,
    ImpossibleSettingError,
    LabelKind,
    Phase,
    Responder,
    Tie,
)
from nlhf_repro.losses import LogisticPair
from nlhf_repro.updates import reference_state, softmax

GRADIENT_TOLERANCE = 1e-13
MAXIMUM_NEWTON_STEPS = 200


@final
@dataclass(frozen=True)
class IterativeDPO:
    """DPO's logistic loss on fresh pairs of the current policy, iteration by iteration.

    Loss: E over pairs from pi_t of -log sigmoid(beta * gap of log pi / anchor) on the preferred
    side; beta = `regularization`. The anchor is the reference (`anchor: reference`, the paper) or
    pi_t (`anchor: previous`, the released scripts, which do not do what the paper says). Update:
    the minimiser of the expected loss, found by damped Newton.

    Guarantee: where preferences are Bradley-Terry and the anchor is the reference, one update
    reaches pi proportional to ref exp(score / beta), whatever the policy that sampled the pairs. On
    other preferences the minimiser depends on the sampling policy and nothing is proven.

    Departures: `labels: score` with `design: best_worst` is the paper's recipe (8 scores of a
    reward model a prompt); the default asks the oracle for one comparison of two responses.
    """

    regularization: float
    responses: int
    design: Literal["unfiltered", "all_pairs", "best_worst"]
    labels: LabelKind
    anchor: Literal["reference", "previous"]
    gradient_steps: int | None

    def __post_init__(self) -> None:
        if self.regularization <= 0:
            raise ImpossibleSettingError(
                f"algorithm.regularization = {self.regularization} of iterative DPO must be "
                "positive: it is the inverse temperature of the loss."
            )
        if self.responses < 2 or (self.design == "unfiltered" and self.responses != 2):
            raise ImpossibleSettingError(
                f"algorithm.responses = {self.responses} does not fit algorithm.design = "
                f"{self.design}: unfiltered takes 2 and the others at least 2."
            )
        if self.labels == "score" and self.design != "best_worst":
            raise ImpossibleSettingError(
                f"algorithm.labels = score with algorithm.design = {self.design}: scores order "
                "responses but are no preference, so set design to best_worst."
            )

    @property
    def fixed_point(self) -> FixedPoint:
        """The Bradley-Terry optimum with the reference as the anchor, none with a moving one."""
        return "bradley_terry_optimum" if self.anchor == "reference" else "none"

    @property
    def tie(self) -> Tie:
        """Minimiser for independent pairs, none for selected ones."""
        if self.design != "best_worst":
            return Tie("minimiser")
        return Tie("none", "the best and the worst are not independent draws from pi_t")

    @property
    def preference_evaluations(self) -> int:
        """One evaluation of P under the policy."""
        return 1

    def initial_state(self, game: Game) -> ExactState:
        """The reference policy."""
        return reference_state(game)

    def exact_update(self, state: ExactState, game: Game) -> ExactState:
        """The minimiser of the expected loss over all policies.

        Raises:
            ImpossibleSettingError: The pairs are selected, or `logistic_regression` refuses.
        """
        if self.design == "best_worst":
            raise ImpossibleSettingError(
                "algorithm.design = best_worst of iterative DPO has no exact update: set "
                "training.face=sampled or algorithm.design=unfiltered."
            )
        anchor = game.log_reference if self.anchor == "reference" else state.log_policy
        utility = logistic_regression(game.preference_matrix, state.policy)
        logits, policy = softmax(anchor + utility / self.regularization)
        return ExactState(logits, policy, state.updates + 1)

    def phases(self, iteration: int) -> Iterator[Phase]:
        """Pairs from pi_t, then the logistic regression from pi_t."""
        responder = Responder({"current": 1.0})
        yield Collect("pairs", responder, self.responses, self.design, self.labels)
        yield Fit(
            data="pairs",
            start="current",
            produces="current",
            anchors={"reference" if self.anchor == "reference" else "current": 1.0},
            loss=LogisticPair(self.regularization),
            gradient_steps=self.gradient_steps,
            optimizer="fresh",
        )

    def learning_rate(self, actions: int, update: int) -> float | None:
        """None: the tie is the minimiser."""
        return None


def logistic_regression(preference_matrix: Array, policy: Array) -> Array:
    """The Bradley-Terry utilities u that fit P best when pairs are drawn from `policy`.

    Minimises sum_{y != y'} pi(y) pi(y') [-P(y > y') log sigmoid(u_y - u_y')], the population loss
    of DPO in u = beta log pi / anchor; [games, actions], mean 0 a game. Damped Newton in
    coordinates scaled by the Hessian's diagonal, to a gradient of 1e-13 of a response's
    probability.

    Raises:
        ImpossibleSettingError: Where a preference is 0 or 1, so that the optimum lies at infinity,
        or
            where rounding keeps Newton from the tolerance (a policy close to one action).
    """
    off_diagonal = ~np.eye(policy.shape[-1], dtype=bool)
    extreme = ((preference_matrix <= 0) | (preference_matrix >= 1)) & off_diagonal
    if extreme.any():
        game, first, second = (int(index) for index in np.argwhere(extreme)[0])
        raise ImpossibleSettingError(
            f"preference_matrix[{game}, {first}, {second}] is 0 or 1, where DPO's optimum lies at "
            "infinity: use an oracle without certain preferences (oracle_wrapper=[noisy])."
        )
    utility = np.zeros_like(policy)
    share = policy[..., None, :] * off_diagonal  # the other response of a pair
    loss = _pair_loss(preference_matrix, policy, share, utility)
    for _ in range(MAXIMUM_NEWTON_STEPS):
        gradient, step = _newton_step(preference_matrix, policy, share, utility)
        if np.abs(gradient).max() <= GRADIENT_TOLERANCE:
            return utility
        scale = np.ones((policy.shape[0], 1))
        for _ in range(50):
            candidate = utility + scale * step
            candidate_loss = _pair_loss(preference_matrix, policy, share, candidate)
            worse = candidate_loss > loss * (1 + 4e-16)
            if not worse.any():
                break
            scale[worse] /= 2
        utility, loss = candidate - candidate.mean(axis=-1, keepdims=True), candidate_loss
    raise ImpossibleSettingError(
        f"DPO's population minimiser was not reached (gradient {np.abs(gradient).max():.1e} after "
        f"{MAXIMUM_NEWTON_STEPS} Newton steps): raise algorithm.regularization, so that the policy "
        "keeps its support."
    )


def _pair_loss(preference_matrix: Array, policy: Array, share: Array, utility: Array) -> Array:
    gap = utility[..., :, None] - utility[..., None, :]
    pair = policy[..., :, None] * share * preference_matrix * np.logaddexp(0.0, -gap)
    total: Array = pair.sum(axis=(-2, -1))
    return total


def _newton_step(
    preference_matrix: Array, policy: Array, share: Array, utility: Array
) -> tuple[Array, Array]:
    gap = utility[..., :, None] - utility[..., None, :]
    fitted = 0.5 * (1.0 + np.tanh(0.5 * gap))
    gradient = (share * (fitted - preference_matrix)).sum(axis=-1)  # divided by pi(y)
    weight = share * fitted * (1.0 - fitted)
    degree = weight.sum(axis=-1)
    # Rows are divided by pi(y): D - W with the null direction of constants filled in.
    laplacian = -weight
    diagonal = np.arange(policy.shape[-1])
    laplacian[..., diagonal, diagonal] += degree
    laplacian += degree[..., :, None] * policy[..., None, :]
    step: Array = -np.linalg.solve(laplacian, gradient[..., None])[..., 0]
    return gradient, step
