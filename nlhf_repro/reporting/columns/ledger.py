"""What training had cost at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.cells import Cell
from nlhf_repro.reporting.numbers import exact_count
from nlhf_repro.reporting.series import Axis, axis_counts, axis_label, training_noun


@final
@dataclass(frozen=True)
class LedgerTotal:
    """The ledger's exact count at the end of training.

    Attributes:
        header: The column's title.
        axis: updates, comparisons or preference_evaluations.
    """

    header: str
    axis: Axis

    def cell(self, row: RowRecord, confidence: float) -> Cell:
        """40000."""
        total = float(axis_counts(row, self.axis)[-1])
        return Cell(exact_count(total), total)

    def explanation(self, confidence: float, clusters: str = "games") -> str:
        """What the number is."""
        return f"{axis_label(self.axis)} of a training problem at the end of training, exact"


@final
@dataclass(frozen=True)
class TuningTotal:
    """The comparisons that the search of the row's settings spent.

    Attributes:
        header: The column's title.
    """

    header: str

    def cell(self, row: RowRecord, confidence: float) -> Cell:
        """1280000; none for settings that no search chose."""
        if row.tuning is None:
            return Cell("none", 0.0)
        return Cell(exact_count(row.tuning.comparisons), float(row.tuning.comparisons))

    def explanation(self, confidence: float, clusters: str = "games") -> str:
        """What the number is."""
        return (
            f"comparisons a {training_noun(clusters)} that tuning the row spent on all trials, "
            "beside those of training; a failed trial counts with its whole budget"
        )
