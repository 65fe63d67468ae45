"""Phases that several algorithms share."""

from __future__ import annotations

from collections.abc import Iterator

from nlhf_repro.interfaces import Collect, Fit, LabelKind, Phase, Responder
from nlhf_repro.losses import SquaredPair

UNIFORM = Responder({"current": 1.0}, temperature=float("inf"))


def uniform_pair_step(
    opponent: Responder, produces: str, regularization: float, labels: LabelKind
) -> Iterator[Phase]:
    """One gradient step from `current` on uniform pairs that meet a response of the opponent.

    Loss: E of (gap of log pi / ref - (P(y > y'') - P(y' > y'')) / tau)^2, y and y' uniform, y''
    from the opponent. Two comparisons and three responses a group. For a softmax policy over N
    actions its gradient is (4 / N) (d - mean d), d = log pi / ref - P(. > opponent) / tau ("Online
    IPO 1" of the simulations of arXiv:2503.08942), so that plain gradient descent is online mirror
    descent.
    """
    yield Collect("pairs", UNIFORM, 2, "against", labels, opponent=(opponent,), opponents=1)
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
