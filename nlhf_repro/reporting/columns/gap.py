"""Geometric means of gaps, and their ratios between rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np

from nlhf_repro.interfaces import Array, ImpossibleSettingError, RowRecord
from nlhf_repro.reporting.cells import Cell, RefusedCell, joined
from nlhf_repro.reporting.columns.levels import engine_note, games_share_nothing, level_of
from nlhf_repro.reporting.judged import unjudged_note
from nlhf_repro.reporting.numbers import plain, positive_interval, share_text
from nlhf_repro.reporting.series import (
    At,
    at_text,
    check_at,
    check_comparable,
    point_note,
    singular,
    values_at,
)
from nlhf_repro.uncertainty import GapRatio, GapsRefusedError, geometric_mean, ratio_of_gaps


@final
@dataclass(frozen=True)
class GeometricMeanGap:
    """Geometric mean of a gap over seeds and items, with the interval of its logarithm.

    Attributes:
        header: The column's title.
        benchmark: A benchmark with a positive floor.
        iterate: last or average.
        at: `last`, or one count such as {comparisons: 40000}.
        across_regularization: Whether rows of different regularization may be compared: true for
            the unregularized gap only.
    """

    header: str
    benchmark: str
    iterate: str
    at: At
    across_regularization: bool
    better: ClassVar[Literal["lower"]] = "lower"
    no_difference: ClassVar[float] = 1.0  # of `compare`

    def __post_init__(self) -> None:
        """Refuse a point that is none, and a comparison that has no meaning."""
        check_at(self.at)
        if self.across_regularization and self.benchmark.startswith("regularized"):
            raise ImpossibleSettingError(
                f"Column '{self.header}' would compare {self.benchmark} across regularizations: "
                "set across_regularization to false."
            )

    def cell(self, row: RowRecord, confidence: float) -> Cell:
        """2.1e-4 [1.8e-4, 2.5e-4]; without an estimate where too many gaps are at the floor."""
        gaps, floor = values_at(row, self.benchmark, self.iterate, self.at), _floor(row, self)
        try:
            mean = geometric_mean(
                gaps, floor, row.deterministic, confidence, games_share_nothing(row)
            )
        except GapsRefusedError as refusal:
            raise RefusedCell(_refusal_text(gaps, floor, refusal)) from refusal
        clipped = f"{mean.at_floor} of {gaps.size} gaps at the floor" if mean.at_floor else ""
        return Cell(
            positive_interval(mean.estimate, mean.lower, mean.upper),
            mean.estimate,
            mean.lower,
            mean.upper,
            seeds=gaps.shape[0],
            clusters=gaps.shape[1],
            level=level_of(row, mean.on_log_scale.level),
            note=joined(
                point_note(row, self.at),
                clipped,
                engine_note(mean.on_log_scale),
                unjudged_note(row, self.benchmark, self.iterate),
            ),
        )

    def explanation(self, confidence: float, clusters: str = "games") -> str:
        """What the number is."""
        return (
            f"geometric mean of {self.benchmark} ({self.iterate} iterate) over seeds and "
            f"{clusters} {at_text(self.at)} [{confidence:.0%} interval of the log gap, "
            f"{clusters} as clusters]"
        )

    def compare(
        self, row: RowRecord, baseline: RowRecord, matched: bool, confidence: float
    ) -> Cell:
        """The row's geometric-mean gap as a multiple of the baseline's, paired by item."""
        ratio = self.ratio(row, baseline, matched, confidence)
        known = ratio.on_log_scale.level == "algorithm"
        clipped = f"{sum(ratio.at_floor)} gaps at the floor" if any(ratio.at_floor) else ""
        return Cell(
            positive_interval(ratio.estimate, ratio.lower, ratio.upper) + " times",
            ratio.estimate,
            ratio.lower,
            ratio.upper,
            p_value=ratio.p_value if known else float("nan"),
            seeds=min(ratio.on_log_scale.seeds),
            clusters=ratio.on_log_scale.clusters,
            level="exact"
            if row.deterministic and baseline.deterministic
            else ratio.on_log_scale.level,
            note=joined(
                clipped,
                engine_note(ratio.on_log_scale),
                unjudged_note(row, self.benchmark, self.iterate),
            ),
        )

    def ratio(
        self, row: RowRecord, baseline: RowRecord, matched: bool, confidence: float
    ) -> GapRatio:
        """What `compare` prints, with the difference of log gaps behind it.

        Raises:
            RefusedCell: the rows have other items or records, or too many gaps at the floor.
        """
        check_comparable(row, baseline, self.benchmark, self.iterate)
        first = values_at(row, self.benchmark, self.iterate, self.at)
        second = values_at(baseline, self.benchmark, self.iterate, self.at)
        floor = max(_floor(row, self), _floor(baseline, self))
        exact = (row.deterministic, baseline.deterministic)
        try:
            return ratio_of_gaps(
                first,
                second,
                floor,
                matched and not any(exact),
                exact,
                confidence,
                games_share_nothing(row, baseline),
            )
        except GapsRefusedError as refusal:
            worst = max((first, second), key=lambda gaps: float((gaps <= floor).mean()))
            raise RefusedCell("refused: " + _refusal_text(worst, floor, refusal)) from refusal

    def comparison_explanation(self, clusters: str = "games") -> str:
        """What the comparison's number is."""
        return (
            f"geometric mean over {clusters} of the row's gap over the baseline's, paired by "
            f"{singular(clusters)}"
        )


def _floor(row: RowRecord, column: GeometricMeanGap) -> float:
    floor = row.floors.get(column.benchmark, 0.0)
    if floor <= 0:
        raise RefusedCell(f"refused: {column.benchmark} has no floor for its logarithm")
    return floor


def _refusal_text(gaps: Array, floor: float, refusal: GapsRefusedError) -> str:
    """The reason in a cell's words: how many gaps are noise, or what is wrong with them."""
    if gaps.min() < -floor or not (gaps <= floor).any():
        return str(refusal)
    at_floor = float(np.mean(gaps <= floor))
    if at_floor == 1:
        return f"all gaps at the floor {plain(floor, 1)}"
    return f"{share_text(at_floor)} of the gaps are at the floor {plain(floor, 1)}"
