"""The largest value of any item and seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.cells import Cell
from nlhf_repro.reporting.numbers import plain
from nlhf_repro.reporting.series import At, at_text, check_at, point_note, singular, values_at


@final
@dataclass(frozen=True)
class Maximum:
    """Maximum of a benchmark over seeds and items: descriptive, so it has no interval.

    Attributes:
        header: The column's title.
        benchmark: Any benchmark.
        iterate: last or average.
        at: `last`, or one count such as {updates: 1000}.
    """

    header: str
    benchmark: str
    iterate: str
    at: At

    def __post_init__(self) -> None:
        """Refuse a point that is none."""
        check_at(self.at)

    def cell(self, row: RowRecord, confidence: float) -> Cell:
        """Max 3.1e-9."""
        values = values_at(row, self.benchmark, self.iterate, self.at)
        largest = float(values.max())
        return Cell(
            f"max {plain(largest)}",
            largest,
            seeds=values.shape[0],
            clusters=values.shape[1],
            note=point_note(row, self.at),
        )

    def explanation(self, confidence: float, clusters: str = "games") -> str:
        """What the number is."""
        return (
            f"largest {self.benchmark} ({self.iterate} iterate) of any seed and "
            f"{singular(clusters)} {at_text(self.at)}; descriptive, grows with their number, no "
            "interval"
        )
