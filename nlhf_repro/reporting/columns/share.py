"""The share of games, or other items, that got below a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import final

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.cells import Cell, joined
from nlhf_repro.reporting.columns.levels import games_share_nothing, level_of
from nlhf_repro.reporting.judged import unjudged_note
from nlhf_repro.reporting.numbers import share_text
from nlhf_repro.reporting.series import At, at_text, check_at, point_note, values_at
from nlhf_repro.uncertainty import proportion


@final
@dataclass(frozen=True)
class ShareBelow:
    """Share of items at or below a threshold, with Wilson's interval.

    Attributes:
        header: The column's title.
        benchmark: Any benchmark.
        iterate: last or average.
        at: `last`, or one count such as {updates: 1000}.
        threshold: In the benchmark's unit.
    """

    header: str
    benchmark: str
    iterate: str
    at: At
    threshold: float

    def __post_init__(self) -> None:
        """Refuse a point that is none."""
        check_at(self.at)

    def cell(self, row: RowRecord, confidence: float) -> Cell:
        """98.0% [93.0%, 99.4%]."""
        below = values_at(row, self.benchmark, self.iterate, self.at) <= self.threshold
        share = proportion(below, row.deterministic, confidence, games_share_nothing(row))
        ends = (share.lower, share.upper)
        interval = " [{}, {}]".format(*map(share_text, ends)) if isfinite(share.lower) else ""
        warning = "" if share.level == "checkpoint" or share.games == 1 else share.note
        return Cell(
            share_text(share.estimate) + interval,
            share.estimate,
            share.lower,
            share.upper,
            seeds=share.seeds,
            clusters=share.games,
            level=level_of(row, share.level),
            note=joined(
                point_note(row, self.at),
                warning,
                unjudged_note(row, self.benchmark, self.iterate),
            ),
        )

    def explanation(self, confidence: float, clusters: str = "games") -> str:
        """What the number is."""
        return (
            f"share of {clusters} with {self.benchmark} ({self.iterate} iterate) at or below "
            f"{self.threshold:g} {at_text(self.at)} [{confidence:.0%} Wilson interval, "
            f"{clusters} as clusters]"
        )
