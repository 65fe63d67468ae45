"""Forest plots: every row's estimate and interval, a panel for each column that has intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from nlhf_repro.reporting.answers import is_ratio
from nlhf_repro.reporting.axes import INK
from nlhf_repro.reporting.cells import Table, TableRow
from nlhf_repro.reporting.figure import COLORS, figure_style, saved
from nlhf_repro.reporting.specification import COMPARISON, TableSpecification
from nlhf_repro.reporting.ticks import label_few_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS = 4  # panels beside one another
PANELS = 8  # at most; the comparison comes first
ROWS = 40  # above, nothing can be read, and nothing is drawn
PANEL_INCHES = 2.7
ROW_INCHES = 0.3
LETTERS = 48  # of what stands in place of a number: a panel has room for no more


@final
@dataclass(frozen=True)
class ForestColumn:
    """A column of a table and how it is drawn.

    `index` counts cells of a row; `neutral` is where two rows are equal, None where the column
    compares none.
    """

    index: int
    header: str
    logarithmic: bool
    neutral: int | None


def forest_columns(table: Table, specification: TableSpecification) -> list[ForestColumn]:
    """The columns of a table that have intervals; a comparison first."""
    found = []
    for index, header in enumerate(table.header[1:]):
        cells = [row.cells[index] for row in table.rows]
        if not any(np.isfinite([cell.lower, cell.upper]).all() for cell in cells):
            continue
        compared = header == COMPARISON or header.startswith(f"{COMPARISON}, ")
        ratio = is_ratio(specification.compared if compared else _column(header, specification))
        name = (
            f"{header}: {specification.primary.column}"
            if compared and specification.primary
            else header
        )
        neutral = (1 if ratio else 0) if compared else None
        found.append(ForestColumn(index, name, ratio, neutral))
    return sorted(found, key=lambda each: each.neutral is None)


def _column(header: str, specification: TableSpecification) -> object:
    fitting = [
        column
        for column in specification.columns
        if header == column.header or header.startswith(f"{column.header}, ")
    ]
    return max(fitting, key=lambda column: len(column.header), default=None)


def draw_forest(
    table: Table, specification: TableSpecification, folder: Path, name: str
) -> list[Path]:
    """The forest plot of a table as folder/NAME.png and .svg; the paths written.

    A paper's rows that were not run have no interval and are left out. Nothing is drawn of a table
    without intervals, or of more than 40 rows.
    """
    columns = forest_columns(table, specification)
    rows = [row for row in table.rows if not row.published]
    if not columns or len(rows) > ROWS:
        return []
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = columns[:PANELS]
    down = ceil(len(drawn) / ACROSS)
    across = ceil(len(drawn) / down)
    labels = 0.085 * max(len(row.label) for row in rows)
    with figure_style():
        size = (labels + PANEL_INCHES * max(across, 2), down * (ROW_INCHES * len(rows) + 0.8) + 0.8)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
        for ax, column in zip(axes, drawn, strict=False):
            _draw_panel(ax, column, rows)
        for ax in axes[len(drawn) :]:
            ax.set_visible(False)
        axes[0].set_yticks(range(len(rows)), [row.label for row in rows])
        axes[0].set_ylim(len(rows) - 0.4, -0.6)
        figure.suptitle(specification.title, x=0.01, ha="left", fontsize=13, weight="bold")
        reading = _reading(specification, rows, len(columns) - len(drawn))
        figure.supxlabel(reading, x=0.01, ha="left", fontsize=8.5, color=INK)
        return saved(figure, folder, name)


def _draw_panel(ax: Axes, column: ForestColumn, rows: Sequence[TableRow]) -> None:
    ax.set_title(column.header, loc="left", fontsize=10.5)
    ax.set_xscale("log" if column.logarithmic else "linear")
    ax.grid(True, axis="x", color="#E6E6E6", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    if column.neutral is not None:
        ax.axvline(column.neutral, color=INK, linestyle="--", linewidth=1.0)
    for place, row in enumerate(rows):
        cell = row.cells[column.index]
        if not np.isfinite(cell.estimate):
            _write(ax, column, place, cell.text)
            continue
        if np.isfinite([cell.lower, cell.upper]).all():
            ax.plot([cell.lower, cell.upper], [place, place], color=COLORS[0], linewidth=1.8)
        fill = COLORS[0] if cell.best or column.neutral is not None else "white"
        ax.plot(cell.estimate, place, "o", color=COLORS[0], markerfacecolor=fill, markersize=5.5)
    if column.logarithmic:
        label_few_ticks(ax)


def _write(ax: Axes, column: ForestColumn, place: int, text: str) -> None:
    """What a row has in place of a number: at the left edge, the baseline at no difference."""
    if text == "baseline" and column.neutral is not None:
        ax.text(column.neutral, place, f" {text}", va="center", fontsize=8.5, color=INK)
        return
    ax.text(
        0.02,
        place,
        text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…",
        transform=ax.get_yaxis_transform(),
        va="center",
        fontsize=7.5,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )


def _reading(specification: TableSpecification, rows: Sequence[TableRow], further: int) -> str:
    """How to read it, a line each."""
    lines = [
        f"Lines: {specification.level:.0%} intervals, each by itself; two that overlap may differ."
    ]
    if any(cell.best for row in rows for cell in row.cells):
        lines.append("Filled: not shown to be worse than another row (all pairs, Holm).")
    if specification.primary and specification.primary.baselines:
        baselines = "; ".join(specification.primary.baselines)
        lines.append(f"comparison: against {baselines}, not adjusted; dashed: no difference.")
    if further:
        lines.append(f"Not drawn: {further} further columns of the table.")
    return "\n".join(lines)
