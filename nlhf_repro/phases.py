"""Phases that several algorithms share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nlhf_repro.interfaces import (
    Collect,
    Fit,
    ImpossibleSettingError,
    LabelKind,
    PairLoss,
    Phase,
    Responder,
)
from nlhf_repro.losses import SquaredPair

UNIFORM = Responder({"current": 1.0}, temperature=float("inf"))


def uniform_pair_step(
    opponent: Responder, produces: str, regularization: float, labels: LabelKind, opponents: int
) -> Iterator[Phase]:
    """One gradient step from `current` on uniform pairs that meet responses of the opponent.

    Loss: E of (gap of log pi / ref - (P(y > y'') - P(y' > y'')) / tau)^2, y and y' uniform, y''
    from the opponent, the win rates being means over `opponents` fresh y''. A group asks 2
    `opponents` comparisons and draws 2 + `opponents` responses. For a softmax policy over N actions
    its gradient is (4 / N) (d - mean d), d = log pi / ref - P(. > opponent) / tau ("Online IPO 1"
    of the simulations of arXiv:2503.08942), so that plain gradient descent is online mirror
    descent.
    """
    yield Collect("pairs", UNIFORM, 2, "against", labels, (opponent,), opponents)
    yield Fit(
        data="pairs",
        start="current",
        produces=produces,
        anchors={"reference": 1.0},
        loss=SquaredPair(scale=1.0 / regularization),
        gradient_steps=1,
        optimizer="continued",
    )


def uniform_pair_learning_rate(step: float, regularization: float, actions: int) -> float:
    """The rate alpha tau N / 4 at which `uniform_pair_step` is a mirror step of size alpha."""
    return step * regularization * actions / 4


def require_opponents(name: str, opponents: int) -> None:
    """Raise ImpossibleSettingError where algorithm `name` meets fewer than one opponent."""
    if opponents < 1:
        raise ImpossibleSettingError(
            f"algorithm.opponents = {opponents} of {name} must be at least 1: raise it."
        )


def require_unregularized(name: str, regularization: float, instead: str = "inpo") -> None:
    """Raise ImpossibleSettingError where algorithm `name`, of the original game, gets a KL term.

    `instead` is the algorithm of the regularized game that the message points to.
    """
    if regularization != 0:
        raise ImpossibleSettingError(
            f"algorithm.regularization = {regularization} has no meaning for {name}, which plays "
            f"the unregularized game: leave it at 0 or use algorithm={instead}."
        )


def offline_regression(
    iteration: int,
    labels: LabelKind,
    loss: PairLoss,
    anchors: Mapping[str, float],
    gradient_steps: int | None,
) -> Iterator[Phase]:
    """Pairs of the reference, collected once, before the first step; then training goes on on them.

    One comparison and two responses a group, whatever the number of iterations.
    """
    if iteration == 0:
        yield Collect("pairs", Responder({"reference": 1.0}), 2, "unfiltered", labels)
    yield Fit("pairs", "current", "current", anchors, loss, gradient_steps, "continued")
