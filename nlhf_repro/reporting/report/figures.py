"""Forest plots and learning curves as JSON: the same panels that the figures' files show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.curves import AnyFigure, Curve, Line, Panel, figure_panels
from nlhf_repro.reporting.figure import how_to_read
from nlhf_repro.reporting.figure_specification import FigureSpecification, GridFigureSpecification
from nlhf_repro.reporting.report.encoding import Json, drawn
from nlhf_repro.reporting.series import axis_label, cluster_noun, collapse_exact
from nlhf_repro.reporting.specification import TableSpecification

POINTS = 120  # of a curve, at most
ROWS = 60  # above, only the figures that the table declares are drawn
SPREAD = "a run's total, spread evenly over its updates: approximate"  # where nothing was counted
AXES = {
    "comparisons": axis_label("comparisons"),
    "preference_evaluations": axis_label("preference_evaluations"),
    "updates": axis_label("updates"),
    "tokens": "tokens sampled and trained",
    "seconds": f"seconds of training ({SPREAD})",
}
Spending = Mapping[str, Mapping[str, float]]  # by row: tokens and seconds of a run


def figures_json(
    rows: Sequence[RowRecord],
    logged: Sequence[RowRecord],
    specification: TableSpecification,
    spending: Spending,
) -> list[Json]:
    """The declared figures, then a figure of every other benchmark, then what training logged."""
    figures = [
        _figure(rows, declared, specification.level, spending) for declared in specification.figures
    ]
    if len(rows) <= ROWS:
        drawn_already = {
            (each.benchmark, iterate)
            for each in specification.figures
            if isinstance(each, FigureSpecification)
            for iterate in each.iterates
        }
        for records in (rows, logged):
            for further in _further(records, specification, drawn_already):
                figures.append(_figure(records, further, specification.level, spending))
    return [figure for figure in figures if any(panel["curves"] for panel in figure["panels"])]


def _further(
    rows: Sequence[RowRecord],
    specification: TableSpecification,
    drawn_already: set[tuple[str, str]],
) -> Iterator[FigureSpecification]:
    """A figure for every benchmark and iterate that was scored at several points."""
    headers: dict[str, str] = {}
    for column in specification.columns:
        headers.setdefault(getattr(column, "benchmark", ""), column.header)
    names = dict.fromkeys(name for row in rows for name in row.values)
    order = {benchmark: place for place, benchmark in enumerate(headers)}
    for name in sorted(names, key=lambda name: order.get(name.rpartition("/")[0], len(order))):
        benchmark, _, iterate = name.rpartition("/")
        scored = [_points_scored(row, name) for row in rows if name in row.values]
        if (benchmark, iterate) in drawn_already or max(scored) < 2:
            continue
        label = headers.get(benchmark, benchmark.replace("_", " "))
        average = "" if iterate == "last" else f" ({iterate} iterate)"
        floors = [row.floors.get(benchmark, 0.0) for row in rows if name in row.values]
        yield FigureSpecification(
            name=name.replace("/", "-"),
            title=f"{label}{average}",
            benchmark=benchmark,
            label=label,
            iterates=(iterate,),
            axis="comparisons",
            panels="none",
            lines={},
            bounds=(),
            mean="geometric" if min(floors) > 0 else "arithmetic",
        )


def _points_scored(row: RowRecord, name: str) -> int:
    """At how many recorded points every run has a value."""
    return int(np.isfinite(row.values[name]).all(axis=(0, 1)).sum()) if row.seeds else 0


def _figure(
    rows: Sequence[RowRecord], specification: AnyFigure, level: float, spending: Spending
) -> Json:
    shown = [collapse_exact(row) for row in rows]
    bounds = () if isinstance(specification, GridFigureSpecification) else specification.bounds
    # Bounds read the largest log-ratio of all points, so that such a figure is thinned afterwards.
    kept = shown if bounds else [_thinned(row) for row in shown]
    panels = figure_panels(kept, specification, level)
    records = {row.label: row for row in kept}
    figure: Json = {
        "name": specification.name,
        "title": specification.title,
        "label": specification.label,
        "reading": how_to_read(panels, specification, level, cluster_noun(rows)),
        "thinned": POINTS if any(len(row.updates) > POINTS for row in shown) else None,
    }
    if isinstance(specification, GridFigureSpecification):
        grid = {"axes": {"grid": specification.grid_label}, "axis": "grid"}
        curves = [_panel(panel, lambda each: {"grid": each.counts}) for panel in panels]
        return figure | grid | {"scale": specification.scale, "panels": curves}
    drawn_panels = [
        _panel(panel, lambda each: _counts(records[each.label], each, spending)) for panel in panels
    ]
    used = {
        axis
        for panel in drawn_panels
        for curve in panel["curves"]
        for axis, counts in curve["counts"].items()
        if counts[-1]
    }
    axes = {axis: label for axis, label in AXES.items() if axis in used or axis == "updates"}
    if "tokens" in axes and any(row.tokens is None and row.seeds for row in kept):
        axes["tokens"] = f"{AXES['tokens']} ({SPREAD})"
    preferred = specification.axis if specification.axis in axes else next(iter(axes))
    return figure | {"axes": axes, "axis": preferred, "scale": "auto", "panels": drawn_panels}


def _thinned(row: RowRecord) -> RowRecord:
    """The row at no more than so many of its recorded points, the first and the last included.

    Points at which a benchmark was scored that was not at all of them stay.
    """
    scored = np.concatenate([np.empty(0), *row.scored_updates.values()])
    sparse = np.flatnonzero(np.isin(row.updates, scored))
    kept = np.union1d(_kept(len(row.updates)), sparse if len(sparse) <= POINTS else [])
    kept = kept.astype(int)
    return replace(
        row,
        updates=row.updates[kept],
        comparisons=row.comparisons[kept],
        preference_evaluations=row.preference_evaluations[kept],
        tokens=None if row.tokens is None else row.tokens[kept],
        values={name: values[..., kept] for name, values in row.values.items()},
        judge_draws={name: values[..., kept] for name, values in row.judge_draws.items()},
    )


def _kept(points: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, max(points - 1, 0), min(points, POINTS)).round().astype(int))


def _counts(row: RowRecord, curve: Curve, spending: Spending) -> dict[str, Any]:
    """What the row had spent at the curve's points on every axis."""
    place = curve.points
    updates = row.updates[place]
    share = updates / row.updates[-1] if row.updates[-1] else np.zeros(len(updates))
    spent = spending.get(row.label, {})
    evenly = spent.get("tokens", 0.0) * share
    return {
        "comparisons": row.comparisons[place],
        "preference_evaluations": row.preference_evaluations[place],
        "updates": updates,
        "tokens": evenly if row.tokens is None else row.tokens[place],
        "seconds": spent.get("seconds", 0.0) * share,
    }


def _panel(panel: Panel, counts: Any) -> Json:
    return {
        "title": panel.title,
        "logarithmic": panel.logarithmic,
        "floor": panel.floor,
        "left_out": list(panel.left_out),
        "lines": [_line(line) for line in panel.lines],
        "curves": [_curve(curve, counts(curve)) for curve in panel.curves],
    }


def _line(line: Line) -> Json:
    kept = _kept(len(line.heights))
    counts = drawn(line.counts[kept]) if len(line.counts) else []
    return {"name": line.name, "counts": counts, "heights": drawn(line.heights[kept])}


def _curve(curve: Curve, counts: Mapping[str, Any]) -> Json:
    kept = _kept(len(curve.middle))
    return {
        "name": curve.name,
        "runs": curve.runs,
        "counts": {axis: drawn(values[kept]) for axis, values in counts.items()},
        "middle": drawn(curve.middle[kept]),
        "lower": drawn(curve.lower[kept]),
        "upper": drawn(curve.upper[kept]),
        "quartiles": [drawn(each[kept]) for each in curve.quartiles],
    }
