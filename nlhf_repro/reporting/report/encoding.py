"""Tables and numbers as JSON, which has neither NaN nor infinities."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from nlhf_repro.reporting.cells import Cell, Table
from nlhf_repro.reporting.csv_export import to_csv

Json = dict[str, Any]
DIGITS = 6  # of what is only drawn: a pixel shows three


def number(value: float) -> float | str | None:
    """None for NaN; the infinities by the names that JavaScript's Number reads."""
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)


def drawn(values: Iterable[float]) -> list[float | str | None]:
    """Numbers that a chart draws, to six significant digits; integers are short."""
    return [_short(float(value)) for value in values]


def _short(value: float) -> float | str | None:
    if not math.isfinite(value):
        return number(value)
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def table_json(table: Table, name: str) -> Json:
    """The table with every number of its cells, and the CSV file NAME.csv as it is written.

    A paper's rows that were not run are marked as published.
    """
    return {
        "name": name,
        "title": table.title,
        "caption": table.caption,
        "header": list(table.header),
        "rows": [
            {
                "label": row.label,
                "cells": [cell_json(cell) for cell in row.cells],
                **({"published": True} if row.published else {}),
            }
            for row in table.rows
        ],
        "notes": list(table.notes),
        "csv": to_csv(table),
    }


def cell_json(cell: Cell) -> Json:
    """The text, and what else the cell has."""
    found: Json = {
        "estimate": number(cell.estimate),
        "lower": number(cell.lower),
        "upper": number(cell.upper),
        "p": number(cell.p_value),
        "seeds": cell.seeds or None,
        "clusters": cell.clusters or None,
        "level": cell.level or None,
        "note": cell.note or None,
        "best": cell.best or None,
    }
    return {"text": cell.text, **{key: x for key, x in found.items() if x is not None}}
