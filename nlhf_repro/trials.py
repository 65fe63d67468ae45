"""Trials: the cells of a search, and what came of them, read from their records."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlhf_repro.cells import Cell
from nlhf_repro.interfaces import Algorithm, Array, ImpossibleSettingError
from nlhf_repro.pipeline.cell import is_complete, read_run, run_directory, stage_store
from nlhf_repro.pipeline.keys import is_deterministic
from nlhf_repro.pipeline.metrics import read_floor, read_scores
from nlhf_repro.pipeline.parts import build
from nlhf_repro.pipeline.scored import kind_of
from nlhf_repro.search import Metric, Parameters, Space
from nlhf_repro.uncertainty import estimate


@dataclass(frozen=True)
class Trial:
    """One setting of one row; `refusal` is why it has no cells, else empty."""

    row: str
    number: int
    parameters: Parameters
    cells: tuple[Cell, ...]
    refusal: str


@dataclass(frozen=True)
class SearchedRow:
    """One row of a search at one point of its grid, and the trials that it is given.

    Attributes:
        label: Of the row, with its point of the grid.
        overrides: The row's own, as its experiment declares them.
        space: What is searched; empty where the row has nothing to tune.
        trials: In the order of the sequence.
        cells: Of the row's own settings; they are declared and need not be run.
        first_is_untuned: Whether the first trial has the row's own settings.
    """

    label: str
    overrides: Sequence[str]
    space: Space
    trials: Sequence[Trial]
    cells: Sequence[Cell]
    first_is_untuned: bool


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Attributes:
        state: complete; failed, in training or scoring; or refused, before any work.
        value: Mean over games and seeds; infinite where the trial is not complete.
        standard_error: Games as clusters; NaN where there is none.
        interval: 95 %, over games; None where there is none.
        comparisons: A game, over all seeds; of a failed run all that it could have asked.
        reason: Why it is not complete, else empty.
    """

    state: str
    value: float
    standard_error: float
    interval: tuple[float, float] | None
    comparisons: int
    reason: str


def has_ended(cell: Cell) -> bool:
    """Whether the cell is complete or has failed: a failure counts, and is not tried again."""
    return _is_complete(cell) or _has_failed(cell)


def outcome(trial: Trial, metric: Metric) -> Outcome:
    """What the records of an ended trial say."""
    nothing = (math.inf, math.nan, None)
    if trial.refusal:
        return Outcome("refused", *nothing, 0, trial.refusal)
    spent = sum(_comparisons(cell) for cell in trial.cells)
    for cell in trial.cells:
        if not _is_complete(cell):
            return Outcome("failed", *nothing, spent, f"seed {cell.seed}: {_run(cell)['error']}")
    values, floor = _values(trial.cells, metric)
    if floor > 0 and values.min() < -floor:
        reason = f"{metric.benchmark} is {values.min():.3g}, negative beyond rounding"
        return Outcome("failed", *nothing, spent, reason)
    config = trial.cells[0].config
    problems = _run(trial.cells[0])["ledger"]["problems"]
    worlds = len({cell.world for cell in trial.cells})
    nested = worlds > 1 or problems == values.shape[1]
    mean = estimate(values, deterministic=is_deterministic(config), nested=nested)
    finite = math.isfinite(mean.lower) and math.isfinite(mean.upper)
    interval = (mean.lower, mean.upper) if finite else None
    return Outcome("complete", mean.estimate, mean.standard_error, interval, spent, "")


def total_comparisons(trials: Sequence[Trial]) -> int:
    """Comparisons a game on all trials, every cell once, however many trials share it."""
    cells = {cell.key: cell for trial in trials for cell in trial.cells}
    return sum(_comparisons(cell) for cell in cells.values())


def check_metric(metric: Metric, config: Mapping[str, Any]) -> None:
    """Refuse a metric that the cells do not record, that tuning must not see, or that is no gap.

    Raises:
        ImpossibleSettingError: naming the key.
    """
    if metric.benchmark not in config["benchmark"]:
        raise ImpossibleSettingError(
            f"search.metric.benchmark = {metric.benchmark} is none of the experiment's benchmarks: "
            f"choose from {', '.join(config['benchmark'])}."
        )
    if kind_of(config["benchmark"][metric.benchmark]) in ("judged", "model"):
        raise ImpossibleSettingError(
            f"search.metric.benchmark = {metric.benchmark} has questions of its own, which tuning "
            "must not see: choose a gap on the search's own prompts or games, such as "
            "oracle_exploitability."
        )
    benchmark = build(config["benchmark"][metric.benchmark])
    if not (benchmark.floor > 0 or getattr(benchmark, "estimates_a_gap", False)):
        raise ImpossibleSettingError(
            f"search.metric.benchmark = {metric.benchmark} has no floor and so is no gap, of which "
            "the least is best: choose one."
        )
    if metric.iterate == "average" and not config["training"]["average_iterate"]:
        raise ImpossibleSettingError(
            "search.metric.iterate = average needs training.average_iterate = true: set it."
        )


def _values(cells: Sequence[Cell], metric: Metric) -> tuple[Array, float]:
    """The metric's benchmark at the end of training, and its floor.

    [seeds, items] of one world; of several the mean over items, [seeds, worlds].
    """
    folders = list(_score_folders(cells, metric))
    rows = [read_scores(folder)[metric.iterate][-1] for folder in folders]
    worlds = list(dict.fromkeys(cell.world for cell in cells))
    if len(worlds) == 1:
        return np.stack(rows), read_floor(folders[0])
    by_world = [
        [row.mean() for cell, row in zip(cells, rows, strict=True) if cell.world == world]
        for world in worlds
    ]
    return np.array(by_world).T, read_floor(folders[0])


def _score_folders(cells: Sequence[Cell], metric: Metric) -> Iterator[Path]:
    for cell in cells:
        store = stage_store(Path(cell.config["output_dir"]))
        yield store.folder("evaluate", _run(cell)["stages"]["evaluate"][metric.benchmark])


def _comparisons(cell: Cell) -> int:
    """What the run asked for every game; where it failed, the most that it could have asked."""
    if _is_complete(cell):
        return int(_run(cell)["ledger"]["comparisons"])
    from nlhf_repro.pipeline.comparisons import iteration_comparisons

    config = cell.config
    if config["training"]["face"] != "sampled":
        return 0
    if config["budget"]["comparisons"] is not None:
        return int(config["budget"]["comparisons"])
    algorithm: Algorithm = build(config["algorithm"])
    groups = config["training"]["groups_per_iteration"]
    return sum(
        iteration_comparisons(list(algorithm.phases(iteration)), groups)
        for iteration in range(config["training"]["iterations"])
    )


def _is_complete(cell: Cell) -> bool:
    return is_complete(Path(cell.config["output_dir"]), cell.key)


def _has_failed(cell: Cell) -> bool:
    run = _run(cell)
    return run.get("status") == "failed" and run.get("key") == cell.key


def _run(cell: Cell) -> dict[str, Any]:
    return read_run(run_directory(Path(cell.config["output_dir"]), cell.key))
