"""Scores as they were stored, read back and summarized per recorded update."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nlhf_repro.interfaces import Array, Trajectory


def read_scores(folder: Path) -> dict[str, Array]:
    """Scores [points, games] of every iterate of one stored evaluation."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "scores.parquet")
    iterate = np.asarray(table["iterate"].to_pylist())
    update, item = table["update"].to_numpy(), table["item"].to_numpy()
    value = table["value"].to_numpy()
    scores = {}
    for name in dict.fromkeys(iterate):
        chosen = np.flatnonzero(iterate == name)
        ordered = chosen[np.lexsort((item[chosen], update[chosen]))]
        scores[str(name)] = value[ordered].reshape(len(np.unique(update[chosen])), -1)
    return scores


def read_floor(folder: Path) -> float:
    """The numerical floor that the benchmark declared."""
    return float(json.loads((folder / "benchmark.json").read_text())["floor"])


def metrics_lines(trajectory: Trajectory, evaluations: Mapping[str, Path]) -> str:
    """One JSON object a recorded update: costs, and each score's mean, median, maximum.

    They run over games and describe one run; intervals belong to the table, which reads the
    scores themselves.
    """
    scores = {
        f"eval/{name}/{iterate}": values
        for name, folder in evaluations.items()
        for iterate, values in read_scores(folder).items()
    }
    return "".join(
        json.dumps(_line(trajectory, scores, point)) + "\n"
        for point in range(len(trajectory.updates))
    )


def _line(trajectory: Trajectory, scores: Mapping[str, Array], point: int) -> dict[str, float]:
    line = {
        "update": int(trajectory.updates[point]),
        "train/comparisons": float(trajectory.comparisons[point]),
        "train/preference_evaluations": float(trajectory.preference_evaluations[point]),
    }
    for key, values in scores.items():
        if not np.isfinite(values[point]).any():  # scored at the last update alone
            continue
        line[f"{key}/mean"] = float(values[point].mean())
        line[f"{key}/median"] = float(np.median(values[point]))
        line[f"{key}/max"] = float(values[point].max())
    return line
