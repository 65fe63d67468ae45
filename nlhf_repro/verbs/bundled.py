"""Experiments of bundles: what `nlhf table`, `report` and `compare` read instead of a folder."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nlhf_repro.config import override_key
from nlhf_repro.interfaces import (
    ImpossibleSettingError,
    RoundRobinRecord,
    RowRecord,
    ShownPrompt,
)
from nlhf_repro.pipeline.bundle_files import UnusableBundleError
from nlhf_repro.pipeline.bundle_merging import Merged, merged
from nlhf_repro.pipeline.bundles import Source, folder_source, read_bundle
from nlhf_repro.pipeline.cell import is_complete
from nlhf_repro.pipeline.files import digest, file_digest
from nlhf_repro.pipeline.records import DeclaredCell, row_records
from nlhf_repro.reporting import TableSpecification, table_specification
from nlhf_repro.reporting.report import Origin, SampleSet
from nlhf_repro.verbs.experiment import Experiment, changed, load_experiment
from nlhf_repro.verbs.sample_sets import bundled_sets, not_in_bundles

SUFFIX = ".zip"
NO_BUNDLE = "--mixed-code is about bundles, and there is none: drop it."
_OWN_CODE = "nlhf_repro.reporting."


@dataclass(frozen=True)
class BundledExperiment:
    """An experiment of bundles, printed as one of the output folder is; see `Printed`.

    `output_dir` leads to runs and stages of all of them, and lasts as long as this object;
    `sources` names them, a line each.
    """

    merged: Merged
    specification: TableSpecification
    tables: Path
    sources: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As in the bundles."""
        return self.merged.experiment

    @property
    def output_dir(self) -> Path:
        """Where its runs and stages lie for now."""
        return self.merged.folder

    @property
    def changes(self) -> tuple[str, ...]:
        """Overrides that make it another experiment than the declared one."""
        return self.merged.changes

    @property
    def notes(self) -> tuple[str, ...]:
        """What the command line changed, and what merging has to say."""
        return (*changed(self.changes), *self.merged.notes)

    @property
    def origin(self) -> Origin:
        """The bundles, what merging them has to say, and what they do not hold."""
        unheld = tuple(not_in_bundles(self.cells, self.output_dir))
        return Origin(self.sources, self.merged.notes, unheld)

    @property
    def cells(self) -> list[DeclaredCell]:
        """Its cells, run or not."""
        return list(self.merged.cells)

    @property
    def declared(self) -> list[DeclaredCell]:
        """Its cells, run or not."""
        return self.cells

    def records(self) -> list[RowRecord]:
        """Its rows, as far as the bundles have them."""
        return row_records(self.cells, self.output_dir, self.merged.variants)

    def round_robin(self, records: Sequence[RowRecord]) -> RoundRobinRecord | None:
        """What complete rows did against each other, where a source has all of them compared."""
        from nlhf_repro.pipeline.language.comparison import NotComparedError
        from nlhf_repro.pipeline.language.round_robins import complete_rows, record_of_units

        settings = self.specification.round_robin
        assert settings is not None
        labels, lacking = complete_rows(records)
        if not labels:
            return None
        wanted: dict[tuple[int, int], dict[str, str]] = {}
        for cell in self.cells:
            if cell.row in labels:
                wanted.setdefault((cell.seed, cell.world), {})[cell.row] = cell.key
        found = {}
        for at, keys in wanted.items():
            fitting = [
                unit.found
                for unit in self.merged.units
                if (unit.at, unit.keys, unit.settings) == (at, keys, asdict(settings))
            ]
            if not fitting:
                raise NotComparedError(
                    f"no bundle has these rows compared at seed {at[0]}, world {at[1]}; compare "
                    "them where all their runs are, and export that:"
                )
            found[at] = fitting[0]
        return record_of_units(labels, lacking, found, settings)

    def shown(self, records: Sequence[RowRecord]) -> list[ShownPrompt]:
        """None: a bundle's answers are for reading, and what reads them is code of the run's."""
        return []

    def samples(self, records: Sequence[RowRecord]) -> tuple[SampleSet, ...]:
        """The answers to evaluation prompts that the bundles hold, the prompts by their names."""
        return tuple(bundled_sets(self.cells, records, self.output_dir))


def bundle_paths(names: Sequence[str]) -> list[Path]:
    """Those of the names that are bundles: by their suffix."""
    return [Path(name) for name in names if name.endswith(SUFFIX) and "=" not in name]


def open_bundles(
    names: Sequence[str], config_dir: str | None, mixed_code: bool = False
) -> BundledExperiment:
    """The experiment of bundles, and of the output folder where an experiment is named beside them.

    Args:
        names: bundles, at most one experiment, and overrides: of that, or output_dir= alone.
        config_dir: a folder of the user's configurations.
        mixed_code: whether bundles of different code may be merged.

    Raises:
        ImpossibleSettingError: what is neither, or bundles that cannot be read or merged.
    """
    paths = bundle_paths(names)
    overrides = [x for x in names if "=" in x]
    others = [x for x in names if x not in overrides and not x.endswith(SUFFIX)]
    if len(others) > 1:
        raise ImpossibleSettingError(
            f"{others[1]} is a second experiment beside the bundles: name at most one."
        )
    own = load_experiment(others[0], overrides, config_dir) if others else None
    strange = [x for x in overrides if override_key(x) != "output_dir"]
    if own is None and strange:
        raise ImpossibleSettingError(
            f"{strange[0]} changes no bundle, which is as it was run: drop it, or name the "
            "experiment beside the bundles."
        )
    given = [x.partition("=")[2] for x in overrides if override_key(x) == "output_dir"]
    output_dir = own.output_dir if own else Path(given[-1] if given else "outputs")
    root = Path(tempfile.mkdtemp(prefix="nlhf-bundles-"))
    try:
        sources = [read_bundle(path, root / str(number)) for number, path in enumerate(paths)]
        if own is not None:
            sources.insert(0, folder_source(own.exported()))
        found = merged(sources, mixed_code, root / "merged")
        contents = digest([*sorted(x.contents for x in sources), *found.changes])
        experiment = BundledExperiment(
            merged=found,
            specification=own.specification if own else bundled_specification(sources[0]),
            tables=output_dir / "tables" / f"{found.experiment}-bundles-{contents[:8]}",
            sources=tuple(map(_described, sources)),
        )
    except BaseException:
        shutil.rmtree(root)
        raise
    weakref.finalize(experiment, shutil.rmtree, root, ignore_errors=True)
    return experiment


def _described(source: Source) -> str:
    """A source by its name, the SHA-256 that `nlhf export` printed, and how much of it is run."""
    complete = sum(is_complete(source.folder, cell.key) for cell in source.cells)
    said = f"{complete} of {len(source.cells)} cells complete"
    if not source.contents:
        return f"{source.name} ({said})"
    return f"{Path(source.name).name} (SHA-256 {file_digest(Path(source.name))}, {said})"


def named_experiment(name: str, config_dir: str | None) -> Experiment | BundledExperiment:
    """The experiment of a name, or of bundles with commas between them."""
    names = name.split(",")
    if bundle_paths(names):
        return open_bundles(names, config_dir)
    return load_experiment(name, [], config_dir)


def bundled_specification(source: Source) -> TableSpecification:
    """The table that the bundle's configuration declares, of columns of this package alone.

    Raises:
        UnusableBundleError: it has none, or names other code, which a file must not choose.
    """
    node = source.cells[0].config.get("table") if source.cells else None
    if node is None:
        raise UnusableBundleError(f"{source.name} has no table: name the experiment beside it.")
    columns = node["columns"]
    for column in columns.values() if isinstance(columns, Mapping) else columns:
        target = str(column.get("_target_"))
        if not target.startswith(_OWN_CODE):
            raise UnusableBundleError(
                f"{source.name} has a column of other code, {target}: name your own experiment "
                "beside it, whose table is then printed."
            )
    return table_specification(node)
