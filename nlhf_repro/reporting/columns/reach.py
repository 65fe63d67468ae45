"""How long it takes until a threshold is reached."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import final

import numpy as np

from nlhf_repro.interfaces import Array, RowRecord
from nlhf_repro.reporting.cells import Cell
from nlhf_repro.reporting.numbers import exact_count
from nlhf_repro.reporting.series import Axis, axis_counts, axis_label, series
from nlhf_repro.uncertainty import CensoredTime, quantiles_with_censoring

QUARTILES = (0.5, 0.25, 0.75)


@final
@dataclass(frozen=True)
class UpdatesToReach:
    """Median and quartiles over the runs of the first recorded point at or below a threshold.

    Attributes:
        header: The column's title.
        benchmark: Any benchmark.
        iterate: last or average.
        threshold: In the benchmark's unit.
        axis: updates, comparisons or preference_evaluations.
    """

    header: str
    benchmark: str
    iterate: str
    threshold: float
    axis: Axis

    def cell(self, row: RowRecord, confidence: float) -> Cell:
        """120 [85, > 5000]: > T where the runs ended at T before."""
        values = series(row, self.benchmark, self.iterate)
        counts = axis_counts(row, self.axis)
        times = first_reached(values, counts, self.threshold)
        median, low, high = quantiles_with_censoring(times.ravel(), float(counts[-1]), QUARTILES)
        return Cell(
            _text(median) if low == high else f"{_text(median)} [{_text(low)}, {_text(high)}]",
            median.value,
            seeds=times.shape[0],
            clusters=times.shape[1],
        )

    def explanation(self, confidence: float, clusters: str = "games") -> str:
        """What the number is."""
        return (
            f"{axis_label(self.axis)} until the first recorded point with {self.benchmark} "
            f"({self.iterate} iterate) at or below {self.threshold:g}: median [quartiles] of the "
            "runs, descriptive; > T: not within the T of the run"
        )


def first_reached(values: Array, counts: Array, threshold: float) -> Array:
    """Count at the first point at or below the threshold, [seeds, games]; infinity: none is."""
    reached = values <= threshold
    return np.where(reached.any(axis=-1), counts[reached.argmax(axis=-1)], inf)


def _text(time: CensoredTime) -> str:
    return f"> {exact_count(time.censored_at)}" if time.censored else exact_count(time.value)
