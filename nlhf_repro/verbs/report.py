"""`nlhf report`: one HTML file that shows experiments from what is on disk, or in bundles.

Nothing is run.
"""

from __future__ import annotations

import re
import shlex
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlhf_repro.config import search_folders, search_path_override
from nlhf_repro.interfaces import ImpossibleSettingError, RoundRobinRecord, RowRecord
from nlhf_repro.pipeline.cell import is_complete, read_run, run_directory
from nlhf_repro.pipeline.files import write_atomically
from nlhf_repro.pipeline.keys import is_language
from nlhf_repro.pipeline.training_logs import logged_records
from nlhf_repro.reporting.report import CellFacts, Material, report_page
from nlhf_repro.verbs.comparison import check_comparison
from nlhf_repro.verbs.experiment import (
    Experiment,
    declared_experiments,
    load_experiment,
    name_experiment,
)
from nlhf_repro.verbs.printed import Printed
from nlhf_repro.verbs.result import show_warning
from nlhf_repro.verbs.table import say_what_lacks

ALL = "report"


@dataclass(frozen=True)
class Subject:
    """An experiment to report, and what is said of it beside its records.

    `asked` are the paragraphs that state its question; `again` is what is typed after `nlhf
    reproduce` to compute it, and `report` after `nlhf report` to show it.
    """

    experiment: Printed
    asked: tuple[str, ...]
    again: str
    report: str


def report(
    arguments: Sequence[str], config_dir: str | None, out: str | None, mixed_code: bool = False
) -> int:
    """Write the report and print its path; exit status 1 where something lacks.

    Args:
        arguments: Names of experiments and overrides; without a name, every experiment that the
            output folder has records of. Or bundles, which are merged, and as `nlhf table` takes
            them the name of their experiment beside them.
        config_dir: A folder of the user's own configurations.
        out: The file; None: beside the tables.
        mixed_code: Whether bundles of different code may be merged.

    Raises:
        ImpossibleSettingError: no such experiment, no records, or bundles that cannot be merged.
    """
    warnings.showwarning = show_warning
    subjects = _subjects(arguments, config_dir, mixed_code)
    materials, status = [], 0
    for subject in subjects:
        material = material_of(subject)
        materials.append(material)
        status |= say_what_lacks(subject.again, material.records) or int(bool(material.lacking))
        for line in material.lacking:
            sys.stderr.write(f"nlhf: {line}\n")
    named = any("=" not in x for x in arguments)
    path = Path(out) if out else _beside([x.experiment for x in subjects], named)
    write_atomically(path, report_page(materials))
    sys.stdout.write(f"{path}\n")
    return status


def _subjects(
    arguments: Sequence[str], config_dir: str | None, mixed_code: bool
) -> Sequence[Subject]:
    """What the arguments name: experiments, or one that bundles hold."""
    from nlhf_repro.verbs.bundled import NO_BUNDLE, bundle_paths

    if bundle_paths(arguments):
        return [_of_bundles(arguments, config_dir, mixed_code)]
    if mixed_code:
        raise ImpossibleSettingError(NO_BUNDLE)
    overrides = [x for x in arguments if "=" in x]
    names = list(dict.fromkeys(x for x in arguments if "=" not in x))
    experiments = {name: load_experiment(name, overrides, config_dir) for name in names}
    if not names:
        experiments = recorded_experiments(overrides, config_dir)
    subjects = []
    for name, experiment in experiments.items():
        check_comparison(experiment)
        asked = asked_paragraphs(name_experiment(name, overrides, config_dir).choice, config_dir)
        again = shlex.join([name, *overrides, *_own(config_dir)])
        subjects.append(Subject(experiment, asked, again, again))
    return subjects


def _of_bundles(arguments: Sequence[str], config_dir: str | None, mixed_code: bool) -> Subject:
    """The experiment of bundles; its question is that of the file of its name here."""
    from nlhf_repro.verbs.bundled import open_bundles

    experiment = open_bundles(arguments, config_dir, mixed_code)
    choice = _choice_of(experiment.name, config_dir)
    asked = asked_paragraphs(choice, config_dir) if choice else ()
    said = (
        f"(As the file {choice} of this installation asks it; bundles hold no question.)"
        if asked
        else f"(Bundles hold no question, and no file of an experiment {experiment.name} that "
        "states one was found.)"
    )
    mixed = ["--mixed-code"] if mixed_code else []
    return Subject(
        experiment,
        (*asked, said),
        shlex.join([choice or experiment.name, *experiment.changes, *_own(config_dir)]),
        shlex.join([*arguments, *mixed, *_own(config_dir)]),
    )


def _own(config_dir: str | None) -> list[str]:
    return ["--config-dir", config_dir] if config_dir else []


def _choice_of(title: str, config_dir: str | None) -> str | None:
    """The choice SCALE/NAME of an experiment's title, which is NAME or SCALE-NAME; None: none."""
    known = declared_experiments(search_folders(search_path_override(config_dir)))
    named = {Path(x).name for x in known if not x.startswith("tune/")}
    for name in (title, title.replace("-", "/", 1)):
        if name in known | named:
            return name_experiment(name, [], config_dir).choice
    return None


def _beside(experiments: Sequence[Printed], named: bool) -> Path:
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


def material_of(subject: Subject) -> Material:
    """What the records hold of an experiment."""
    experiment = subject.experiment
    records = experiment.records()
    round_robin, lacking = _round_robin(subject, records)
    cells = experiment.declared
    language = is_language(cells[0].config)
    logged = logged_records(cells, records, experiment.output_dir) if language else []
    return Material(
        name=experiment.name,
        asked=subject.asked,
        command=subject.again,
        report=subject.report,
        changes=experiment.changes,
        specification=experiment.specification,
        records=tuple(records),
        logged=tuple(logged),
        round_robin=round_robin,
        lacking=lacking,
        samples=experiment.samples(records),
        cells=tuple(_facts(experiment)),
        origin=experiment.origin,
    )


def _facts(experiment: Printed) -> Iterable[CellFacts]:
    folder = experiment.output_dir
    for cell in experiment.declared:
        run = read_run(run_directory(folder, cell.key))
        complete = is_complete(folder, cell.key)
        yield CellFacts(cell.row, cell.seed, cell.world, cell.key, complete, run)


def _round_robin(
    subject: Subject, records: Sequence[RowRecord]
) -> tuple[RoundRobinRecord | None, tuple[str, ...]]:
    if subject.experiment.specification.round_robin is None:
        return None, ()
    from nlhf_repro.pipeline.language.comparison import NotComparedError

    try:
        record = subject.experiment.round_robin(records)
    except NotComparedError as error:
        return None, (
            f"rows are not compared with each other: {error} nlhf reproduce {subject.again}",
        )
    return record, () if record else ("no row is complete, so none is compared with another",)


def asked_paragraphs(choice: str, config_dir: str | None) -> tuple[str, ...]:
    """The comments at the head of the file SCALE/NAME, a paragraph each; () without a file."""
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
