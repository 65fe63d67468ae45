"""What a learning-curve figure shows, computed before anything is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from nlhf_repro.interfaces import Array, ImpossibleSettingError, RowRecord
from nlhf_repro.reporting import theorems
from nlhf_repro.reporting.cells import RefusedCell
from nlhf_repro.reporting.columns.bound import LARGEST_LOG_RATIO
from nlhf_repro.reporting.columns.levels import games_share_nothing
from nlhf_repro.reporting.comparison import is_complete
from nlhf_repro.reporting.series import axis_counts, collapse_exact, series
from nlhf_repro.reporting.specification import FigureSpecification
from nlhf_repro.uncertainty import GapsRefusedError, geometric_mean


@dataclass(frozen=True)
class Curve:
    """One row's learning curve.

    `middle` is the geometric mean over seeds and games of the values clipped to the floor; `lower`
    and `upper` are its t interval, NaN where the logarithm is refused or one game is all there is.
    `quartiles` are those of the single runs.
    """

    name: str
    counts: Array  # [points]
    middle: Array  # [points]
    lower: Array  # [points]
    upper: Array  # [points]
    quartiles: Array  # [2, points]
    runs: int


@dataclass(frozen=True)
class Line:
    """A dashed line to compare with."""

    name: str
    counts: Array  # [points]; empty for a horizontal line
    heights: Array  # [points]; one height for a horizontal line


@dataclass(frozen=True)
class Panel:
    """One set of axes; `left_out` says which rows are not drawn and why."""

    title: str
    curves: tuple[Curve, ...]
    lines: tuple[Line, ...]
    floor: float
    left_out: tuple[str, ...]


def figure_panels(
    rows: Sequence[RowRecord], specification: FigureSpecification, confidence: float
) -> list[Panel]:
    """The panels of a figure, from left to right: regularizations from large to small."""
    shown = [collapse_exact(row) for row in rows]
    if specification.panels != "regularization":
        title = specification.panels == "iterate"
        return [
            _panel(shown, specification, iterate, f"{iterate} iterate" if title else "", confidence)
            for iterate in specification.iterates
        ]
    return [
        _panel(
            [row for row in shown if row.regularization == regularization],
            specification,
            specification.iterates[0],
            f"τ = {regularization:g}",
            confidence,
        )
        for regularization in sorted({row.regularization for row in shown}, reverse=True)
    ]


def _panel(
    rows: Sequence[RowRecord],
    specification: FigureSpecification,
    iterate: str,
    title: str,
    confidence: float,
) -> Panel:
    curves, left_out = [], []
    for row in rows:
        name = _name(row, specification)
        try:
            curves.append(_curve(row, name, specification, iterate, confidence))
        except RefusedCell as refusal:
            left_out.append(f"{name}: {refusal}")
    constant = (
        Line(name, np.empty(0), np.array([height])) for name, height in specification.lines.items()
    )
    floors = [row.floors.get(specification.benchmark, 0.0) for row in rows]
    return Panel(
        title=title,
        curves=tuple(curves),
        lines=(*constant, *_bounds(rows, specification)),
        floor=max(floors, default=0.0),
        left_out=tuple(left_out),
    )


def _name(row: RowRecord, specification: FigureSpecification) -> str:
    if specification.panels != "regularization":
        return row.label
    return row.label.removesuffix(f", tau {row.regularization:g}")


def _curve(
    row: RowRecord, name: str, specification: FigureSpecification, iterate: str, confidence: float
) -> Curve:
    if not is_complete(row):
        raise RefusedCell("failed" if row.failed else "seeds missing")
    values = series(row, specification.benchmark, iterate)
    floor = row.floors.get(specification.benchmark, 0.0)
    clipped = np.maximum(values, floor) if floor > 0 else np.where(values > 0, values, nan)
    logs = np.log(clipped)
    bands = [_band(values[..., point], floor, row, confidence) for point in range(values.shape[-1])]
    return Curve(
        name=name,
        counts=axis_counts(row, specification.axis),
        middle=np.exp(logs.mean(axis=(0, 1))),
        lower=np.array([low for low, _ in bands]),
        upper=np.array([high for _, high in bands]),
        quartiles=np.exp(np.quantile(logs, (0.25, 0.75), axis=(0, 1))),
        runs=values.shape[0] * values.shape[1],
    )


def _band(gaps: Array, floor: float, row: RowRecord, confidence: float) -> tuple[float, float]:
    if floor <= 0 or gaps.shape[1] == 1:
        return nan, nan
    try:
        mean = geometric_mean(gaps, floor, row.deterministic, confidence, games_share_nothing(row))
    except GapsRefusedError:
        return nan, nan
    return mean.lower, mean.upper


def _bounds(rows: Sequence[RowRecord], specification: FigureSpecification) -> Iterator[Line]:
    """Each bound over the updates of the longest exact row, at the largest C of its runs.

    Raises:
        ImpossibleSettingError: the row has no record of its log-ratios.
    """
    exact = [row for row in rows if row.deterministic and row.regularization > 0]
    exact = [row for row in exact if is_complete(row)]
    if not exact or not specification.bounds:
        return
    row = max(exact, key=lambda candidate: float(candidate.updates[-1]))
    if f"{LARGEST_LOG_RATIO}/last" not in row.values:
        raise ImpossibleSettingError(
            f"Figure '{specification.name}' draws {', '.join(specification.bounds)}, which needs "
            f"benchmark {LARGEST_LOG_RATIO}: add it to the experiment, or remove bounds."
        )
    updates = row.updates[row.updates >= 1]
    largest = series(row, LARGEST_LOG_RATIO, "last").max()
    scale = theorems.log_ratio_scale(np.asarray(largest), row.regularization)
    heights = theorems.last_iterate_kl(updates, row.regularization, scale)
    yield Line("INPO, Theorem 4 (harmonic step)", updates, heights)
