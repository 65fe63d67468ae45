"""`nlhf tune`: try the declared settings of every row of a search, and keep the best ones."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from nlhf_repro.cells import Cell, declared_rows, plain_rows, row_cells
from nlhf_repro.config import compose_config, conf_directory, search_folders
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.files import digest, write_atomically
from nlhf_repro.pipeline.keys import is_language
from nlhf_repro.pipeline.records import grid_point
from nlhf_repro.pipeline.stages import game_of
from nlhf_repro.search import Parameters, Search, as_override, proposals, read_search
from nlhf_repro.trials import SearchedRow, Trial, check_metric, has_ended, outcome
from nlhf_repro.tuned import declared_digest
from nlhf_repro.validation import suggestion
from nlhf_repro.verbs.experiment import NamedExperiment, name_experiment
from nlhf_repro.verbs.reproduce import job_overrides, number_of_processes, run_jobs
from nlhf_repro.verbs.result import show_warning
from nlhf_repro.verbs.run import check_parts
from nlhf_repro.verbs.sweep import quoted
from nlhf_repro.verbs.winners import Results, best, summary, trial_table, winners_file


def tune(name: str, overrides: Sequence[str], config_dir: str | None, jobs: int | None) -> int:
    """Run the trials that have not ended, write conf/tuned/NAME.yaml and NAME.csv, say what won.

    A search that the command line changes is another one: its winners are called NAME-DIGITS.
    Exit status 1 where trials are unfinished or a row has no winner.
    """
    warnings.showwarning = show_warning
    processes = number_of_processes(jobs)
    named = name_experiment(name, overrides, config_dir, scale="tune")
    folder = _folder(config_dir)
    declared = declared_digest(named.choice, search_folders(named.arguments), named.changes)
    config = compose_config(named.arguments)
    search = _search(config, named)
    rows = list(_searched_rows(config, search, named))
    _run_trials(rows, named, processes)
    unfinished = sum(not has_ended(cell) for cell in _cells(rows).values())
    if unfinished:
        sys.stderr.write(f"nlhf: {unfinished} cells are unfinished: the same command goes on.\n")
        return 1
    outcomes = {row.label: [outcome(x, search.metric) for x in row.trials] for row in rows}
    results = Results(named.choice, sorted(named.changes), declared, search, rows, outcomes)
    title = f"{named.title}-{digest(sorted(named.changes))[:8]}" if named.changes else named.title
    write_atomically(folder / f"{title}.csv", trial_table(results))
    write_atomically(folder / f"{title}.yaml", winners_file(results))
    sys.stdout.write(summary(results, title))
    sys.stderr.write(f"nlhf: written to {folder / title}.yaml and .csv\n")
    without = [row.label for row in rows if row.trials and best(outcomes[row.label]) is None]
    for label in without:
        sys.stderr.write(f"nlhf: {label} has no winner: all of its trials failed.\n")
    return 1 if without else 0


def _folder(config_dir: str | None) -> Path:
    """Where winners go: into the user's own folder, else into the checkout's.

    Raises:
        ImpossibleSettingError: the package is installed, and its files are not the user's.
    """
    if config_dir is not None:
        return Path(config_dir).resolve() / "tuned"
    shipped = conf_directory()
    if shipped.parent.name == "nlhf_repro" and (shipped.parent / "config.py").is_file():
        raise ImpossibleSettingError(
            "the winners would be written into the installed package: give a folder of your own "
            "with --config-dir."
        )
    return shipped / "tuned"


def _search(config: DictConfig, named: NamedExperiment) -> Search:
    if config.search is None:
        raise ImpossibleSettingError(
            f"conf/experiment/{named.choice}.yaml declares no search: give it trials, seed, metric "
            "and spaces."
        )
    if config.tuning is not None:
        raise ImpossibleSettingError(
            f"tuning = {config.tuning} in a search would search on top of another one: set it to "
            "null."
        )
    return read_search(OmegaConf.to_container(config.search, resolve=True), plain_rows(config))


def _searched_rows(
    config: DictConfig, search: Search, named: NamedExperiment
) -> Iterator[SearchedRow]:
    """Every row at every point of the grid with its trials, each composed and checked."""
    own = plain_rows(config)
    for label, values in declared_rows(config, named.arguments).items():
        cells = list(row_cells(named.arguments, label, {label: values}))
        check_parts(cells[0].config)
        check_metric(search.metric, cells[0].config)
        if not is_language(cells[0].config):
            _check_worlds_differ(cells[0])
        base, _ = grid_point(cells[0].config)
        space = search.spaces[base]
        present = {key: _present(cells[0], base, key) for key in space}
        settings = proposals(search, base, present)
        trials = [
            _trial(named.arguments, label, values, number, parameters)
            for number, parameters in enumerate(settings)
        ]
        first_is_untuned = bool(settings) and settings[0] == present
        yield SearchedRow(label, own[base], space, trials, cells, first_is_untuned)


def _present(cell: Cell, base: str, key: str) -> Any:
    """What the untuned row has under a key.

    Raises:
        ImpossibleSettingError: it has no such key, or a group of keys.
    """
    node: Any = cell.config
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(node, Mapping) or part not in node:
            known = node if isinstance(node, Mapping) else ()
            path = ".".join(["search.spaces", base, *parts[: depth + 1]])
            raise ImpossibleSettingError(
                f"{path} is no key of this row: {suggestion(part, map(str, known))}"
            )
        node = node[part]
    return node


def _trial(
    arguments: Sequence[str],
    label: str,
    values: Sequence[str],
    number: int,
    parameters: Parameters,
) -> Trial:
    """A trial's cells; a setting that is refused is a trial without any."""
    own = [as_override(key, value) for key, value in parameters.items()]
    laid_over = f"trial=[{','.join(quoted(x) for x in own)}]"
    try:
        cells = tuple(row_cells([*arguments, laid_over], label, {label: [*values, *own]}))
        check_parts(cells[0].config)
    except ImpossibleSettingError as refusal:
        return Trial(label, number, parameters, (), str(refusal))
    return Trial(label, number, parameters, cells, "")


def _check_worlds_differ(cell: Cell) -> None:
    """Refuse preferences that are the same in every world: none would be left to report on."""
    here = game_of(cell.config)
    there = game_of({**cell.config, "world": cell.config["world"] + 1})
    if np.array_equal(here.preference_matrix, there.preference_matrix):
        raise ImpossibleSettingError(
            f"the oracle of row {cell.row!r} has the same preferences in every world, whatever its "
            "references, so that settings would be reported on the games that chose them: tune on "
            "an oracle that draws games."
        )


def _cells(rows: Sequence[SearchedRow]) -> dict[str, Cell]:
    return {cell.key: cell for row in rows for trial in row.trials for cell in trial.cells}


def _run_trials(rows: Sequence[SearchedRow], named: NamedExperiment, processes: int) -> None:
    cells = _cells(rows)
    pending = {key: cell for key, cell in cells.items() if not has_ended(cell)}
    trials = sum(len(row.trials) for row in rows)
    sys.stderr.write(f"nlhf: {trials} trials, {len(pending)} of {len(cells)} cells to run\n")
    if not pending:
        return
    output_dir = Path(next(iter(pending.values())).config["output_dir"])
    log = output_dir / "logs" / f"tune-{named.title}.log"
    work = {key: job_overrides(cell.overrides, cell) for key, cell in pending.items()}
    run_jobs(work, named.arguments, output_dir, log, processes)
