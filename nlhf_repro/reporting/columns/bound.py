"""Measured values against what the papers' theorems promise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from nlhf_repro.interfaces import Array, RowRecord
from nlhf_repro.reporting import theorems
from nlhf_repro.reporting.cells import Cell, RefusedCell
from nlhf_repro.reporting.numbers import plain
from nlhf_repro.reporting.series import own_label, series, singular

Bound = Literal["inpo_last_iterate_kl", "log_ratio", "inpo_average_gap"]

LARGEST_LOG_RATIO = "log_ratio_to_reference"
REFERENCE_DIVERGENCE = "reference_divergence"

SCALE = "C = max(B tau, 1), B the largest recorded |log pi / pi_ref| of the run"
STATEMENTS: dict[Bound, str] = {
    "inpo_last_iterate_kl": "32 C^2 / (tau^2 (T + 1)), T = updates + 1, for exact updates with "
    f"step 2 / (tau (t + 2)) (INPO, Theorem 4); {SCALE}",
    "log_ratio": "1 / tau, for exact INPO with steps of at most 1 / tau",
    "inpo_average_gap": "C sqrt(D / T), T = updates (INPO, Theorem 3, which proves this up to a "
    f"constant that it does not state: printed is the constant that the runs imply); {SCALE}; "
    "D = max_pi KL(pi || pi_ref)",
}


@final
@dataclass(frozen=True)
class RatioToBound:
    """Largest ratio of a value to its theoretical bound, over games, seeds and recorded updates.

    B is the largest recorded log_ratio_to_reference (last iterate) of a run, C = max(B tau, 1),
    and D the record reference_divergence. Bounds are for exact updates, so other rows are refused.

    Attributes:
        header: The column's title.
        benchmark: What the bound is about.
        iterate: last or average.
        bound: inpo_last_iterate_kl, log_ratio or inpo_average_gap; the last at the end of training
            only, because its step is chosen for one T.
        rows: Labels (without the point of a grid) of the rows whose steps are the theorem's; the
            others print "no bound claimed".
    """

    header: str
    benchmark: str
    iterate: str
    bound: Bound
    rows: tuple[str, ...]

    def cell(self, row: RowRecord, confidence: float) -> Cell:
        """0.012, holds."""
        if not row.deterministic:
            raise RefusedCell("refused: the bound is for exact updates")
        if own_label(row) not in self.rows:
            return Cell("no bound claimed")
        if row.regularization == 0:
            raise RefusedCell("no bound at regularization 0")
        values = series(row, self.benchmark, self.iterate)
        ratios = ratio_to_bound(row, values, self.bound)
        largest = float(ratios.max())
        broken = int((ratios > 1).any(axis=(0, -1)).sum())
        verdict = (
            "holds" if not broken else f"violated in {broken} of {ratios.shape[1]} {row.clusters}"
        )
        stated = self.bound != "inpo_average_gap"
        return Cell(
            f"{plain(largest)}, {verdict}" if stated else plain(largest),
            largest,
            seeds=values.shape[0],
            clusters=values.shape[1],
            level="exact",
        )

    def explanation(self, confidence: float, clusters: str = "games") -> str:
        """The bound."""
        when = "at the end" if self.bound == "inpo_average_gap" else "and recorded update from 1 on"
        return (
            f"largest {self.benchmark} ({self.iterate} iterate) of any "
            f"{singular(clusters)} {when}, no interval, over {STATEMENTS[self.bound]}"
        )


def ratio_to_bound(row: RowRecord, values: Array, bound: Bound) -> Array:
    """Values over their bound at the updates that it speaks of, [seeds, games, points].

    Raises:
        RefusedCell: a record that the bound needs is absent.
    """
    trained = row.updates >= 1
    updates, measured, tau = row.updates[trained], values[..., trained], row.regularization
    if not trained.any():
        raise RefusedCell("no update recorded")
    if bound == "log_ratio":
        return np.asarray(measured / theorems.log_ratio(updates, tau))
    largest = _needed(row, LARGEST_LOG_RATIO).max(axis=-1, keepdims=True)
    scale = theorems.log_ratio_scale(largest, tau)
    if bound == "inpo_last_iterate_kl":
        return np.asarray(measured / theorems.last_iterate_kl(updates, tau, scale))
    divergence = _needed(row, REFERENCE_DIVERGENCE)[..., -1:]
    return theorems.average_gap_constant(measured[..., -1:], updates[-1:], scale, divergence)


def _needed(row: RowRecord, benchmark: str) -> Array:
    if f"{benchmark}/last" not in row.values:
        raise RefusedCell(f"the bound needs benchmark {benchmark}")
    return series(row, benchmark, "last")
