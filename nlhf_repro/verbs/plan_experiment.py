"""`nlhf plan NAME`: what an experiment asks, draws, trains and costs, before any of it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.measured_runs import measured_runs
from nlhf_repro.pipeline.planned import PlannedJudging, PlannedTraining
from nlhf_repro.reporting import Cell, Table, TableRow, to_csv, to_latex, to_markdown
from nlhf_repro.verbs.experiment import Experiment, load_experiment
from nlhf_repro.verbs.plan_costs import duration
from nlhf_repro.verbs.plan_notes import plan_notes
from nlhf_repro.verbs.result import show_table
from nlhf_repro.verbs.row_plans import UNKNOWN, RowPlan, calls_of, count, judgings, row_plans

HEADER = (
    *("row", "cells", "complete", "updates", "comparisons", "responses", "sampled tokens"),
    *("gradient steps", "judge calls", "time a cell", "peak MiB", "time left"),
)
_OF_COMPARISONS = (
    *("benchmark", "questions", "seeds", "seed_sd", "prompt_sd", "noise_sd", "effect", "pilot"),
    *("metric", "costs_of"),
)


def plan_experiment(known: argparse.Namespace, words: Sequence[str]) -> int:
    """Print the plan of the experiment that the first word names; the others are overrides.

    Raises:
        ImpossibleSettingError: no such experiment, or options about comparisons of algorithms.
    """
    given = [name for name in _OF_COMPARISONS if getattr(known, name) is not None]
    if given or known.tests != 1 or known.power != 0.8:
        option = (given or ["tests" if known.tests != 1 else "power"])[0].replace("_", "-")
        raise ImpossibleSettingError(
            f"--{option} plans a comparison of two algorithms, and {words[0]} is an experiment: "
            "drop one of them."
        )
    experiment = load_experiment(words[0], words[1:], known.config_dir)
    table = plan_table(experiment)
    if known.format == "json":
        raise ImpossibleSettingError("--format json: a plan is a table, so say csv.")
    if known.format == "terminal":
        show_table(table, ())
    else:
        write = {"markdown": to_markdown, "latex": to_latex, "csv": to_csv}
        sys.stdout.write(write[known.format](table))
    return 0


def plan_table(experiment: Experiment) -> Table:
    """A line a row, its counts those of one cell, and one of everything together."""
    runs = measured_runs(experiment.output_dir)
    rows = row_plans(experiment, runs)
    every = {key: row for row in rows for key in row.keys}
    left = {key: row for key, row in every.items() if key not in row.complete}
    return Table(
        title=f"Plan of {experiment.name}",
        caption=f"What {experiment.name} asks, draws and trains; nothing has been run.",
        header=HEADER,
        rows=(*map(_line, rows), _total(every, left)),
        notes=tuple(plan_notes(experiment, rows, left, runs)),
    )


def _line(row: RowPlan) -> TableRow:
    training, speed = row.training, row.speed
    texts = (
        str(len(row.keys)),
        str(len(row.complete)),
        count(training.updates),
        count(training.comparisons),
        count(training.responses),
        _tokens(row),
        "until it converges" if training.gradient_steps is None else count(training.gradient_steps),
        _calls(row.judgings[row.keys[0]]),
        f"{UNKNOWN}: no run here yet" if speed is None else _range(speed.least, speed.most),
        UNKNOWN if speed is None else count(round(speed.mebibytes)),
        _left([row]) if row.left else "0 s",
    )
    return TableRow(row.label, tuple(map(Cell, texts)))


def _total(every: Mapping[str, RowPlan], left: Mapping[str, RowPlan]) -> TableRow:
    """Sums over cells that have different keys, and over different judgings."""
    trainings = [row.training for row in every.values()]
    steps = [x.gradient_steps for x in trainings]
    texts = (
        str(len(every)),
        str(len(every) - len(left)),
        count(sum(x.updates for x in trainings)),
        count(sum(x.comparisons for x in trainings)),
        count(sum(x.responses for x in trainings)),
        _count_tokens(trainings),
        UNKNOWN if None in steps else count(sum(x or 0 for x in steps)),
        _calls(judgings(every).values()),
        "",
        "",
        _left([left[key] for key in left], each=True) if left else "0 s",
    )
    return TableRow("in all", tuple(map(Cell, texts)))


def _calls(planned: Iterable[PlannedJudging]) -> str:
    calls = calls_of(planned)
    return f"{UNKNOWN}: no questions here" if calls is None else count(calls)


def _tokens(row: RowPlan) -> str:
    most = row.training.most_sampled_tokens
    if most is None:
        return "-"
    measured = row.speed.tokens if row.speed else None
    text = f"at most {count(most)}"
    return text if measured is None else f"{text}, {count(round(measured[0]))} in runs"


def _count_tokens(trainings: Sequence[PlannedTraining]) -> str:
    known = [x.most_sampled_tokens for x in trainings if x.most_sampled_tokens is not None]
    return f"at most {count(sum(known))}" if known else "-"


def _left(rows: Sequence[RowPlan], each: bool = False) -> str:
    """Seconds of the cells that are left; of `each` row one cell."""
    counts = [1 if each else row.left for row in rows]
    known = [(row.speed, n) for row, n in zip(rows, counts, strict=True) if row.speed is not None]
    lacking = sum(n for row, n in zip(rows, counts, strict=True) if row.speed is None)
    if not known:
        return UNKNOWN
    least = sum(speed.least * n for speed, n in known)
    most = sum(speed.most * n for speed, n in known)
    text = _range(least, most)
    return f"{text}, and {lacking} cells {UNKNOWN}" if lacking else text


def _range(least: float, most: float) -> str:
    low, high = duration(least), duration(most)
    return low if low == high else f"{low} to {high}"
