"""Arithmetic means, and their differences between rows."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import final

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.cells import Cell, joined
from nlhf_repro.reporting.columns.levels import engine_note, games_share_nothing, level_of
from nlhf_repro.reporting.numbers import additive_interval
from nlhf_repro.reporting.series import (
    At,
    at_text,
    check_at,
    check_comparable,
    point_note,
    singular,
    values_at,
)
from nlhf_repro.uncertainty import Difference, difference, estimate


@final
@dataclass(frozen=True)
class MeanValue:
    """Arithmetic mean of a benchmark over seeds and items, with the engine's t interval.

    Attributes:
        header: The column's title.
        benchmark: Any benchmark whose values are of one order of magnitude.
        iterate: last or average.
        at: `last`, one count such as {updates: 1000}, or `all`: the mean over every update from the
            first on, as for regret in a changing world; all of them have to be recorded.
        across_regularization: Whether rows of different regularization may be compared.
    """

    header: str
    benchmark: str
    iterate: str
    at: At
    across_regularization: bool

    def __post_init__(self) -> None:
        """Refuse a point that is none."""
        check_at(self.at)

    def cell(self, row: RowRecord, confidence: float) -> Cell:
        """0.213 [0.190, 0.236]."""
        values = values_at(row, self.benchmark, self.iterate, self.at)
        mean = estimate(values, row.deterministic, confidence, games_share_nothing(row))
        return Cell(
            additive_interval(mean.estimate, mean.lower, mean.upper),
            mean.estimate,
            mean.lower,
            mean.upper,
            seeds=mean.seeds,
            clusters=mean.clusters,
            level=level_of(row, mean.level),
            note=joined(point_note(row, self.at), engine_note(mean)),
        )

    def explanation(self, confidence: float, clusters: str = "games") -> str:
        """What the number is."""
        return (
            f"mean of {self.benchmark} ({self.iterate} iterate) over seeds and {clusters} "
            f"{at_text(self.at)} [{confidence:.0%} t interval, {clusters} as clusters]"
        )

    def compare(
        self, row: RowRecord, baseline: RowRecord, matched: bool, confidence: float
    ) -> Cell:
        """The row's mean minus the baseline's, paired by item."""
        result = self.difference(row, baseline, matched, confidence)
        exact = row.deterministic and baseline.deterministic
        return Cell(
            additive_interval(result.estimate, result.lower, result.upper, sign=True),
            result.estimate,
            result.lower,
            result.upper,
            p_value=result.p_value if result.level == "algorithm" else nan,
            seeds=min(result.seeds),
            clusters=result.clusters,
            level="exact" if exact else result.level,
            note=engine_note(result),
        )

    def difference(
        self, row: RowRecord, baseline: RowRecord, matched: bool, confidence: float
    ) -> Difference:
        """What `compare` prints.

        Raises:
            RefusedCell: the rows have other items or records.
        """
        check_comparable(row, baseline, self.benchmark, self.iterate)
        first = values_at(row, self.benchmark, self.iterate, self.at)
        second = values_at(baseline, self.benchmark, self.iterate, self.at)
        exact = (row.deterministic, baseline.deterministic)
        return difference(
            first,
            second,
            matched and not any(exact),
            exact,
            confidence,
            games_share_nothing(row, baseline),
        )

    def comparison_explanation(self, clusters: str = "games") -> str:
        """What the comparison's number is."""
        return f"the row's mean minus the baseline's, paired by {singular(clusters)}"
