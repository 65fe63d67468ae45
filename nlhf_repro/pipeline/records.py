"""From the records on disk to the rows that tables read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nlhf_repro.interfaces import Array, RowRecord, Trajectory, Tuning
from nlhf_repro.pipeline.benchmark_notes import united_notes
from nlhf_repro.pipeline.cell import is_complete, read_run, run_directory, stage_store
from nlhf_repro.pipeline.counts import mean_counts
from nlhf_repro.pipeline.keys import is_deterministic, is_language, training_settings
from nlhf_repro.pipeline.metrics import (
    read_floor,
    read_judge,
    read_judge_draws,
    read_notes,
    read_scored_updates,
    read_scores,
)
from nlhf_repro.pipeline.parts import build
from nlhf_repro.pipeline.stages import load_trajectory

Config = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class DeclaredCell:
    """A cell that an experiment declares, run or not."""

    row: str
    seed: int
    world: int
    key: str
    config: Config
    tuning: Tuning | None = None


@dataclass(frozen=True)
class _Run:
    trajectory: Trajectory
    scores: Mapping[str, Array]  # benchmark/iterate: [games, points]
    floors: Mapping[str, float]
    measured: Mapping[str, float]
    regularization: float
    draws: Mapping[str, Array]  # benchmark/iterate: [draws, items, points]
    judges: Mapping[str, str]  # by benchmark, where there is a judge
    scored_updates: Mapping[str, tuple[float, ...]]  # by benchmark, where not all were scored
    notes: Mapping[str, tuple[str, ...]]  # by benchmark
    commit: str


def grid_label(label: str, name: str, value: object) -> str:
    """The label of a row at one point of the experiment's grid."""
    return f"{label}, {name} {value}"


def grid_point(config: Config) -> tuple[str, float | None]:
    """The row's label without its point of the grid, and that point; None without a grid."""
    row, grid = str(config["row"]), config["grid"]
    for value in grid["values"] if grid else ():
        suffix = grid_label("", grid["name"], value)
        if row.endswith(suffix):
            return row.removesuffix(suffix), float(value)
    return row, None


def row_records(
    cells: Sequence[DeclaredCell],
    output_dir: Path,
    variants: Mapping[str, Mapping[str, str]] | None = None,
) -> list[RowRecord]:
    """One record a row, in the order in which the rows are declared.

    `variants` are those of `row_variants`, where they are known already: it builds the parts.
    """
    rows: dict[str, list[DeclaredCell]] = {}
    for cell in cells:
        rows.setdefault(cell.row, []).append(cell)
    if variants is None:
        variants = row_variants(cells)
    return [_row_record(label, row, variants[label], output_dir) for label, row in rows.items()]


def _row_record(
    label: str, cells: Sequence[DeclaredCell], variants: Mapping[str, str], output_dir: Path
) -> RowRecord:
    worlds = list(dict.fromkeys(cell.world for cell in cells))
    declared = list(dict.fromkeys(cell.seed for cell in cells))
    finished = {(x.seed, x.world): x for x in cells if is_complete(output_dir, x.key)}
    failed = _failures(cells, output_dir, several=len(worlds) > 1)
    # A seed counts where it is finished in every world: none is averaged over those that are.
    seeds = [x for x in declared if all((x, world) in finished for world in worlds)]
    runs = [[_read(finished[seed, world], output_dir) for world in worlds] for seed in seeds]
    first = runs[0][0] if runs else None
    every = [run for seed_runs in runs for run in seed_runs]
    _require_equal_updates(label, every)
    comparisons = mean_counts([run.trajectory.comparisons for run in every])  # some end early
    base, point = grid_point(cells[0].config)
    return RowRecord(
        label=label,
        base=base,
        grid_point=point,
        seeds=tuple(seeds),
        missing=tuple(x for x in declared if x not in seeds and x not in failed),
        failed=failed,
        updates=first.trajectory.updates if first else np.empty(0),
        comparisons=np.empty(0) if comparisons is None else comparisons,
        preference_evaluations=first.trajectory.preference_evaluations if first else np.empty(0),
        tokens=mean_counts([run.trajectory.tokens for run in every]),
        values=_stack([_scores(seed_runs) for seed_runs in runs]),
        floors=first.floors if first else {},
        deterministic=is_deterministic(cells[0].config),
        regularization=first.regularization if first else _declared_regularization(cells[0].config),
        variants=variants,
        measured=_stack([_measured(seed_runs) for seed_runs in runs]),
        problems=_problems(first, worlds),
        tuning=cells[0].tuning,
        clusters=_clusters(cells[0].config, worlds),
        judge_draws=_stack([_draws(label, seed_runs) for seed_runs in runs]),
        judges=_judges(label, runs),
        scored_updates=first.scored_updates if first else {},
        ledger=_stack([_ledger(seed_runs) for seed_runs in runs]),
        commits=tuple(dict.fromkeys(run.commit for run in every)),
        notes=united_notes(
            {
                f"seed {seed}" + (f", world {world}" if len(worlds) > 1 else ""): run.notes
                for seed, seed_runs in zip(seeds, runs, strict=True)
                for world, run in zip(worlds, seed_runs, strict=True)
            }
        ),
    )


def _failures(cells: Sequence[DeclaredCell], output_dir: Path, several: bool) -> dict[int, str]:
    """The error of every failed seed, and its world where there are several."""
    failed: dict[int, str] = {}
    for cell in cells:
        run = read_run(run_directory(output_dir, cell.key))
        if run.get("status") == "failed":
            where = f"world {cell.world}: " if several else ""
            failed.setdefault(cell.seed, f"{where}{run['error']}")
    return failed


def _scores(worlds: Sequence[_Run]) -> dict[str, Array]:
    """Scores [items, points] of one world; of several the mean over items, [worlds, points]."""
    if len(worlds) == 1:
        return dict(worlds[0].scores)
    names = worlds[0].scores
    return {name: np.stack([run.scores[name].mean(axis=0) for run in worlds]) for name in names}


def _draws(label: str, worlds: Sequence[_Run]) -> dict[str, Array]:
    """Scores by draw [draws, items, points]; of several worlds the mean over a world's items."""
    if len(worlds) == 1:
        return dict(worlds[0].draws)
    found: dict[str, Array] = {}
    for name in worlds[0].draws:
        means = [run.draws[name].mean(axis=1) for run in worlds]
        if len({len(mean) for mean in means}) > 1:
            raise ValueError(
                f"The worlds of row {label!r} have different numbers of judge draws of {name} and "
                "cannot be averaged: have all of them judged alike."
            )
        found[name] = np.stack(means, axis=1)
    return found


def _judges(label: str, runs: Sequence[Sequence[_Run]]) -> dict[str, tuple[str, ...]]:
    """By benchmark the judge of every world, the same for all seeds."""
    found = [
        {name: tuple(run.judges[name] for run in worlds) for name in worlds[0].judges}
        for worlds in runs
    ]
    if any(each != found[0] for each in found):
        raise ValueError(
            f"The seeds of row {label!r} were scored by different judges and cannot be averaged: "
            "have all of them judged alike."
        )
    return found[0] if found else {}


def _measured(worlds: Sequence[_Run]) -> dict[str, float]:
    """The mean over worlds of what a run was measured to spend."""
    names = worlds[0].measured
    return {name: float(np.mean([run.measured[name] for run in worlds])) for name in names}


def _ledger(worlds: Sequence[_Run]) -> dict[str, float]:
    """The mean over worlds of every entry of what a run's training cost."""
    ledgers = [asdict(run.trajectory.ledger) for run in worlds]
    return {name: float(np.mean([ledger[name] for ledger in ledgers])) for name in ledgers[0]}


def _problems(first: _Run | None, worlds: Sequence[int]) -> int:
    if len(worlds) > 1:
        return len(worlds)
    return first.trajectory.ledger.problems if first else 1


def _clusters(config: Config, worlds: Sequence[int]) -> str:
    """What the items of a row's values are."""
    if len(worlds) > 1:
        return "worlds"
    return "prompts" if is_language(config) else "games"


def _read(cell: DeclaredCell, output_dir: Path) -> _Run:
    run = read_run(run_directory(output_dir, cell.key))
    store = stage_store(output_dir)
    folders = {
        name: store.folder("evaluate", key) for name, key in run["stages"]["evaluate"].items()
    }
    return _Run(
        trajectory=load_trajectory(store.folder("train", run["stages"]["train"])),
        scores={
            f"{name}/{iterate}": values.T
            for name, folder in folders.items()
            for iterate, values in read_scores(folder).items()
        },
        floors={name: read_floor(folder) for name, folder in folders.items()},
        measured=run["measured"],
        regularization=run["regularization"],
        draws={
            f"{name}/{iterate}": np.moveaxis(values, 0, -1)
            for name, folder in folders.items()
            for iterate, values in read_judge_draws(folder).items()
        },
        judges=_present({name: read_judge(folder) for name, folder in folders.items()}),
        scored_updates=_present(
            {name: read_scored_updates(folder) for name, folder in folders.items()}
        ),
        notes={name: read_notes(folder) for name, folder in folders.items()},
        commit=_commit(run["commit"]),
    )


def _commit(commit: Mapping[str, Any] | None) -> str:
    """What run.json says of the source that a run was made from, in words."""
    if commit is None:
        return "no commit, run outside of a checkout"
    return f"{commit['hash'][:12]}" + (" with uncommitted changes" if commit["dirty"] else "")


def _present(values: Mapping[str, T | None]) -> dict[str, T]:
    return {name: value for name, value in values.items() if value is not None}


def _stack(runs: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """Seeds first; only what every run has, since all runs of a row are configured alike."""
    return {key: np.array([run[key] for run in runs]) for key in (runs[0] if runs else ())}


def _require_equal_updates(label: str, runs: Sequence[_Run]) -> None:
    for run in runs[1:]:
        if not np.array_equal(run.trajectory.updates, runs[0].trajectory.updates):
            raise ValueError(
                f"The seeds of row {label!r} recorded different updates and cannot be averaged: "
                "run them with one budget and one number of iterations."
            )


def _declared_regularization(config: Config) -> float:
    declared = config["algorithm"].get("regularization", float("nan"))  # null: the algorithm knows
    return float(build(config["algorithm"]).regularization if declared is None else declared)


def row_variants(cells: Sequence[DeclaredCell]) -> dict[str, dict[str, str]]:
    """By row the training settings in which rows differ, a setting that only some have included."""
    configs = {cell.row: cell.config for cell in reversed(cells)}
    first = {cell.row: configs[cell.row] for cell in cells}
    flat = {label: dict(_flatten(training_settings(x), "")) for label, x in first.items()}
    keys = dict.fromkeys(key for settings in flat.values() for key in settings)
    differing = [key for key in keys if len({x.get(key) for x in flat.values()}) > 1]
    return {
        label: {_shown(key): settings[key] for key in differing if key in settings}
        for label, settings in flat.items()
    }


def _flatten(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from _flatten(child, f"{path}.{key}" if path else str(key))
    elif path.endswith("_target_"):
        yield path, str(value).rpartition(".")[2]
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


def _shown(key: str) -> str:
    return key.removesuffix("._target_")
