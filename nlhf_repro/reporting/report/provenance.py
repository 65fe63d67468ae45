"""What has to be known to compute an experiment again: commands, versions, machines, cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nlhf_repro.reporting.cells import Cell, Table, TableRow
from nlhf_repro.reporting.numbers import plain
from nlhf_repro.reporting.report.encoding import Json, table_json
from nlhf_repro.reporting.report.material import CellFacts, Material


def provenance_json(material: Material) -> Json:
    """Commands, and facts of the complete cells, each with every value that occurs."""
    runs = [cell.run for cell in material.cells if cell.complete]
    commits = _values((run.get("commit") or {}).get("hash") for run in runs)
    return {
        "commands": [
            *(f"git checkout {commit}" for commit in commits[:1]),
            "make install",
            f"nlhf reproduce {material.command}",
            f"nlhf report {material.report}",
        ],
        "facts": [
            {"name": name, "values": values}
            for name, values in (
                ("merged from", list(material.origin.sources)),
                ("commit", commits),
                ("Python", _values(run.get("python") for run in runs)),
                *_versions(runs),
                ("hardware", _values(_hardware(run.get("hardware") or {}) for run in runs)),
                ("seed design", _values(run.get("seed_design") for run in runs)),
                ("training seeds", _values(str(cell.seed) for cell in material.cells)),
                ("worlds", _values(str(cell.world) for cell in material.cells)),
                ("judges", _judges(runs)),
            )
            if values
        ],
        "cells": table_json(_cells(material.cells), f"{material.name}-cells"),
    }


def _values(found: Iterable[Any]) -> list[str]:
    return [str(value) for value in dict.fromkeys(found) if value not in (None, "")]


def _versions(runs: Sequence[Any]) -> list[tuple[str, list[str]]]:
    names = dict.fromkeys(name for run in runs for name in run.get("versions") or {})
    return [
        (name, _values((run.get("versions") or {}).get(name) for run in runs)) for name in names
    ]


def _hardware(hardware: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in hardware.items() if value is not None)


def _judges(runs: Sequence[Any]) -> list[str]:
    return _values(
        f"{benchmark}: {each.get('judge', 'unnamed')}"
        for run in runs
        for benchmark, each in (run.get("judges") or {}).items()
    )


def _cells(cells: Sequence[CellFacts]) -> Table:
    return Table(
        title="Cells",
        caption="A row at a seed in a world; the key stands for everything that determines it.",
        header=("row", "seed", "world", "status", "key", "seconds of training", "error"),
        rows=tuple(TableRow(cell.row, _facts(cell)) for cell in cells),
        notes=(),
    )


def _facts(cell: CellFacts) -> tuple[Cell, ...]:
    seconds = (cell.run.get("measured") or {}).get("seconds")
    return (
        Cell(str(cell.seed), float(cell.seed)),
        Cell(str(cell.world), float(cell.world)),
        Cell(cell.status),
        Cell(cell.key[:16]),
        Cell("") if seconds is None else Cell(plain(seconds), float(seconds)),
        Cell(str(cell.run.get("error", ""))),
    )
