"""How good a learned preference is on comparisons that it was not learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nlhf_repro.games import cycle_share, hodge_decomposition
from nlhf_repro.interfaces import Array
from nlhf_repro.seeds import generator_for
from nlhf_repro.uncertainty import (
    bounded_interval,
    cluster_totals,
    estimate,
    proportion,
    weighted_ratio,
)

_LEAST = 1e-12  # of a probability in a log-loss or a logit
_CALIBRATED_DRAWS = 200


@final
@dataclass(frozen=True)
class Measure:
    """A mean with its interval, clustered by prompt; of one fit, so that a further seed differs."""

    value: float
    lower: float
    upper: float
    prompts: int
    note: str


@final
@dataclass(frozen=True)
class Bin:
    """Predictions of a bin: how many, their mean, and the share of answers for the first."""

    lowest: float
    highest: float
    count: int
    predicted: float
    answered: float


@final
@dataclass(frozen=True)
class HeldOut:
    """Answers [items] to held-out comparisons, and predictions in both orders.

    `shown` is the P(first preferred) of the pair as it stands, `exchanged` the P(second preferred)
    of the exchanged pair: a learner without position bias has shown + exchanged = 1. `prompts`
    [items] number the prompts from 0.
    """

    answers: Array
    shown: Array
    exchanged: Array
    prompts: NDArray[np.int64]

    @property
    def predicted(self) -> Array:
        """The mean over both orders, which an oracle answers with."""
        return np.asarray((self.shown + 1 - self.exchanged) / 2)


def quality(held_out: HeldOut, bins: int) -> dict[str, Any]:
    """Accuracy, log-loss and calibration, each as a `Measure`.

    accuracy: share of the answers that the prediction agrees with, a tie counting half; an answer
    between 0 and 1 is a share of answers. log_loss: of the predictions, in nats.
    calibration_error: see `calibration`; `_if_calibrated`, what it would read if they were true.
    """
    predicted, answers = held_out.predicted, held_out.answers
    right = np.where(predicted == 0.5, 0.5, np.where(predicted > 0.5, answers, 1 - answers))
    sure = np.clip(predicted, _LEAST, 1 - _LEAST)
    losses = -(answers * np.log(sure) + (1 - answers) * np.log(1 - sure))
    error, table = calibration(held_out, bins)
    return {
        "accuracy": _over_items(right, held_out.prompts, (0.0, 1.0)),
        "log_loss": _over_items(losses, held_out.prompts, None),
        "calibration_error": error,
        "calibration_error_if_calibrated": _if_calibrated(held_out, bins),
        "reliability": [asdict(each) for each in table],
    }


def position(held_out: HeldOut) -> dict[str, Measure]:
    """What the order of the responses changes.

    position_bias: mean of (shown + exchanged - 1) / 2, how much more often the first place is
    preferred than it should, in [-1/2, 1/2]. position_inconsistency: mean |shown + exchanged - 1|.
    """
    lean = held_out.shown + held_out.exchanged - 1
    return {
        "position_bias": _over_items(lean / 2, held_out.prompts, (-0.5, 0.5)),
        "position_inconsistency": _over_items(np.abs(lean), held_out.prompts, (0.0, 1.0)),
    }


def calibration(held_out: HeldOut, bins: int) -> tuple[Measure, list[Bin]]:
    """The expected calibration error over `bins` bins of equal mass, and the reliability table.

    sum over bins of share * |mean prediction - mean answer|. Every comparison counts in both
    orders, as P and 1 - P, since nothing but the file decides which response is first. Equal
    predictions may fall into two bins. The interval takes the bins and the signs of their
    differences as fixed; the error is biased upward, since noise in a bin counts as error: it reads
    `_if_calibrated` where there is none.
    """
    predicted, answers, prompts = _both_orders(held_out)
    groups = _groups(predicted, bins)
    table, signed = [], np.zeros(len(predicted))
    for rows in groups:
        gap = predicted[rows].mean() - answers[rows].mean()
        signed[rows] = np.sign(gap) * (predicted[rows] - answers[rows])
        ends = float(predicted[rows].min()), float(predicted[rows].max())
        means = float(predicted[rows].mean()), float(answers[rows].mean())
        table.append(Bin(*ends, len(rows), *means))
    return _over_items(signed, prompts, (0.0, 1.0)), table


def cycles(matrices: Sequence[Array]) -> dict[str, Any] | None:
    """What no reward can say of preferences [responses, responses] among responses to prompts.

    cycle_share: share of the triples of a prompt's responses that are majority cycles.
    cyclic_part: share of the squared log-odds that no ranking explains (Hodge). Every prompt counts
    once; those with fewer than three responses not. None where no prompt has three.
    """
    kept = [matrix for matrix in matrices if len(matrix) >= 3]
    if not kept:
        return None
    shares = np.array([float(cycle_share(matrix)) for matrix in kept])
    inside = [np.clip(matrix, _LEAST, 1 - _LEAST) for matrix in kept]
    parts = np.array([float(hodge_decomposition(matrix).cyclic_share) for matrix in inside])
    return {
        "cycle_share": _measure(shares, (0.0, 1.0)),
        "cyclic_part": _measure(parts, (0.0, 1.0)),
    }


def against_truth(
    held_out: HeldOut, truth: Array, learned: Sequence[Array], true: Sequence[Array]
) -> dict[str, Any]:
    """The error of a learned preference where the true one is known.

    absolute_error: mean |P - P_true|; agreement: share of the comparisons of which both prefer the
    same response; one of which either says 1/2 counts half. rank_correlation: of Kendall (tau-b)
    between the mean preferences of a prompt's
    responses over the others, learned and true; every prompt with three responses and without ties
    of all of them counts once.
    """
    from scipy.stats import kendalltau

    same = (1 + np.sign(held_out.predicted - 0.5) * np.sign(truth - 0.5)) / 2
    pairs = [
        (found.mean(axis=1), there.mean(axis=1))
        for found, there in zip(learned, true, strict=True)
        if len(there) >= 3
    ]
    ranks = np.array([float(kendalltau(*pair).statistic) for pair in pairs])
    ranks = ranks[np.isfinite(ranks)]
    return {
        "absolute_error": _over_items(
            np.abs(held_out.predicted - truth), held_out.prompts, (0.0, 1.0)
        ),
        "agreement": _over_items(same, held_out.prompts, (0.0, 1.0)),
        "rank_correlation": _measure(ranks, (-1.0, 1.0)) if len(ranks) else None,
    }


def numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """The names as numbers from 0, equal ones alike, in the order in which they first appear."""
    places: dict[str, int] = {}
    return np.array([places.setdefault(name, len(places)) for name in names], dtype=np.int64)


def _both_orders(held_out: HeldOut) -> tuple[Array, Array, NDArray[np.int64]]:
    predicted, answers = held_out.predicted, held_out.answers
    return (
        np.concatenate([predicted, 1 - predicted]),
        np.concatenate([answers, 1 - answers]),
        np.concatenate([held_out.prompts, held_out.prompts]),
    )


def _groups(predicted: Array, bins: int) -> list[NDArray[np.int64]]:
    """Rows of every bin, in the order of their predictions; no bin is empty."""
    order = np.argsort(predicted, kind="stable")
    return [rows for rows in np.array_split(order, bins) if len(rows)]


def _if_calibrated(held_out: HeldOut, bins: int) -> float | None:
    """What the calibration error would read on average if the predictions were true.

    Over drawn answers; None where an answer is no draw, but a probability.
    """
    if not np.isin(held_out.answers, (0.0, 1.0)).all():
        return None
    predicted, count = held_out.predicted, len(held_out.answers)
    groups = _groups(np.concatenate([predicted, 1 - predicted]), bins)
    stream = generator_for("preferences", "calibrated")
    total = 0.0
    for _ in range(_CALIBRATED_DRAWS):
        drawn = (stream.random(count) < predicted).astype(np.float64)
        off = np.concatenate([predicted - drawn, drawn - predicted])
        total += sum(abs(off[rows].sum()) for rows in groups) / (2 * count)
    return total / _CALIBRATED_DRAWS


def _over_items(
    values: Array, prompts: NDArray[np.int64], bounds: tuple[float, float] | None
) -> Measure:
    """The mean over items, of which a prompt's depend on each other."""
    totals = cluster_totals(values, np.ones(len(values)), prompts)
    return _measure(weighted_ratio(*totals), bounds)


def _measure(clusters: Array, bounds: tuple[float, float] | None) -> Measure:
    """One value a prompt; where all are at one end of the range, Wilson's for that many prompts.

    Equal values have no spread, and an interval of no width would claim what they do not show.
    """
    if bounds is not None and len(clusters) > 1 and set(clusters.tolist()) in ({x} for x in bounds):
        share = proportion(clusters[None] == bounds[1])
        lower, upper = (bounds[0] + (bounds[1] - bounds[0]) * x for x in (share.lower, share.upper))
        return Measure(float(clusters[0]), lower, upper, len(clusters), share.note)
    found = estimate(clusters[None])
    ends = (found.lower, found.upper) if bounds is None else bounded_interval(found, *bounds)
    return Measure(found.estimate, ends[0], ends[1], found.clusters, found.note)


def plain(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report with every measure as a mapping, for JSON."""
    return {
        key: asdict(value)
        if isinstance(value, Measure)
        else plain(value)
        if isinstance(value, Mapping)
        else value
        for key, value in report.items()
    }
