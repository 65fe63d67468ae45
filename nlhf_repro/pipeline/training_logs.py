"""What language runs logged while they trained, as rows of learning curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nlhf_repro.interfaces import Array, RowRecord
from nlhf_repro.pipeline.cell import run_directory
from nlhf_repro.pipeline.records import DeclaredCell

LOGGED = {
    "entropy": "entropy of training responses, nats",
    "kl_to_reference": "KL to reference on training responses, nats",
    "response_length": "length of training responses, tokens",
}
Line = dict[str, Any]


@dataclass(frozen=True)
class _Log:
    """Of the policy before every update at which it answered: what it had asked, what it was."""

    updates: Array  # [points]
    comparisons: Array  # [points]
    values: dict[str, Array]  # [points]


def logged_records(
    cells: Sequence[DeclaredCell], records: Sequence[RowRecord], output_dir: Path
) -> list[RowRecord]:
    """The rows with their logs in place of scores, [seeds, worlds, updates]; rows without: none.

    A log has one number a run and update, so that worlds are the items, and one world has no
    interval. Runs of a row that logged at other updates than the first are not averaged: such a row
    is left out.
    """
    worlds = list(dict.fromkeys(cell.world for cell in cells))
    paths = {(x.row, x.seed, x.world): run_directory(output_dir, x.key) for x in cells}
    found = []
    for row in records:
        start = float(row.comparisons[0]) if len(row.comparisons) else 0.0
        logs = [
            [_read(paths[row.label, seed, world], start) for world in worlds] for seed in row.seeds
        ]
        record = _record(row, logs, len(worlds))
        if record is not None:
            found.append(record)
    return found


def _record(row: RowRecord, logs: Sequence[Sequence[_Log | None]], worlds: int) -> RowRecord | None:
    present = [[log for log in seed if log is not None] for seed in logs]
    if not logs or any(len(seed) < worlds for seed in present):
        return None
    first = present[0][0]
    alike = all(np.array_equal(log.updates, first.updates) for seed in present for log in seed)
    if not alike or len(first.updates) < 2:
        return None
    names = [name for name in LOGGED if all(name in x.values for seed in present for x in seed)]
    if not names:
        return None
    return replace(
        row,
        updates=first.updates,
        comparisons=first.comparisons,
        preference_evaluations=np.zeros(len(first.updates)),
        values={
            f"{LOGGED[name]}/last": np.array([[x.values[name] for x in seed] for seed in present])
            for name in names
        },
        floors={},
        judge_draws={},
        scored_updates={},
        items=(),
    )


def _read(directory: Path, start: float) -> _Log | None:
    """The log of one run; None where it has none.

    A line counts the comparisons asked up to its end, those of its own answers included, while it
    describes the policy that had asked only those before.
    """
    path = directory / "training.jsonl"
    if not path.exists():
        return None
    lines: list[Line] = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [line for line in lines if line.get("kind") == "collect"]
    asked = [start, *(float(line["comparisons"]) for line in lines)][:-1]
    kept: dict[int, tuple[Line, float]] = {}
    for line, before in zip(lines, asked, strict=True):
        if all(name in line for name in LOGGED):
            kept.setdefault(int(line["update"]), (line, before))
    if not kept:
        return None
    return _Log(
        updates=np.array(list(kept), dtype=float),
        comparisons=np.array([before for _, before in kept.values()]),
        values={name: np.array([line[name] for line, _ in kept.values()]) for name in LOGGED},
    )
