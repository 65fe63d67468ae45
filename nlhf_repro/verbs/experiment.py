"""A declared experiment, found by its name: its cells, its records and its table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nlhf_repro.cells import Cell, experiment_cells
from nlhf_repro.config import (
    add_user_modules,
    override_key,
    search_folders,
    search_path_override,
)
from nlhf_repro.interfaces import ImpossibleSettingError, RoundRobinRecord, RowRecord, ShownPrompt
from nlhf_repro.pipeline.bundle_contents import Exported
from nlhf_repro.pipeline.cell import stage_store
from nlhf_repro.pipeline.files import digest, write_atomically
from nlhf_repro.pipeline.records import DeclaredCell, row_records
from nlhf_repro.reporting import (
    Table,
    TableSpecification,
    check_published_matrix,
    check_published_rows,
    draw_figures,
    draw_forest,
    render_table,
    table_specification,
    to_csv,
    to_latex,
    to_markdown,
)
from nlhf_repro.reporting.report import Origin, SampleSet
from nlhf_repro.validation import suggestion
from nlhf_repro.verbs.printed import Printed
from nlhf_repro.verbs.sample_sets import stored_sets

# Overrides that change where and how, not what.
ELSEWHERE = ("tracker", "output_dir", "hydra")


@dataclass(frozen=True)
class Experiment:
    """The cells of an experiment under a command line's overrides, and how its table is printed."""

    name: str
    cells: list[Cell]
    overrides: list[str]
    output_dir: Path
    specification: TableSpecification
    changes: tuple[str, ...]  # overrides that make it another experiment than the declared one

    @property
    def tables(self) -> Path:
        """Where its table goes: a changed experiment never overwrites the declared one's."""
        folder = self.output_dir / "tables"
        return folder / f"{self.name}-{digest(self.changes)[:8]}" if self.changes else folder

    @property
    def declared(self) -> list[DeclaredCell]:
        """Its cells, run or not."""
        return [
            DeclaredCell(x.row or "", x.seed, x.world, x.key, x.config, x.tuning)
            for x in self.cells
        ]

    def records(self) -> list[RowRecord]:
        """Its rows, as far as they are on disk."""
        return row_records(self.declared, self.output_dir)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the command line changed."""
        return changed(self.changes)

    @property
    def origin(self) -> Origin:
        """The output folder, of which nothing has to be said."""
        return Origin()

    def round_robin(self, records: Sequence[RowRecord]) -> RoundRobinRecord | None:
        """What its complete rows did against each other, from the store; see `Printed`."""
        from nlhf_repro.pipeline.language.round_robins import round_robin_record

        settings = self.specification.round_robin
        assert settings is not None
        store = stage_store(self.output_dir)
        return round_robin_record(self.declared, records, settings, store)

    def shown(self, records: Sequence[RowRecord]) -> list[ShownPrompt]:
        """The first evaluation prompts and what complete rows answered, from the store."""
        from nlhf_repro.pipeline.language.round_robins import shown_prompts

        store = stage_store(self.output_dir)
        return shown_prompts(self.declared, records, self.specification.samples, store)

    def samples(self, records: Sequence[RowRecord]) -> tuple[SampleSet, ...]:
        """All prompts and questions with every row's answers, from the store."""
        return tuple(stored_sets(self.declared, records, self.output_dir))

    def exported(self) -> Exported:
        """What a bundle, or a merging with bundles, takes of it."""
        return Exported(
            self.name,
            self.changes,
            self.declared,
            self.output_dir,
            self.specification.round_robin,
        )


def changed(changes: Sequence[str]) -> tuple[str, ...]:
    """The note on overrides of the command line; none without any."""
    return (f"Changed by the command line: {', '.join(changes)}.",) if changes else ()


def load_experiment(name: str, overrides: Sequence[str], config_dir: str | None) -> Experiment:
    """Compose and check every cell of conf/experiment/*/NAME.yaml.

    Raises:
        ImpossibleSettingError: no such experiment, or one of its cells or its table is not sound.
    """
    named = name_experiment(name, overrides, config_dir)
    arguments = named.arguments
    cells = experiment_cells(arguments)
    table = cells[0].config["table"]
    if table is None:
        raise ImpossibleSettingError(f"The experiment {name} has table=null: choose a table.")
    output_dir = Path(cells[0].config["output_dir"])
    specification = table_specification(table)
    labels = [cell.row or "" for cell in cells]
    check_published_rows(specification.published, labels)
    check_published_matrix(specification.published_matrix, labels)
    return Experiment(named.title, cells, arguments, output_dir, specification, named.changes)


@dataclass(frozen=True)
class NamedExperiment:
    """What a verb's NAME and overrides stand for; `changes` are those that change the work."""

    choice: str  # SCALE/NAME
    title: str  # of its files
    arguments: list[str]
    changes: tuple[str, ...]


def name_experiment(
    name: str, overrides: Sequence[str], config_dir: str | None, scale: str | None = None
) -> NamedExperiment:
    """Find conf/experiment/*/NAME.yaml at a scale, else at the scale that the overrides say.

    Raises:
        ImpossibleSettingError: no such experiment, or an override that singles out a cell.
    """
    searched = search_path_override(config_dir)
    given = next((x.partition("=")[2] for x in overrides if override_key(x) == "scale"), None)
    choice, ambiguous = find_experiment(name, scale or given, search_folders(searched))
    rest = [x for x in overrides if override_key(x) != "scale"]
    arguments = [*searched, f"experiment={choice}", *rest]
    add_user_modules(arguments)
    for override in rest:
        if override_key(override) in ("row", "seed", "experiment"):
            raise ImpossibleSettingError(
                f"{override} has no place here, where all rows and seeds of {name} are meant: "
                "use nlhf run."
            )
    title = choice.replace("/", "-") if ambiguous else Path(choice).name
    changes = tuple(x for x in rest if re.split("[./]", override_key(x))[0] not in ELSEWHERE)
    return NamedExperiment(choice, title, arguments, changes)


def declared_experiments(folders: Sequence[Path]) -> set[str]:
    """Every SCALE/NAME that the folders have a file of."""
    return {
        path.relative_to(folder / "experiment").with_suffix("").as_posix()
        for folder in folders
        for path in (folder / "experiment").rglob("*.yaml")
    }


def find_experiment(name: str, scale: str | None, folders: Sequence[Path]) -> tuple[str, bool]:
    """The choice SCALE/NAME, and whether other scales have the name too; mini where several do.

    The searches at scale tune are found where tune is said, and are no other scale of a name.

    Raises:
        ImpossibleSettingError: none, or several of which none is mini.
    """
    found = declared_experiments(folders)
    tuning = scale == "tune" or name.startswith("tune/")
    found = {x for x in found if x.startswith("tune/") == tuning}
    named = sorted(x for x in found if name in (x, Path(x).name))
    scales = [x for x in named if scale is None or x.split("/")[0] == scale]
    if named and not scales:
        where = ", ".join(sorted({x.split("/")[0] for x in named}))
        raise ImpossibleSettingError(f"{name} is no experiment at scale={scale}: it is at {where}.")
    if not scales:
        at = f" at scale={scale}" if scale else ""
        raise ImpossibleSettingError(
            f"{name} is no experiment{at}: {suggestion(name, {Path(x).name for x in found})}"
        )
    if len(scales) > 1:
        scales = [x for x in scales if x.startswith("mini/")] or scales
    if len(scales) > 1:
        raise ImpossibleSettingError(
            f"{name} exists at several scales: say scale={scales[0].split('/')[0]}."
        )
    return scales[0], len(named) > 1


def write_table(experiment: Printed, records: Sequence[RowRecord]) -> tuple[Table, list[Path]]:
    """Write Markdown, LaTeX, CSV and figures to the experiment's folder of tables.

    Returns:
        The table, and the figures' paths.
    """
    table = write_forms(
        experiment, render_table(records, experiment.specification), experiment.name
    )
    specification, folder = experiment.specification, experiment.tables
    figures = draw_figures(records, specification, folder)
    return table, figures + draw_forest(table, specification, folder, f"{experiment.name}-forest")


def write_forms(experiment: Printed, table: Table, name: str) -> Table:
    """Write a table, with what the command line changed, as NAME.md, NAME.tex and NAME.csv."""
    if experiment.notes:
        reach = (*experiment.notes, *table.reach) if table.reach else ()
        table = replace(table, notes=(*experiment.notes, *table.notes), reach=reach)
    for suffix, text in (
        ("md", to_markdown(table)),
        ("tex", to_latex(table)),
        ("csv", to_csv(table)),
    ):
        write_atomically(experiment.tables / f"{name}.{suffix}", text)
    return table
