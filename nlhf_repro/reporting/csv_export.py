"""A table's numbers for machines."""

from __future__ import annotations

import csv
import math
from io import StringIO

from nlhf_repro.reporting.cells import Table

NUMBERS = ("estimate", "lower", "upper", "p_value")
COLUMNS = ("row", "column", *NUMBERS, "seeds", "clusters", "level", "text", "note")


def to_csv(table: Table) -> str:
    """One line a cell; floats as their shortest exact text, empty where there is no number.

    `lower` and `upper` bound the interval, `p_value` is adjusted, `seeds` is K and `clusters` is n.
    """
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in table.rows:
        for header, cell in zip(table.header[1:], row.cells, strict=True):
            numbers = (cell.estimate, cell.lower, cell.upper, cell.p_value)
            counts = (cell.seeds or "", cell.clusters or "")
            texts = (cell.level, cell.text, cell.note)
            writer.writerow((row.label, header, *map(_number, numbers), *counts, *texts))
    return stream.getvalue()


def _number(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))
