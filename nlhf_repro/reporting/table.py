"""From the records of an experiment to a finished table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nlhf_repro.interfaces import ImpossibleSettingError, RowRecord
from nlhf_repro.reporting.best_cells import with_best
from nlhf_repro.reporting.cells import CHECKPOINT, INCOMPLETE, Cell, RefusedCell, Table, TableRow
from nlhf_repro.reporting.comparison import Column, comparison_cells, is_complete
from nlhf_repro.reporting.grid import points_in_columns
from nlhf_repro.reporting.notes import reach_notes, table_notes
from nlhf_repro.reporting.numbers import exact_count, plain
from nlhf_repro.reporting.published import rows_not_run, with_published
from nlhf_repro.reporting.published_specification import check_published_rows
from nlhf_repro.reporting.series import check_record, collapse_exact
from nlhf_repro.reporting.specification import COMPARISON, SIZE, TableSpecification


def render_table(rows: Sequence[RowRecord], specification: TableSpecification) -> Table:
    """The table that a specification asks for, one line a row in the order given.

    Rows with a failed seed print no number: the mean of those that survived would favor what fails.
    Rows with missing seeds print what is there with a dagger. Neither is compared.

    Raises:
        ImpossibleSettingError: a column that no row has records for, or an unknown baseline.
        ValueError: records that contradict themselves.
    """
    for row in rows:
        check_record(row)
    shown = [collapse_exact(row) for row in rows]
    columns = {
        column.header: with_best(
            column, _column(column, shown, specification), shown, specification
        )
        for column in specification.columns
    }
    if specification.primary and specification.compared and specification.primary.baselines:
        cells = comparison_cells(
            shown, specification.compared, specification.primary, specification.level
        )
        columns = _inserted(columns, specification.primary.column, cells)
    published = specification.published
    if published:
        check_published_rows(published, [row.label for row in rows])
        beside = {column.header: column for column in specification.beside_published}
        columns = with_published(columns, beside, shown, published, specification.level)
    size = {SIZE: [_size(row) for row in shown]}
    lines = (size | columns).values()
    table = Table(
        title=specification.title,
        caption=specification.caption,
        header=("row", *size, *columns),
        rows=tuple(
            TableRow(row.label, tuple(line[index] for line in lines))
            for index, row in enumerate(shown)
        ),
        notes=(),
    )
    if published:
        not_run = rows_not_run(table.header, published)
        table = replace(table, rows=(*table.rows, *not_run))
    if specification.grid_points == "columns":
        table = points_in_columns(table, shown)
    return replace(
        table,
        notes=table_notes(table, shown, specification),
        reach=reach_notes(table, shown, specification),
    )


def render_cost_table(rows: Sequence[RowRecord]) -> Table:
    """What was measured of each row: median [smallest, largest] over its finished seeds.

    Seconds and memory differ between machines and runs, so they stand in a table of their own.
    """
    names = sorted({name for row in rows for name in row.measured})
    return Table(
        title="Cost",
        caption="Measured on the machine that ran the experiment; not comparable between machines.",
        header=("row", *(name.replace("_", " ") for name in names)),
        rows=tuple(TableRow(row.label, tuple(_cost(row, name) for name in names)) for row in rows),
        notes=("Median [smallest, largest] over the finished seeds.",),
    )


def _column(
    column: Column, rows: Sequence[RowRecord], specification: TableSpecification
) -> list[Cell]:
    cells = [_cell(column, row, specification.level) for row in rows]
    if any(row.seeds for row in rows) and all(cell.text == "not recorded" for cell in cells):
        recorded = sorted({name for row in rows for name in row.values})
        raise ImpossibleSettingError(
            f"Column '{column.header}' of the table reads what no row recorded: records are "
            f"{', '.join(recorded) or 'none'}."
        )
    return cells


def _cell(column: Column, row: RowRecord, confidence: float) -> Cell:
    """A row's cell, or the reason why it has none."""
    if row.failed:
        return Cell("failed")
    if not row.seeds:
        return Cell("missing")
    try:
        cell = column.cell(row, confidence)
    except RefusedCell as refusal:
        cell = Cell(str(refusal))
    if cell.level == "checkpoint":
        cell = cell.marked(CHECKPOINT)
    return cell if is_complete(row) else cell.marked(INCOMPLETE)


def _inserted(
    columns: dict[str, list[Cell]], after: str, cells: list[Cell]
) -> dict[str, list[Cell]]:
    """The columns with the comparison behind the one that it compares."""
    result: dict[str, list[Cell]] = {}
    for header, column in columns.items():
        result[header] = column
        if header == after:
            result[COMPARISON] = cells
    return result


def _size(row: RowRecord) -> Cell:
    """Seeds times games, prompts or worlds, behind every number of the row."""
    items = {values.shape[1] for values in row.values.values()}
    if not row.seeds or not items:
        return Cell(f"0 x {max(items)}" if items else "-")
    seeds = "exact" if row.deterministic else str(len(row.seeds))
    least, most = min(items), max(items)
    counted = f"{most}" if least == most else f"{least} to {most}"
    return Cell(f"{seeds} x {counted}", seeds=len(row.seeds), clusters=least)


def _cost(row: RowRecord, name: str) -> Cell:
    measured = row.measured.get(name, np.empty(0))
    if not len(measured):
        return Cell("not measured")
    median, low, high = (float(f(measured)) for f in (np.median, np.min, np.max))
    write = plain if median < 100 else lambda value: exact_count(round(value))
    if low == high:
        return Cell(write(median), median, seeds=len(measured))
    return Cell(f"{write(median)} [{write(low)}, {write(high)}]", median, seeds=len(measured))
