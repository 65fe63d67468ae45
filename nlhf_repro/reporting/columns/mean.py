"""Arithmetic means, and their differences between rows."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Literal, final

import numpy as np

from nlhf_repro.interfaces import ImpossibleSettingError, RowRecord
from nlhf_repro.reporting.cells import Cell, joined
from nlhf_repro.reporting.columns.levels import engine_note, games_share_nothing, level_of
from nlhf_repro.reporting.judged import judge_draws_at, paired_judge_draws, worlds_note
from nlhf_repro.reporting.numbers import additive_interval
from nlhf_repro.reporting.series import (
    At,
    at_text,
    check_at,
    check_comparable,
    point_note,
    recorded_point,
    singular,
    values_at,
)
from nlhf_repro.uncertainty import (
    Difference,
    Prediction,
    difference,
    estimate,
    prediction_interval,
)


@final
@dataclass(frozen=True)
class MeanValue:
    """Arithmetic mean of a benchmark over seeds and items, with the engine's interval.

    Where a judge was drawn several times the mean is over its draws too, and so is the interval.

    Attributes:
        header: The column's title.
        benchmark: Any benchmark whose values are of one order of magnitude.
        iterate: last or average.
        at: `last`, one count such as {updates: 1000}, or `all`: the mean over every update from the
            first on, as for regret in a changing world; all of them have to be recorded.
        across_regularization: Whether rows of different regularization may be compared.
        better: higher or lower, for bold face; null where neither is.
        limits: The least and the largest value that a mean can have, to which its interval is cut
            (an interval may reach beyond; what lies there cannot be); null for none.
    """

    header: str
    benchmark: str
    iterate: str
    at: At
    across_regularization: bool
    better: Literal["higher", "lower"] | None = None
    limits: tuple[float, float] | None = None
    no_difference = 0.0  # of `compare`

    def __post_init__(self) -> None:
        """Refuse a point that is none."""
        check_at(self.at)
        if self.limits is not None and self.limits[0] >= self.limits[1]:
            raise ImpossibleSettingError(
                f"Column '{self.header}' has limits {list(self.limits)}: give the smaller first."
            )

    def cell(self, row: RowRecord, confidence: float) -> Cell:
        """0.213 [0.190, 0.236]."""
        values = values_at(row, self.benchmark, self.iterate, self.at)
        draws = judge_draws_at(row, self.benchmark, self.iterate, recorded_point(row, self.at))
        nested = games_share_nothing(row)
        mean = estimate(values, row.deterministic, confidence, nested, judge_draws=draws)
        lower, upper = self._cut(mean.lower, mean.upper, self.limits)
        return Cell(
            additive_interval(mean.estimate, lower, upper),
            mean.estimate,
            lower,
            upper,
            seeds=mean.seeds,
            clusters=mean.clusters,
            level=level_of(row, mean.level),
            note=joined(
                point_note(row, self.at),
                engine_note(mean),
                worlds_note(row, self.benchmark, self.iterate),
            ),
        )

    def prediction(self, row: RowRecord, confidence: float) -> Prediction:
        """Where the mean of one new run on the same items would fall.

        Raises:
            RefusedCell: as `values_at`.
        """
        values = values_at(row, self.benchmark, self.iterate, self.at)
        draws = judge_draws_at(row, self.benchmark, self.iterate, recorded_point(row, self.at))
        return prediction_interval(values, row.deterministic, confidence, judge_draws=draws)

    def explanation(self, confidence: float, clusters: str = "games") -> str:
        """What the number is."""
        cut = f", cut to {self.limits[0]:g} to {self.limits[1]:g}" if self.limits else ""
        return (
            f"mean of {self.benchmark} ({self.iterate} iterate) over seeds and {clusters} "
            f"{at_text(self.at)} [{confidence:.0%} interval, {clusters} as clusters{cut}]"
        )

    def compare(
        self, row: RowRecord, baseline: RowRecord, matched: bool, confidence: float
    ) -> Cell:
        """The row's mean minus the baseline's, paired by item."""
        result = self.difference(row, baseline, matched, confidence)
        exact = row.deterministic and baseline.deterministic
        lower, upper = self._cut(result.lower, result.upper, self.possible_differences)
        return Cell(
            additive_interval(result.estimate, lower, upper, sign=True),
            result.estimate,
            lower,
            upper,
            p_value=result.p_value if result.level == "algorithm" else nan,
            seeds=min(result.seeds),
            clusters=result.clusters,
            level="exact" if exact else result.level,
            note=joined(engine_note(result), worlds_note(row, self.benchmark, self.iterate)),
        )

    @property
    def possible_differences(self) -> tuple[float, float] | None:
        """Between two means; None where these have no limits."""
        if self.limits is None:
            return None
        span = self.limits[1] - self.limits[0]
        return (-span, span)

    @staticmethod
    def _cut(lower: float, upper: float, limits: tuple[float, float] | None) -> tuple[float, float]:
        """NaN stays NaN."""
        if limits is None:
            return lower, upper
        return float(np.maximum(lower, limits[0])), float(np.minimum(upper, limits[1]))

    def difference(
        self, row: RowRecord, baseline: RowRecord, matched: bool, confidence: float
    ) -> Difference:
        """What `compare` prints.

        Raises:
            RefusedCell: the rows have other items, judges or records.
        """
        check_comparable(row, baseline, self.benchmark, self.iterate)
        first = values_at(row, self.benchmark, self.iterate, self.at)
        second = values_at(baseline, self.benchmark, self.iterate, self.at)
        exact = (row.deterministic, baseline.deterministic)
        points = recorded_point(row, self.at), recorded_point(baseline, self.at)
        return difference(
            first,
            second,
            matched and not any(exact),
            exact,
            confidence,
            games_share_nothing(row, baseline),
            judge_draws=paired_judge_draws(row, baseline, self.benchmark, self.iterate, points),
        )

    def comparison_explanation(self, clusters: str = "games") -> str:
        """What the comparison's number is."""
        return f"the row's mean minus the baseline's, paired by {singular(clusters)}"
