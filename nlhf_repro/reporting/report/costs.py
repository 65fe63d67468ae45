"""What rows cost: what was counted, what was measured, and what judges were paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nlhf_repro.interfaces import Array, RowRecord
from nlhf_repro.reporting.cells import Table
from nlhf_repro.reporting.report.material import CellFacts
from nlhf_repro.reporting.table import render_cost_table

COUNTED = (
    "comparisons",
    "preference_evaluations",
    "scores",
    "paid_calls",
    "responses",
    "sampled_tokens",
    "trained_tokens",
    "unique_prompts",
    "gradient_steps",
)


def cost_tables(rows: Sequence[RowRecord], cells: Sequence[CellFacts]) -> list[tuple[str, Table]]:
    """What was measured and what was counted, each named; the latter where anything was."""
    tables = [("cost", render_cost_table(rows))]
    counted = {row.label: _counted(row.label, cells) for row in rows}
    names = [
        name for name in (*COUNTED, *JUDGED) if any((x[name] > 0).any() for x in counted.values())
    ]
    if names:
        shown = [replace(row, measured={x: counted[row.label][x] for x in names}) for row in rows]
        table = replace(
            _ordered(render_cost_table(shown), names),
            title="What was counted",
            caption="Of one run, per training problem; exact, and the same on every machine.",
            notes=("Median [smallest, largest] over the finished cells.",),
        )
        tables.append(("counts", table))
    return tables


JUDGED = ("judge_calls", "judge_tokens", "judge_US_dollars")


def mean_spending(label: str, cells: Sequence[CellFacts]) -> dict[str, float]:
    """Tokens (sampled and trained) and seconds of training, the means over a row's cells."""
    runs = [cell.run for cell in cells if cell.row == label and cell.complete]
    ledgers = [run["ledger"] for run in runs]
    tokens = [
        ledger.get("sampled_tokens", 0) + ledger.get("trained_tokens", 0) for ledger in ledgers
    ]
    seconds = [run["measured"]["seconds"] for run in runs if "seconds" in run["measured"]]
    return {
        "tokens": float(np.mean(tokens)) if tokens else 0.0,
        "seconds": float(np.mean(seconds)) if seconds else 0.0,
    }


def _counted(label: str, cells: Sequence[CellFacts]) -> dict[str, Array]:
    runs = [cell.run for cell in cells if cell.row == label and cell.complete]
    found = {
        name: np.array([float(run["ledger"].get(name, 0)) for run in runs]) for name in COUNTED
    }
    judged = [_judged(run.get("judges") or {}) for run in runs]
    return found | {name: np.array([each[name] for each in judged]) for name in JUDGED}


def _judged(judges: Mapping[str, Any]) -> dict[str, float]:
    usages = [each.get("usage") or {} for each in judges.values()]
    keys = {"judge_calls": ("calls",), "judge_tokens": ("prompt_tokens", "completion_tokens")}
    keys["judge_US_dollars"] = ("money",)
    return {
        name: float(sum(usage.get(key, 0) for usage in usages for key in parts))
        for name, parts in keys.items()
    }


def _ordered(table: Table, names: Sequence[str]) -> Table:
    """The table's columns in the order of the names."""
    headers = [name.replace("_", " ") for name in names]
    places = [table.header.index(header) - 1 for header in headers]
    rows = (replace(row, cells=tuple(row.cells[x] for x in places)) for row in table.rows)
    return replace(table, header=("row", *headers), rows=tuple(rows))
