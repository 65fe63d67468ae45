"""A table of a grid with the points in columns: a line for every row of the experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nlhf_repro.interfaces import ImpossibleSettingError, RowRecord
from nlhf_repro.reporting.cells import Cell, Table, TableRow
from nlhf_repro.reporting.series import own_label, point_label


def points_in_columns(table: Table, rows: Sequence[RowRecord]) -> Table:
    """The table whose rows are labels and whose columns are its columns at every point.

    `rows` are the records behind the table's rows, in the same order. The first column after the
    label (the size) stands once, with every size that occurs.

    Raises:
        ImpossibleSettingError: the experiment has no grid.
    """
    if any(row.grid_point is None for row in rows):
        raise ImpossibleSettingError(
            "table.grid_points = columns needs an experiment with a grid: set it to rows."
        )
    lines = {
        (own_label(row), point_label(row)): line.cells
        for row, line in zip(rows, table.rows, strict=True)
    }
    points = list(dict.fromkeys(point for _, point in lines))
    label, size, *headers = table.header
    return replace(
        table,
        header=(label, size, *(f"{name}, {point}" for name in headers for point in points)),
        rows=tuple(
            _line(base, [lines[base, point] for point in points])
            for base in dict.fromkeys(base for base, _ in lines)
        ),
    )


def _line(label: str, points: Sequence[tuple[Cell, ...]]) -> TableRow:
    sizes = dict.fromkeys(cells[0].text for cells in points)
    size = replace(points[0][0], text=", ".join(sizes))
    columns = zip(*(cells[1:] for cells in points), strict=True)
    return TableRow(label, (size, *(cell for column in columns for cell in column)))
