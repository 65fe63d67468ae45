"""`nlhf reproduce`: every missing cell of an experiment, then its table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from nlhf_repro.cells import Cell
from nlhf_repro.config import override_key
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.cell import is_complete
from nlhf_repro.pipeline.files import write_atomically
from nlhf_repro.pipeline.parts import build
from nlhf_repro.progress import Progress, Watch, follow
from nlhf_repro.reporting import render_cost_table, table_answers, to_markdown
from nlhf_repro.verbs.comparison import check_comparison, compare_rows, write_comparison
from nlhf_repro.verbs.experiment import Experiment, load_experiment, write_table
from nlhf_repro.verbs.result import show_table, show_warning
from nlhf_repro.verbs.run import check_parts
from nlhf_repro.verbs.sweep import quoted
from nlhf_repro.verbs.table import say_what_lacks


def reproduce(name: str, overrides: Sequence[str], config_dir: str | None, jobs: int | None) -> int:
    """Run what is missing, print the table; exit status 1 where a cell failed."""
    warnings.showwarning = show_warning
    processes = number_of_processes(jobs)
    experiment = load_experiment(name, overrides, config_dir)
    check_comparison(experiment)
    missing = missing_cells(experiment)
    for cell in missing:
        check_parts(cell.config)
    if missing:
        run_cells(experiment, missing, processes)
    records = experiment.records()
    table, figures = write_table(experiment, records)
    cost = render_cost_table(records)
    write_atomically(experiment.tables / f"{experiment.name}-cost.md", to_markdown(cost))
    answers = table_answers(records, experiment.specification)
    show_table(table, answers, experiment.tables / f"{experiment.name}.md")
    computed = compare_rows(experiment, records, processes)
    compared = write_comparison(experiment, records, name)
    met = {} if compared.table is None else {"round_robin": compared.table}
    build(experiment.cells[0].config["tracker"]).mirror_tables(
        experiment.output_dir,
        experiment.name,
        {"table": table, "cost": cost, **met},
        figures,
        experiment.tables / f"{experiment.name}-report.html",
    )
    sys.stderr.write(f"nlhf: written to {experiment.tables}\n")
    return say_what_lacks(name, records) or (0 if compared and computed else 1)


def number_of_processes(jobs: int | None) -> int:
    """Those that --jobs asks for, else one a processor.

    Raises:
        ImpossibleSettingError: fewer than one.
    """
    if jobs is not None and jobs < 1:
        raise ImpossibleSettingError(f"--jobs {jobs} runs nothing: give at least 1.")
    return jobs or os.cpu_count() or 1


def missing_cells(experiment: Experiment) -> list[Cell]:
    """Cells without a complete record; of several with one key, the first."""
    cells = {cell.key: cell for cell in reversed(experiment.cells)}
    lacking = [x for x in cells.values() if not is_complete(experiment.output_dir, x.key)]
    return lacking[::-1]


def run_cells(experiment: Experiment, cells: Sequence[Cell], jobs: int) -> Progress:
    """Compute cells of an experiment in so many processes."""
    work = {cell.key: job_overrides(experiment.overrides, cell) for cell in cells}
    log = experiment.output_dir / "logs" / f"{experiment.name}.log"
    return run_jobs(work, experiment.overrides, experiment.output_dir, log, jobs)


def run_jobs(
    work: Mapping[str, Sequence[str]],
    overrides: Sequence[str],
    output_dir: Path,
    log: Path,
    jobs: int,
) -> Progress:
    """Hand jobs to Hydra's launcher in a child process and show how their cells fare.

    Args:
        work: Every cell's key, and the overrides of its job.
        overrides: The command line, which may choose the launcher.
        output_dir: Where the cells are recorded.
        log: What the workers print goes there.
        jobs: Processes at a time.
    """
    launcher = launcher_overrides(overrides, jobs)
    lines = {"overrides": [*overrides, *launcher], "jobs": [list(x) for x in work.values()]}
    with worker(lines, log) as child:
        watch = Watch(output_dir, list(work))
        progress = follow(watch, lambda: child.poll() is None)
    if child.returncode and progress.ended < progress.cells:
        last = log.read_text().strip().rpartition("\n")[2]
        unfinished = progress.cells - progress.ended
        sys.stderr.write(f"nlhf: the launcher left {unfinished} cells unfinished: {last} ({log})\n")
    return progress


def launcher_overrides(overrides: Sequence[str], jobs: int) -> list[str]:
    """Joblib with so many processes, unless the command line chooses a launcher."""
    if any(override_key(x) == "hydra/launcher" for x in overrides):
        return []
    return ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}", "hydra.launcher.verbose=0"]


def job_overrides(overrides: Sequence[str], cell: Cell) -> list[str]:
    """What Hydra's sweeper would hand to the job of this cell."""
    own = [f"row={quoted(cell.row or '')}", f"seed={cell.seed}", f"world={cell.world}"]
    given = (x for x in overrides if not override_key(x).startswith("hydra"))
    return [*(x for x in given if override_key(x) != "world"), *own]


@contextmanager
def worker(work: object, log: Path) -> Iterator[subprocess.Popen[str]]:
    """A child in a process group of its own, which ends with this process, however that ends."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(x for x in sys.path if x)}
    with log.open("w") as output:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "nlhf_repro.verbs.worker"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            env=environment,
        )
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(work) + "\n")
            child.stdin.flush()
            yield child
        finally:
            child.stdin.close()
            child.wait()
