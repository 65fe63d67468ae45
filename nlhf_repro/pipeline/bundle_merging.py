"""One experiment of the bundles of several machines: what contradicts itself is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from nlhf_repro.interfaces import Array
from nlhf_repro.pipeline.bundle_comparisons import Unit
from nlhf_repro.pipeline.bundle_files import UnusableBundleError
from nlhf_repro.pipeline.bundles import Place, Source
from nlhf_repro.pipeline.cell import is_complete, read_run, run_directory, stage_store
from nlhf_repro.pipeline.files import canonical_json
from nlhf_repro.pipeline.metrics import read_judge_draws, read_scores
from nlhf_repro.pipeline.private import PATH
from nlhf_repro.pipeline.records import DeclaredCell
from nlhf_repro.pipeline.stages import load_trajectory

_NO_RESULT = ("tracker", "output_dir", "table")  # nodes of a configuration that change no score


@dataclass(frozen=True)
class Merged:
    """What several sources say of one experiment.

    Attributes:
        experiment, changes, variants: as of a source.
        cells: all that it declares, each with the key that its scores are kept under.
        folder: an output folder that leads to the runs and stages of all of them.
        units: what rows did against each other, of all sources.
        notes: what a table must print beside the numbers.
    """

    experiment: str
    changes: tuple[str, ...]
    cells: tuple[DeclaredCell, ...]
    variants: Mapping[str, Mapping[str, str]]
    folder: Path
    units: tuple[Unit, ...]
    notes: tuple[str, ...]


def merged(sources: Sequence[Source], mixed_code: bool, folder: Path) -> Merged:
    """The experiment of all of these; `folder` is filled with links to what they hold.

    Of a cell that several have complete under one key, all have the same scores, and it counts
    once. With `mixed_code` sources may have other keys for a cell: the first that has it complete
    is taken, and a note says so.

    Raises:
        UnusableBundleError: they are of different experiments, were made by different code or with
            other settings, or give one key different scores.
    """
    first = sources[0]
    notes: list[str] = []
    for other in sources[1:]:
        _check_declared(first, other)
    for one, other in combinations(sources, 2):
        _check_scores(one, other)
        if unlike := [place for place, key in one.keys.items() if other.keys[place] != key]:
            _check_settings(one, other, unlike[0])
            said = _told_apart(one, other)
            if not mixed_code:
                raise UnusableBundleError(
                    f"{one.name} and {other.name} were not made by the same code ({said}), so that "
                    "a difference between rows could come from it: run both with one version, or "
                    "say --mixed-code to mix them and have the table say so."
                )
            notes.append(f"Mixed code: {_short(one)} and {_short(other)} differ ({said}).")
    chosen = [_chosen(place, sources) for place in first.keys]
    for source, cell in chosen:
        _link(source, cell.key, folder)
        _link_answers(source, cell.key, sources, folder)
    notes += _failures(chosen, sources)
    return Merged(
        experiment=first.experiment,
        changes=first.changes,
        cells=tuple(cell for _, cell in chosen),
        variants=first.variants,
        folder=folder,
        units=tuple(unit for source in sources for unit in source.units),
        notes=tuple(dict.fromkeys(notes)),
    )


def _check_declared(one: Source, other: Source) -> None:
    for what, here, there in (
        ("experiment", one.experiment, other.experiment),
        ("changes by the command line", list(one.changes), list(other.changes)),
    ):
        if here != there:
            raise UnusableBundleError(
                f"{one.name} and {other.name} hold different experiments ({what}: {here} against "
                f"{there}): merge only what was declared alike."
            )
    for place in one.keys.keys() ^ other.keys.keys():
        row, seed, world = place
        holder = one if place in one.keys else other
        raise UnusableBundleError(
            f"{one.name} and {other.name} declare other cells (row {row!r}, seed {seed}, world "
            f"{world} is in {holder.name} alone): merge only what was declared alike."
        )


def _check_settings(one: Source, other: Source, place: Place) -> None:
    """Refuse cells that stand at one place of the experiment with other settings."""
    here, there = (
        dict(_settings(next(x.config for x in source.cells if _place(x) == place)))
        for source in (one, other)
    )
    for name in sorted(here.keys() & there.keys()):
        if here[name] != there[name]:
            row, seed, world = place
            raise UnusableBundleError(
                f"{one.name} and {other.name} hold different settings (row {row!r}, seed {seed}, "
                f"world {world}: {name} is {here[name]} against {there[name]}): they are two "
                "experiments, so do not merge them."
            )


def _settings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(key, value) of every leaf; of a path its last name, the one that bundles keep."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            if path or key not in _NO_RESULT:
                yield from _settings(child, f"{path}.{key}" if path else str(key))
    elif isinstance(value, str) and (value.startswith("/") or value.startswith(PATH)):
        yield path, PurePath(value).name
    else:
        yield path, canonical_json(value)


def _told_apart(one: Source, other: Source) -> str:
    """What is known to differ between what made them."""
    here, there = dict(_named(one.made_with)), dict(_named(other.made_with))
    differing = [
        f"{name} {here.get(name, 'unknown')} against {there.get(name, 'unknown')}"
        for name in dict.fromkeys((*here, *there))
        if here.get(name) != there.get(name)
    ]
    return ", ".join(differing) or "sources or files that no version tells apart"


def _named(made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    commit = made.get("commit")
    if commit:
        yield "commit", commit["hash"][:12] + (" with changes" if commit["dirty"] else "")
    yield from (made.get("versions") or {}).items()
    yield from ((name, str(made.get(name))) for name in ("python", "machine"))


def _check_scores(one: Source, other: Source) -> None:
    """Refuse a cell that both have complete under one key with different results."""
    for cell in one.cells:
        if other.keys[_place(cell)] != cell.key:
            continue
        if not all(is_complete(source.folder, cell.key) for source in (one, other)):
            continue
        here, there = _results(one.folder, cell.key), _results(other.folder, cell.key)
        for name in sorted(here.keys() | there.keys()):
            if said := _difference(here.get(name), there.get(name)):
                raise UnusableBundleError(
                    f"{one.name} and {other.name} contradict each other: {name} of row "
                    f"{cell.row!r}, seed {cell.seed}, world {cell.world} differs ({said}) under "
                    "one key, which the same settings and code must not give: find out which of "
                    "them is wrong, and leave it out."
                )
    _check_units(one, other)


def _check_units(one: Source, other: Source) -> None:
    for unit in one.units:
        for twin in other.units:
            if (unit.at, unit.keys, unit.settings) != (twin.at, twin.keys, twin.settings):
                continue
            here, there = unit.arrays(), twin.arrays()
            if any(_difference(here.get(x), there.get(x)) for x in here.keys() | there.keys()):
                raise UnusableBundleError(
                    f"{one.name} and {other.name} contradict each other: rows met with different "
                    f"outcomes at seed {unit.at[0]}, world {unit.at[1]}: find out which of them is "
                    "wrong, and leave it out."
                )


def _results(folder: Path, key: str) -> dict[str, Array]:
    """By name everything that a table reads of a complete cell but what was measured."""
    stages = read_run(run_directory(folder, key))["stages"]
    store = stage_store(folder)
    trajectory = load_trajectory(store.folder("train", stages["train"]))
    found = {
        "updates": trajectory.updates,
        "comparisons": trajectory.comparisons,
        "preference evaluations": trajectory.preference_evaluations,
        "the ledger": np.array(list(vars(trajectory.ledger).values()), dtype=np.float64),
    }
    if trajectory.tokens is not None:
        found["tokens"] = trajectory.tokens
    for name, each in stages["evaluate"].items():
        scored = store.folder("evaluate", each)
        found |= {f"{name}/{iterate}": x for iterate, x in read_scores(scored).items()}
        draws = read_judge_draws(scored)
        found |= {f"{name}/{iterate} by draw": x for iterate, x in draws.items()}
    return found


def _difference(here: Array | None, there: Array | None) -> str:
    """How two arrays differ, in words; empty where they do not."""
    if here is None or there is None:
        return "" if here is there else "only one of them has it"
    if here.shape != there.shape:
        return f"shapes {here.shape} and {there.shape}"
    if np.array_equal(here, there, equal_nan=True):
        return ""
    apart = np.abs(here - there)
    known = apart[np.isfinite(apart)]
    return f"by up to {known.max():.2g}" if known.size else "one of them is no number"


def _chosen(place: Place, sources: Sequence[Source]) -> tuple[Source, DeclaredCell]:
    """The first source that has the cell complete, else failed, else any; and its cell."""
    holders = [(x, next(c for c in x.cells if _place(c) == place)) for x in sources]
    for source, cell in holders:
        if is_complete(source.folder, cell.key):
            return source, cell
    for source, cell in holders:
        if read_run(run_directory(source.folder, cell.key)).get("status") == "failed":
            return source, cell
    return holders[0]


def _failures(
    chosen: Sequence[tuple[Source, DeclaredCell]], sources: Sequence[Source]
) -> list[str]:
    """A sentence on every cell that failed in one source and is complete in another."""
    said = []
    for source, cell in chosen:
        if not is_complete(source.folder, cell.key):
            continue
        for other in sources:
            run = read_run(run_directory(other.folder, other.keys[_place(cell)]))
            if run.get("status") == "failed":
                said.append(
                    f"{cell.row}, seed {cell.seed}, failed in {_short(other)} and is complete in "
                    f"{_short(source)}: {run['error']}"
                )
    return said


def _link(source: Source, key: str, folder: Path) -> None:
    """Links to the cell's run and to the stages that it names."""
    run = run_directory(source.folder, key)
    named = read_run(run).get("stages", {})
    linked = [run] if run.exists() else []
    store = stage_store(source.folder)
    if "train" in named:
        linked.append(store.folder("train", named["train"]))
        linked += [store.folder("evaluate", each) for each in named["evaluate"].values()]
    for path in linked:
        _link_folder(path, folder)


def _link_answers(chosen: Source, key: str, sources: Sequence[Source], folder: Path) -> None:
    """Links to the answers that the cell's record names, of whichever source holds them."""
    named = read_run(run_directory(chosen.folder, key)).get("stages", {})
    for answers in (str(named.get(name)) for name in ("sample", "reference_sample")):
        for source in sources if answers.isalnum() else ():
            _link_folder(stage_store(source.folder).folder("sample", answers), folder)


def _link_folder(path: Path, folder: Path) -> None:
    place = folder / path.parent.name / path.name
    if path.exists() and not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(path.resolve(), target_is_directory=True)


def _short(source: Source) -> str:
    return PurePath(source.name).name if source.contents else source.name


def _place(cell: DeclaredCell) -> Place:
    return cell.row, cell.seed, cell.world
