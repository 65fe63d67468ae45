"""`nlhf report`: one HTML file that shows experiments from what is on disk; nothing is run."""

from __future__ import annotations

import re
import shlex
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from nlhf_repro.config import search_folders, search_path_override
from nlhf_repro.interfaces import ImpossibleSettingError, RoundRobinRecord, RowRecord
from nlhf_repro.pipeline.cell import is_complete, read_run, run_directory, stage_store
from nlhf_repro.pipeline.files import write_atomically
from nlhf_repro.pipeline.keys import is_language
from nlhf_repro.pipeline.training_logs import logged_records
from nlhf_repro.reporting.report import CellFacts, Material, SampleSet, report_page
from nlhf_repro.verbs.comparison import check_comparison
from nlhf_repro.verbs.experiment import Experiment, load_experiment, name_experiment
from nlhf_repro.verbs.result import show_warning
from nlhf_repro.verbs.table import say_what_lacks

ALL = "report"


def report(arguments: Sequence[str], config_dir: str | None, out: str | None) -> int:
    """Write the report and print its path; exit status 1 where something lacks.

    Args:
        arguments: Names of experiments and overrides; without a name, every experiment that the
            output folder has records of.
        config_dir: A folder of the user's own configurations.
        out: The file; None: beside the tables.
    """
    warnings.showwarning = show_warning
    overrides = [x for x in arguments if "=" in x]
    names = list(dict.fromkeys(x for x in arguments if "=" not in x))
    own = [*(["--config-dir", config_dir] if config_dir else [])]
    experiments = {name: load_experiment(name, overrides, config_dir) for name in names}
    if not names:
        experiments = recorded_experiments(overrides, config_dir)
    materials, status = [], 0
    for name, experiment in experiments.items():
        check_comparison(experiment)
        asked = asked_paragraphs(name, overrides, config_dir)
        again = shlex.join([name, *overrides, *own])
        material = material_of(experiment, asked, again)
        materials.append(material)
        status |= say_what_lacks(again, material.records) or int(bool(material.lacking))
        for line in material.lacking:
            sys.stderr.write(f"nlhf: {line}\n")
    path = Path(out) if out else _beside(list(experiments.values()), named=bool(names))
    write_atomically(path, report_page(materials))
    sys.stdout.write(f"{path}\n")
    return status


def _beside(experiments: Sequence[Experiment], named: bool) -> Path:
    """The file beside the tables of one experiment, or of several in the folder of all."""
    first = experiments[0]
    if not named:
        return first.output_dir / "tables" / f"{ALL}.html"
    return first.tables / f"{'-'.join(x.name for x in experiments)}-{ALL}.html"


def recorded_experiments(overrides: Sequence[str], config_dir: str | None) -> dict[str, Experiment]:
    """Every experiment of which the output folder has at least one declared cell's record.

    Raises:
        ImpossibleSettingError: there is none.
    """
    given = (x.partition("=")[2] for x in overrides if x.startswith("output_dir="))
    folder = Path(next(given, "outputs"))
    runs = (read_run(path.parent) for path in sorted(folder.glob("runs/*/run.json")))
    names = sorted({str(run["experiment"]) for run in runs if run.get("experiment")})
    found = {}
    for name in names:
        try:
            experiment = load_experiment(name, overrides, config_dir)
        except ImpossibleSettingError as error:
            sys.stderr.write(f"nlhf: the runs of {name} are left out: {error}\n")
            continue
        if any(run_directory(experiment.output_dir, x.key).exists() for x in experiment.cells):
            found[name] = experiment
        else:
            sys.stderr.write(
                f"nlhf: the runs of {name} are left out: none is a cell of the experiment as it is "
                f"declared; name it with the overrides that it was run with\n"
            )
    if not found:
        raise ImpossibleSettingError(
            f"{folder} has no records of a declared experiment: run one first, as in nlhf "
            "reproduce comal_game."
        )
    return found


def material_of(experiment: Experiment, asked: tuple[str, ...], command: str) -> Material:
    """What the store and the records hold of an experiment."""
    records = experiment.records()
    round_robin, lacking = _round_robin(experiment, records)
    language = is_language(experiment.cells[0].config)
    logged = logged_records(experiment.declared, records, experiment.output_dir) if language else []
    return Material(
        name=experiment.name,
        asked=asked,
        command=command,
        changes=experiment.changes,
        specification=experiment.specification,
        records=tuple(records),
        logged=tuple(logged),
        round_robin=round_robin,
        lacking=lacking,
        samples=tuple(_samples(experiment, records)) if language else (),
        cells=tuple(_facts(experiment)),
    )


def _facts(experiment: Experiment) -> Iterable[CellFacts]:
    folder = experiment.output_dir
    for cell in experiment.cells:
        run = read_run(run_directory(folder, cell.key))
        complete = is_complete(folder, cell.key)
        yield CellFacts(cell.row or "", cell.seed, cell.world, cell.key, complete, run)


def _round_robin(
    experiment: Experiment, records: Sequence[RowRecord]
) -> tuple[RoundRobinRecord | None, tuple[str, ...]]:
    settings = experiment.specification.round_robin
    if settings is None:
        return None, ()
    from nlhf_repro.pipeline.language.comparison import NotComparedError
    from nlhf_repro.pipeline.language.round_robins import round_robin_record

    store = stage_store(experiment.output_dir)
    try:
        record = round_robin_record(experiment.declared, records, settings, store)
    except NotComparedError as error:
        return None, (f"rows are not compared with each other: {error}",)
    return record, () if record else ("no row is complete, so none is compared with another",)


def _samples(experiment: Experiment, records: Sequence[RowRecord]) -> Iterable[SampleSet]:
    from nlhf_repro.pipeline.language.round_robins import shown_prompts
    from nlhf_repro.pipeline.language.shown_judgments import judged_names, shown_questions

    if not any(record.seeds for record in records):
        return
    store, cells = stage_store(experiment.output_dir), experiment.declared
    which = "by the first seed in the first world: the first that was sampled, not a chosen one"
    prompts = shown_prompts(cells, records, None, store)
    asked = any(answer.preferred is not None for x in prompts for answer in x.answers)
    yield SampleSet(
        title="evaluation prompts",
        note=f"One answer of every row to every evaluation prompt, {which}.",
        compared_with="the probability with which the true oracle prefers it to the reference's"
        if asked
        else "",
        prompts=tuple(prompts),
    )
    for name in judged_names(cells[0].config):
        questions = shown_questions(name, cells, records, store)
        judged = any(answer.preferred is not None for x in questions for answer in x.answers)
        yield SampleSet(
            title=f"questions of {name}",
            note=f"Every row's answer to every question of {name}, by the first seed in the first "
            "world.",
            compared_with="how the judge scored it against the answer it is compared with, the "
            "mean over the judge's draws"
            if judged
            else "",
            prompts=tuple(questions),
        )


def asked_paragraphs(
    name: str, overrides: Sequence[str], config_dir: str | None
) -> tuple[str, ...]:
    """The comments at the head of the experiment's file, a paragraph each; () without a file."""
    choice = name_experiment(name, overrides, config_dir).choice
    for folder in search_folders(search_path_override(config_dir))[::-1]:
        path = folder / "experiment" / f"{choice}.yaml"
        if path.is_file():
            return paragraphs(path.read_text())
    return ()


def paragraphs(text: str) -> tuple[str, ...]:
    """The leading comments of a YAML file without Hydra's directive; empty comments part them."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if "@package" not in line:
            lines.append(line.removeprefix("#").strip())
    parts = re.split(r"\n{2,}", "\n".join(lines))
    return tuple(" ".join(part.split()) for part in parts if part.strip())
