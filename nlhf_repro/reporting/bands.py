"""The intervals that figures draw around their means, which are those of tables."""

from __future__ import annotations

from math import nan

import numpy as np

from nlhf_repro.interfaces import Array, RowRecord
from nlhf_repro.reporting.columns.levels import games_share_nothing
from nlhf_repro.reporting.judged import judge_draws_at
from nlhf_repro.uncertainty import GapsRefusedError, estimate, geometric_mean


def arithmetic_summary(
    row: RowRecord, benchmark: str, iterate: str, point: int, confidence: float
) -> Array:
    """Mean, lower, upper, the two quartiles and the number of runs at a point that was scored."""
    values = row.values[f"{benchmark}/{iterate}"][..., point]
    nested = games_share_nothing(row)
    draws = judge_draws_at(row, benchmark, iterate, point)
    mean = estimate(values, row.deterministic, confidence, nested, judge_draws=draws)
    quartiles = np.quantile(values, (0.25, 0.75))
    return np.array([mean.estimate, mean.lower, mean.upper, *quartiles, values.size])


def geometric_band(
    gaps: Array, floor: float, row: RowRecord, confidence: float
) -> tuple[float, float]:
    """Ends of the interval of the geometric mean of gaps [seeds, items]; NaN where refused."""
    if floor <= 0 or gaps.shape[1] == 1:
        return nan, nan
    try:
        mean = geometric_mean(gaps, floor, row.deterministic, confidence, games_share_nothing(row))
    except GapsRefusedError:
        return nan, nan
    return mean.lower, mean.upper
