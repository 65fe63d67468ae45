"""An experiment as one machine has it: a bundle that is read, or the output folder here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nlhf_repro.interfaces import Tuning
from nlhf_repro.pipeline.bundle_comparisons import Unit, read_unit, stored_units
from nlhf_repro.pipeline.bundle_contents import INDEX, READABLE, Exported, made_with
from nlhf_repro.pipeline.bundle_files import UnusableBundleError, unpack
from nlhf_repro.pipeline.cell import is_complete, read_run, run_directory, stage_store
from nlhf_repro.pipeline.files import digest
from nlhf_repro.pipeline.private import privacy
from nlhf_repro.pipeline.records import DeclaredCell, row_variants

Place = tuple[str, int, int]  # row, seed, world


@dataclass(frozen=True)
class Source:
    """An experiment as one machine has it: a bundle that was unpacked, or an output folder.

    Attributes:
        name: what sentences call it.
        folder: where runs and stages lie.
        experiment: its name.
        changes: overrides that make it another one than the declared.
        cells: all that it declares, run or not.
        variants: by row the settings in which rows differ.
        made_with: what decides keys beside the settings, as far as it has a name.
        units: what rows did against each other.
        contents: SHA-256 of what was unpacked; empty for a folder.
    """

    name: str
    folder: Path
    experiment: str
    changes: tuple[str, ...]
    cells: tuple[DeclaredCell, ...]
    variants: Mapping[str, Mapping[str, str]]
    made_with: Mapping[str, Any]
    units: tuple[Unit, ...]
    contents: str = ""

    @property
    def keys(self) -> dict[Place, str]:
        """The key of every declared cell."""
        return {(x.row, x.seed, x.world): x.key for x in self.cells}


def read_bundle(path: Path, folder: Path) -> Source:
    """The bundle, unpacked into the folder and checked.

    Raises:
        UnusableBundleError: it is none, was changed, or comes from a version that writes others.
    """
    contents = unpack(path, folder)
    try:
        index = json.loads((folder / INDEX).read_text())
        if index["format"] not in READABLE:
            raise UnusableBundleError(
                f"{path} has format {index['format']}, and this version reads "
                f"{' and '.join(map(str, READABLE))}: export it again, or install the version that "
                "wrote it."
            )
        source = Source(
            name=str(path),
            folder=folder,
            experiment=str(index["experiment"]),
            changes=tuple(index["changes"]),
            cells=tuple(_cell(folder, each) for each in index["cells"]),
            variants=index["variants"],
            made_with=index["made_with"],
            units=tuple(read_unit(folder, each) for each in index["comparisons"]),
            contents=contents,
        )
        _check_runs(source)
    except UnusableBundleError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise UnusableBundleError(
            f"{path} is no bundle that this version can read ({type(error).__name__}: {error}): "
            "export it again."
        ) from None
    return source


def folder_source(exported: Exported) -> Source:
    """The experiment of an output folder of this machine."""
    cells = tuple(exported.cells)
    complete = [x for x in cells if is_complete(exported.output_dir, x.key)]
    store = stage_store(exported.output_dir)
    units = stored_units(cells, complete, exported.comparison, store)
    return Source(
        name=f"the output folder {exported.output_dir}",
        folder=exported.output_dir,
        experiment=exported.experiment,
        changes=tuple(map(privacy(()).text, exported.changes)),
        cells=cells,
        variants=row_variants(cells),
        made_with=made_with(),
        units=tuple(units),
    )


def _cell(folder: Path, entry: Mapping[str, Any]) -> DeclaredCell:
    config = yaml.safe_load((folder / entry["config"]).read_text())
    tuning = entry["tuning"]
    if tuning is not None:
        listed: dict[str, Any] = {
            name: tuple(x) if isinstance(x, list) else x for name, x in tuning.items()
        }
        tuning = Tuning(**listed)
    return DeclaredCell(
        row=str(entry["row"]),
        seed=int(entry["seed"]),
        world=int(entry["world"]),
        key=str(entry["key"]),
        config=config,
        tuning=tuning,
    )


def _check_runs(source: Source) -> None:
    """Refuse a run whose stages are not those of its key, and one that no cell declares."""
    for cell in source.cells:
        run = read_run(run_directory(source.folder, cell.key))
        if not run:
            continue
        stages = {"train": run["stages"]["train"], "evaluate": run["stages"]["evaluate"]}
        if run["key"] != cell.key or digest(stages) != cell.key:
            raise UnusableBundleError(
                f"{source.name} was changed after its export (the run of row {cell.row!r}, seed "
                f"{cell.seed}, has the scores of another key): ask for the file again."
            )
