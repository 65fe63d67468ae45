"""Scores as they were stored, read back and summarized per recorded update."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    return float(_description(folder)["floor"])


def read_judge_draws(folder: Path) -> dict[str, Array]:
    """By iterate the scores by every draw of the judge, [points, draws, items]; or nothing."""
    path = folder / "judge_draws.npz"
    if not path.exists():
        return {}
    with np.load(path) as arrays:
        return dict(arrays)


def read_judge(folder: Path) -> str | None:
    """Who judged: everything that decides the verdicts, as text; None where nobody did."""
    judge = _description(folder).get("judge")
    return None if judge is None else str(judge)


def read_notes(folder: Path) -> tuple[str, ...]:
    """What a table must print beside the scores."""
    return tuple(_description(folder).get("notes", ()))


def read_scored_updates(folder: Path) -> tuple[float, ...] | None:
    """The updates that were scored, where not all recorded ones were; None: all were."""
    updates = _description(folder).get("scored_updates")
    return None if updates is None else tuple(float(update) for update in updates)


def _description(folder: Path) -> dict[str, Any]:
    """What benchmark.json says: floor, and where they apply judge, notes and scored_updates."""
    description: dict[str, Any] = json.loads((folder / "benchmark.json").read_text())
    return description


def metrics_lines(trajectory: Trajectory, evaluations: Mapping[str, Path]) -> str:
    """One JSON object a recorded update: costs, and each score's mean, median, maximum.

    They run over games and describe one run; intervals belong to the table, which reads the
    scores themselves. Updates that a benchmark did not score have none of it.
    """
    scores = {
        f"eval/{name}/{iterate}": (values, _scored(folder, trajectory))
        for name, folder in evaluations.items()
        for iterate, values in read_scores(folder).items()
    }
    return "".join(
        json.dumps(_line(trajectory, scores, point)) + "\n"
        for point in range(len(trajectory.updates))
    )


def _scored(folder: Path, trajectory: Trajectory) -> NDArray[np.bool_]:
    """Whether the recorded points were scored, [points]."""
    updates = read_scored_updates(folder)
    return np.isin(trajectory.updates, trajectory.updates if updates is None else updates)


def _line(
    trajectory: Trajectory, scores: Mapping[str, tuple[Array, NDArray[np.bool_]]], point: int
) -> dict[str, float]:
    line = {
        "update": int(trajectory.updates[point]),
        "train/comparisons": float(trajectory.comparisons[point]),
        "train/preference_evaluations": float(trajectory.preference_evaluations[point]),
    }
    for key, (values, scored) in scores.items():
        if not scored[point]:
            continue
        line[f"{key}/mean"] = float(values[point].mean())
        line[f"{key}/median"] = float(np.median(values[point]))
        line[f"{key}/max"] = float(values[point].max())
    return line
