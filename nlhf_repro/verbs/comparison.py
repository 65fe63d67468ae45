"""The second table of an experiment, its rows against each other, and the page of their answers."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlhf_repro.interfaces import ImpossibleSettingError, RoundRobinSettings, RowRecord
from nlhf_repro.pipeline.cell import stage_store
from nlhf_repro.pipeline.files import write_atomically
from nlhf_repro.pipeline.keys import is_language
from nlhf_repro.reporting import (
    Table,
    render_published_matrix,
    render_round_robin,
    samples_page,
)
from nlhf_repro.verbs.experiment import Experiment, write_forms
from nlhf_repro.verbs.printed import Printed
from nlhf_repro.verbs.result import show_table

Rows = Mapping[str, Mapping[str, Any]]


def check_comparison(experiment: Experiment) -> None:
    """Refuse a comparison, or a page of answers, that the experiment's rows do not allow.

    Raises:
        ImpossibleSettingError: says why.
    """
    asked = experiment.specification
    if asked.round_robin is not None:
        from nlhf_repro.pipeline.language.round_robins import check_round_robin

        check_round_robin(experiment.declared, asked.round_robin)
    if asked.samples and not is_language(experiment.cells[0].config):
        raise ImpossibleSettingError(
            f"table.samples = {asked.samples} shows answers of language models, and policies play "
            "games here: set it to 0."
        )


def compare_rows(experiment: Experiment, records: Sequence[RowRecord], processes: int) -> bool:
    """Compute what the comparison of the complete rows lacks, a seed and world a job.

    Returns:
        Whether nothing failed; failures are named on standard error.
    """
    settings = experiment.specification.round_robin
    if settings is None:
        return True
    from nlhf_repro.pipeline.language.comparison import is_compared
    from nlhf_repro.pipeline.language.round_robins import complete_rows, units

    store = stage_store(experiment.output_dir)
    work = units(experiment.declared, complete_rows(records)[0])
    jobs = [
        (f"seed {seed}, world {world}", rows)
        for (seed, world), rows in work.items()
        if not is_compared(rows, settings, store)
    ]
    return not jobs or run_comparisons(jobs, settings, experiment.output_dir, processes)


def run_comparisons(
    jobs: Sequence[tuple[str, Rows]], settings: RoundRobinSettings, output_dir: Path, processes: int
) -> bool:
    """Compare rows in so many processes; `jobs` holds the words for a seed and world, and its rows.

    Returns:
        Whether nothing failed; what did stops no other job.
    """
    failed = 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(jobs)), mp_context=context) as pool:
        running: dict[Future[None], str] = {
            pool.submit(compare_at, rows, settings, output_dir): at for at, rows in jobs
        }
        for done, future in enumerate(as_completed(running), 1):
            error = future.exception()
            sys.stderr.write(f"nlhf: rows compared at {done} of {len(jobs)} seeds and worlds\n")
            if error is not None:
                failed += 1
                line = " ".join(str(error).split()) or "no message"
                where = running[future]
                sys.stderr.write(
                    f"nlhf: comparing rows failed at {where}: {type(error).__name__}: {line}\n"
                )
    return not failed


def compare_at(rows: Rows, settings: RoundRobinSettings, output_dir: Path) -> None:
    """Compare the rows of one seed and world; a job of a process of its own."""
    from nlhf_repro.pipeline.language.comparison import compute_comparison

    compute_comparison(rows, settings, stage_store(output_dir))


@dataclass(frozen=True)
class Comparison:
    """How writing the comparison went: its table, where there is one, and whether nothing lacks."""

    table: Table | None
    whole: bool

    def __bool__(self) -> bool:
        """Whether nothing lacks."""
        return self.whole


def write_comparison(experiment: Printed, records: Sequence[RowRecord], again: str) -> Comparison:
    """Write and print NAME-round-robin.{md,tex,csv}, and write NAME-samples.md, where asked for.

    NAME-published.{md,tex,csv} sets a paper's matrix beside it, where the table file names one.
    Where rows are complete and were not compared, standard error says so.
    """
    asked = experiment.specification
    if asked.samples and (shown := experiment.shown(records)):
        page = experiment.tables / f"{experiment.name}-samples.md"
        write_atomically(page, samples_page(asked.title, shown))
    if asked.round_robin is None:
        return Comparison(None, whole=True)
    from nlhf_repro.pipeline.language.comparison import NotComparedError

    try:
        record = experiment.round_robin(records)
    except NotComparedError as error:
        sys.stderr.write(f"nlhf: rows are not compared: {error} nlhf reproduce {again}\n")
        return Comparison(None, whole=False)
    if record is None:
        sys.stderr.write("nlhf: no row is complete, so none is compared\n")
        return Comparison(None, whole=False)
    name = f"{experiment.name}-round-robin"
    table = write_forms(experiment, render_round_robin(record, asked.title, asked.level), name)
    sys.stdout.write("\n")
    show_table(table, (), experiment.tables / f"{name}.md")
    sys.stderr.write(f"nlhf: rows against each other: {experiment.tables / name}.md\n")
    if asked.published_matrix is not None:
        beside = render_published_matrix(record, asked.published_matrix, asked.title, asked.level)
        name = f"{experiment.name}-published"
        sys.stdout.write("\n")
        path = experiment.tables / f"{name}.md"
        show_table(write_forms(experiment, beside, name), (), path)
    return Comparison(table, whole=True)
