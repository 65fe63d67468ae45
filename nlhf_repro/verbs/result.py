"""What is said of a finished cell on the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlhf_repro.cells import Cell
from nlhf_repro.config import override_key
from nlhf_repro.interfaces import Array
from nlhf_repro.pipeline.cell import CellResult, read_run, stage_store
from nlhf_repro.pipeline.keys import is_deterministic, is_language
from nlhf_repro.pipeline.metrics import read_floor, read_judge_draws, read_scores
from nlhf_repro.reporting import Answer, Table
from nlhf_repro.reporting.terminal import WIDTH, to_summary
from nlhf_repro.uncertainty import GapsRefusedError, estimate, geometric_mean, judge_note


def short_report(cell: Cell, result: CellResult) -> Iterator[str]:
    """One line on one cell of a sweep."""
    state = "complete" if result.fresh else "complete before"
    own = [x for x in cell.overrides if override_key(x) not in ("row", "seed", "experiment")]
    which = cell.row if cell.row is not None else " ".join(own)
    exact = is_deterministic(cell.config)
    seed = "exact, so that seeds change nothing" if exact else f"seed {cell.seed}"
    name, key = next(iter(read_run(result.directory)["stages"]["evaluate"].items()))
    folder = stage_store(Path(cell.config["output_dir"])).folder("evaluate", key)
    final = read_scores(folder)["last"][-1]
    yield f"{which} ({seed}): {state}, median {name} {np.median(final):.3g}, {result.directory}"


def full_report(cell: Cell, result: CellResult) -> Iterator[str]:
    """Where the records are, and every benchmark's final value with its interval over games."""
    state = "complete" if result.fresh else "was complete before: nothing was run"
    yield f"{result.directory} {state}"
    store = stage_store(Path(cell.config["output_dir"]))
    run = read_run(result.directory)
    for name, key in run["stages"]["evaluate"].items():
        folder = store.folder("evaluate", key)
        for iterate, values in read_scores(folder).items():
            final = values[-1:]
            alone = is_deterministic(cell.config) or run["ledger"]["problems"] == final.shape[1]
            items = "prompts" if is_language(cell.config) else "games"
            draws = read_judge_draws(folder).get(iterate)
            drawn = None if draws is None else draws[-1:]
            text = summary(final, read_floor(folder), alone, items, drawn)
            yield f"  {name}, {iterate} iterate: {text}"


def summary(
    values: Array,
    floor: float,
    nested: bool,
    items: str = "games",
    judge_draws: Array | None = None,
) -> str:
    """Geometric mean (arithmetic where there is no floor) of values [1, items] and its interval.

    `items` is their plural noun; `nested` where every game is a training run of its own, or
    training draws nothing at random. `judge_draws` [1, draws, items] are the values by every draw.
    """
    try:
        kind = "geometric mean" if floor > 0 else "mean"
        result: Any = (
            geometric_mean(values, floor, nested=nested)
            if floor > 0
            else estimate(values, nested=nested, judge_draws=judge_draws)
        )
    except GapsRefusedError as error:
        at_floor = int((values <= floor).sum())
        if at_floor:
            some = f"{at_floor} of {values.size} {items}"
            return f"maximum {values.max():.3g}; at the numerical floor {floor:g} in {some}"
        return f"maximum {values.max():.3g} ({error})"
    level = "" if nested else "; one training run: no training variance"
    if judge_draws is not None and floor <= 0:
        level += f"; {judge_note(result.judge_draws, result.judge_alike)}"
    count = values.shape[1]
    if count == 1:
        return f"{result.estimate:.4g} (one {items.removesuffix('s')}: no interval)"
    return (
        f"{kind} {result.estimate:.4g}, 95% interval [{result.lower:.4g}, {result.upper:.4g}] "
        f"over {count} {items}{level}"
    )


def show_table(table: Table, answers: Sequence[Answer], path: Path | None = None) -> None:
    """A table on standard output, as wide as the terminal; the whole one stands at `path`.

    Of the path the name alone is said: the same records print the same wherever they lie. Without a
    path this is the whole table, with all its notes.
    """
    width = shutil.get_terminal_size((WIDTH, 24)).columns
    sys.stdout.write(to_summary(table, answers, path.name if path else None, width))


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning in one line, without the source line that raised it."""
    sys.stderr.write(f"warning: {message}\n")
