"""Bold face: in every column the best, and all that are not shown to be worse than another row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.cells import Cell, RefusedCell
from nlhf_repro.reporting.comparison import ComparableColumn, is_complete
from nlhf_repro.reporting.specification import TableSpecification
from nlhf_repro.uncertainty import holm

Better = Literal["higher", "lower"]


@runtime_checkable
class RankedColumn(ComparableColumn, Protocol):
    """A comparable column of which one direction is the better one."""

    @property
    def better(self) -> Better | None:
        """None: neither."""
        ...

    @property
    def no_difference(self) -> float:
        """What `compare` estimates where two rows are equal: 0 of a difference, 1 of a ratio."""
        ...


def with_best(
    column: object,
    cells: Sequence[Cell],
    rows: Sequence[RowRecord],
    specification: TableSpecification,
) -> list[Cell]:
    """The cells, those in bold that no other row is shown to be better than.

    All pairs of rows that the column compares are tested, at every point of a grid by themselves,
    and adjusted by Holm: where the tests hold their level (`uncertainty.engine` says how nearly),
    the probability that any row as good as the best is left out is at most 1 - level. No cell is
    bold where a row lacks runs, a number or a second training run: what was not measured may be the
    best.
    """
    if not isinstance(column, RankedColumn) or column.better is None:
        return list(cells)
    marked = list(cells)
    for places in _groups(column, rows):
        if len(places) > 1 and all(_usable(rows[x], cells[x]) for x in places):
            for place in _not_worse(column, [rows[x] for x in places], specification):
                marked[places[place]] = replace(cells[places[place]], best=True)
    return marked


def bold_note(specification: TableSpecification) -> str:
    """What bold face means."""
    return (
        "Bold: not shown to be worse than another row of its column (all pairs, adjusted by Holm, "
        f"{specification.level:.0%}; * in a terminal): the best, and rows of which too little is "
        "known; none where a row has no second training run, or lacks one."
    )


def _groups(column: RankedColumn, rows: Sequence[RowRecord]) -> list[list[int]]:
    """Places of the rows that may be compared with one another."""
    groups: dict[object, list[int]] = {}
    for place, row in enumerate(rows):
        regularization = None if column.across_regularization else row.regularization
        groups.setdefault((row.grid_point, regularization), []).append(place)
    return list(groups.values())


def _usable(row: RowRecord, cell: Cell) -> bool:
    return is_complete(row) and cell.level in ("algorithm", "exact")


def _not_worse(
    column: RankedColumn, rows: Sequence[RowRecord], specification: TableSpecification
) -> list[int]:
    """Places of the rows that stay; none where some pair cannot be compared."""
    matched = specification.primary is not None and specification.primary.seeds == "matched"
    pairs = list(combinations(range(len(rows)), 2))
    try:
        found = [
            column.compare(rows[one], rows[other], matched, specification.level)
            for one, other in pairs
        ]
    except RefusedCell:
        return []
    worse = set()
    for (one, other), cell, p_value in zip(pairs, found, holm(_p_values(found)), strict=True):
        if p_value < 1 - specification.level:
            higher = cell.estimate > column.no_difference
            worse.add(other if higher == (column.better == "higher") else one)
    return [place for place in range(len(rows)) if place not in worse]


def _p_values(cells: Sequence[Cell]) -> list[float]:
    """Without a p-value nothing is shown."""
    return [1.0 if np.isnan(cell.p_value) else cell.p_value for cell in cells]
