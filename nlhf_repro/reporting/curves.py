"""What a figure shows, computed before anything is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np
from numpy.typing import NDArray

from nlhf_repro.interfaces import Array, ImpossibleSettingError, RowRecord
from nlhf_repro.reporting import theorems
from nlhf_repro.reporting.bands import arithmetic_summary, geometric_band
from nlhf_repro.reporting.cells import RefusedCell
from nlhf_repro.reporting.columns.bound import LARGEST_LOG_RATIO
from nlhf_repro.reporting.comparison import is_complete
from nlhf_repro.reporting.figure_specification import (
    FigureSpecification,
    GridFigureSpecification,
)
from nlhf_repro.reporting.series import (
    axis_counts,
    collapse_exact,
    own_label,
    scored_series,
    series,
    values_at,
)


@dataclass(frozen=True)
class Curve:
    """One row's learning curve, or one label's values over the points of a grid.

    `middle` is the geometric mean over seeds and items of the values clipped to the floor (over a
    grid, the mean that the figure declares); `lower` and `upper` are its interval, NaN
    where the logarithm is refused or one item is all there is. `quartiles` are those of the single
    runs.
    """

    name: str
    counts: Array  # [points], of the horizontal axis
    middle: Array  # [points]
    lower: Array  # [points]
    upper: Array  # [points]
    quartiles: Array  # [2, points]
    runs: int
    label: str = ""  # of the row whose learning curve it is
    points: NDArray[np.int64] | None = None  # recorded points of the row that have a value


@dataclass(frozen=True)
class Line:
    """A dashed line to compare with."""

    name: str
    counts: Array  # [points]; empty for a horizontal line
    heights: Array  # [points]; one height for a horizontal line


@dataclass(frozen=True)
class Panel:
    """One set of axes; `left_out` says which rows are not drawn and why.

    `logarithmic` is the vertical axis.
    """

    title: str
    curves: tuple[Curve, ...]
    lines: tuple[Line, ...]
    floor: float
    left_out: tuple[str, ...]
    logarithmic: bool


AnyFigure = FigureSpecification | GridFigureSpecification


def figure_panels(
    rows: Sequence[RowRecord], specification: AnyFigure, confidence: float
) -> list[Panel]:
    """The panels of a figure, from left to right: regularizations from large to small.

    Raises:
        ImpossibleSettingError: a figure over a grid that the experiment does not have.
    """
    shown = [collapse_exact(row) for row in rows]
    if isinstance(specification, GridFigureSpecification):
        return [
            grid_panel(members, specification, iterate, title, confidence)
            for title, iterate, members in _divided(shown, specification)
        ]
    return [
        _panel(members, specification, iterate, title, confidence)
        for title, iterate, members in _divided(shown, specification)
    ]


def _divided(
    rows: Sequence[RowRecord], specification: AnyFigure
) -> Iterator[tuple[str, str, list[RowRecord]]]:
    """(title, iterate, rows) of every panel."""
    if specification.panels != "regularization":
        for iterate in specification.iterates:
            title = f"{iterate} iterate" if specification.panels == "iterate" else ""
            yield title, iterate, list(rows)
        return
    for regularization in sorted({row.regularization for row in rows}, reverse=True):
        members = [row for row in rows if row.regularization == regularization]
        yield f"τ = {regularization:g}", specification.iterates[0], members


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
        logarithmic=specification.mean == "geometric",
    )


def grid_panel(
    rows: Sequence[RowRecord],
    specification: GridFigureSpecification,
    iterate: str,
    title: str,
    confidence: float,
) -> Panel:
    """A curve for every label, from its points where all seeds have finished."""
    if any(row.grid_point is None for row in rows):
        raise ImpossibleSettingError(
            f"Figure '{specification.name}' has axis: grid, and the experiment has no grid: "
            "declare one, or choose another axis."
        )
    floor = _grid_floor(rows, specification)
    points: dict[str, list[tuple[float, Array]]] = {}
    left_out = []
    for row in sorted(rows, key=lambda row: float(row.grid_point or 0)):
        try:
            summary = _final(row, specification, iterate, floor, confidence)
        except RefusedCell as refusal:
            left_out.append(f"{row.label}: {refusal}")
            continue
        points.setdefault(_name(row, specification), []).append(
            (float(row.grid_point or 0), summary)
        )
    names = dict.fromkeys(_name(row, specification) for row in rows)
    return Panel(
        title=title,
        curves=tuple(_grid_curve(name, points[name]) for name in names if name in points),
        lines=tuple(
            Line(name, np.array(sorted(line)), np.array([line[x] for x in sorted(line)]))
            for name, line in specification.lines.items()
        ),
        floor=floor,
        left_out=tuple(left_out),
        logarithmic=floor > 0,
    )


def _grid_floor(rows: Sequence[RowRecord], specification: GridFigureSpecification) -> float:
    """Below which values count as it; 0 for arithmetic means, which need none."""
    if specification.mean == "arithmetic":
        return 0.0
    name = specification.benchmark
    floors = [row.floors[name] for row in rows if name in row.floors]
    if min(floors, default=1.0) <= 0:
        raise ImpossibleSettingError(
            f"Figure '{specification.name}' has mean: geometric, and {name} has no floor: set "
            "mean to arithmetic."
        )
    return max(floors, default=0.0)


def _final(
    row: RowRecord,
    specification: GridFigureSpecification,
    iterate: str,
    floor: float,
    confidence: float,
) -> Array:
    """Middle, lower, upper, the two quartiles and the number of runs at the end of training."""
    _require_finished(row)
    values = values_at(row, specification.benchmark, iterate, "last")
    if floor > 0:
        logs = np.log(np.maximum(values, floor))
        low, high = geometric_band(values, floor, row, confidence)
        quartiles = np.exp(np.quantile(logs, (0.25, 0.75)))
        return np.array([np.exp(logs.mean()), low, high, *quartiles, values.size])
    return arithmetic_summary(row, specification.benchmark, iterate, -1, confidence)


def _grid_curve(name: str, points: Sequence[tuple[float, Array]]) -> Curve:
    """The curve through (count, summary) of every point."""
    middle, lower, upper, first, third, runs = np.array([summary for _, summary in points]).T
    return Curve(
        name=name,
        counts=np.array([point for point, _ in points]),
        middle=middle,
        lower=lower,
        upper=upper,
        quartiles=np.array([first, third]),
        runs=int(runs.max()),
    )


def _name(row: RowRecord, specification: AnyFigure) -> str:
    grid = isinstance(specification, GridFigureSpecification)
    label = own_label(row) if grid else row.label
    if specification.panels != "regularization":
        return label
    return label.removesuffix(f", tau {row.regularization:g}")


def _require_finished(row: RowRecord) -> None:
    """Refuse a row of whose declared seeds some have not finished."""
    if not is_complete(row):
        raise RefusedCell("failed" if row.failed else "seeds missing")


def _curve(
    row: RowRecord, name: str, specification: FigureSpecification, iterate: str, confidence: float
) -> Curve:
    _require_finished(row)
    benchmark = specification.benchmark
    values, scored = scored_series(row, benchmark, iterate)
    counts = axis_counts(row, specification.axis)[scored]
    if specification.mean == "arithmetic":
        points = np.flatnonzero(scored).tolist()
        summaries = [
            arithmetic_summary(row, benchmark, iterate, each, confidence) for each in points
        ]
        curve = _grid_curve(name, list(zip(counts, summaries, strict=True)))
        return replace(curve, label=row.label, points=np.flatnonzero(scored))
    values = values[..., scored]
    floor = row.floors.get(specification.benchmark, 0.0)
    clipped = np.maximum(values, floor) if floor > 0 else np.where(values > 0, values, nan)
    logs = np.log(clipped)
    bands = [
        geometric_band(values[..., point], floor, row, confidence)
        for point in range(values.shape[-1])
    ]
    return Curve(
        name=name,
        counts=counts,
        middle=np.exp(logs.mean(axis=(0, 1))),
        lower=np.array([low for low, _ in bands]),
        upper=np.array([high for _, high in bands]),
        quartiles=np.exp(np.quantile(logs, (0.25, 0.75), axis=(0, 1))),
        runs=values.shape[0] * values.shape[1],
        label=row.label,
        points=np.flatnonzero(scored),
    )


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
