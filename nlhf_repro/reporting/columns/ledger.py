"""What training had cost at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.cells import Cell
from nlhf_repro.reporting.numbers import exact_count
from nlhf_repro.reporting.series import Axis, axis_counts, axis_label


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

    def explanation(self, confidence: float) -> str:
        """What the number is."""
        return f"{axis_label(self.axis)} of a training problem at the end of training, exact"
