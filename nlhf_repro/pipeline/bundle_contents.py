"""What a bundle holds of an experiment: records and scores, no weights, no names of a machine."""

from __future__ import annotations

import hashlib
import io
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nlhf_repro.interfaces import RoundRobinSettings
from nlhf_repro.pipeline.bundle_comparisons import Unit, stored_units
from nlhf_repro.pipeline.bundle_files import UnusableBundleError
from nlhf_repro.pipeline.cell import LIBRARIES, commit, is_complete, read_run, run_directory
from nlhf_repro.pipeline.keys import is_language
from nlhf_repro.pipeline.private import Privacy, leaks, privacy, secrets
from nlhf_repro.pipeline.records import DeclaredCell, row_variants
from nlhf_repro.pipeline.store import MANIFEST, StageStore

FORMAT = 2  # since trajectories count tokens
READABLE = (1, FORMAT)
INDEX = "bundle.json"
# What tables read of a stage. Everything else is weights, which never leave, or texts.
_NUMBERS = (
    *("scores.parquet", "benchmark.json", "judge_draws.npz", "judge.json", "ledger.json"),
    *("trajectory.npz", "won.npy", "responders.npy", "truth.npy"),
)
_COUNTS = (
    *("updates", "comparisons", "preference_evaluations"),
    *("sampled_tokens", "trained_tokens"),
)
_DESCRIPTIONS = ("benchmark.json", "judge.json")
_LOGS = ("metrics.jsonl", "training.jsonl")
_OF_THE_MACHINE = ("host", "process")  # of run.json
_ELSEWHERE = ("tracker", "output_dir")  # of a configuration


@dataclass(frozen=True)
class Exported:
    """An experiment as it is on disk.

    Attributes:
        experiment: its name.
        changes: overrides that make it another one than the declared.
        cells: all that it declares, run or not.
        output_dir: where they are recorded.
        comparison: what its table's `round_robin` asks for.
    """

    experiment: str
    changes: tuple[str, ...]
    cells: Sequence[DeclaredCell]
    output_dir: Path
    comparison: RoundRobinSettings | None


def bundle_contents(exported: Exported, texts: bool) -> dict[str, bytes]:
    """The files of a bundle by name; runs and stages lie in it as in an output folder.

    With `texts` the answers of policies, and what judges said of them, are in it too.

    Raises:
        UnusableBundleError: a secret of the environment, or a path of this machine, would be in it.
    """
    folder = exported.output_dir
    runs = {x.key: read_run(run_directory(folder, x.key)) for x in exported.cells}
    complete = [x for x in exported.cells if is_complete(folder, x.key)]
    cleaner = privacy(str(run["host"]) for run in runs.values() if "host" in run)
    units = stored_units(
        exported.cells, complete, exported.comparison, StageStore(folder / "stages")
    )
    files = dict(_stage_files(exported, complete, units, texts, cleaner))
    whole = {x.key for x in complete}
    for key, run in runs.items():
        if key in whole or run.get("status") == "failed":
            files |= _run_files(run_directory(folder, key), run, key in whole, cleaner)
    for number, cell in enumerate(exported.cells):
        files[config_name(number)] = _config(cell, cleaner)
    files |= {unit.file: unit.packed() for unit in units}
    index = cleaner.value(_index(exported, units, texts))
    files[INDEX] = (json.dumps(index, indent=1) + "\n").encode()
    _refuse_leaks(files, folder)
    return files


def config_name(number: int) -> str:
    """Where the configuration of a declared cell lies, counted in their order."""
    return f"configs/{number:05d}.yaml"


def made_with() -> dict[str, Any]:
    """What decides keys beside the settings, as far as it has a name."""
    return {
        "commit": commit(),
        "versions": {name: version(name) for name in LIBRARIES},
        "python": ".".join(platform.python_version_tuple()[:2]),
        "machine": platform.machine(),
    }


def _index(exported: Exported, units: Sequence[Unit], texts: bool) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "experiment": exported.experiment,
        "changes": list(exported.changes),
        "made_with": made_with(),
        "texts": texts,
        "variants": row_variants(exported.cells),
        "cells": [
            {
                "row": cell.row,
                "seed": cell.seed,
                "world": cell.world,
                "key": cell.key,
                "config": config_name(number),
                "tuning": None if cell.tuning is None else asdict(cell.tuning),
            }
            for number, cell in enumerate(exported.cells)
        ],
        "comparisons": [unit.described() for unit in units],
    }


def _config(cell: DeclaredCell, cleaner: Privacy) -> bytes:
    shared = {key: value for key, value in cell.config.items() if key not in _ELSEWHERE}
    return yaml.safe_dump(cleaner.value(shared), sort_keys=False).encode()


def _run_files(
    directory: Path, run: Mapping[str, Any], whole: bool, cleaner: Privacy
) -> dict[str, bytes]:
    """run.json without the machine's names, and the logs of a complete run."""
    shared = {key: value for key, value in run.items() if key not in _OF_THE_MACHINE}
    text = json.dumps(cleaner.value(shared), sort_keys=True, indent=2) + "\n"
    found = {f"runs/{directory.name}/run.json": text.encode()}
    for name in _LOGS if whole else ():
        if (directory / name).exists():
            found[f"runs/{directory.name}/{name}"] = (directory / name).read_bytes()
    return found


def _stage_files(
    exported: Exported,
    complete: Sequence[DeclaredCell],
    units: Sequence[Unit],
    texts: bool,
    cleaner: Privacy,
) -> Iterator[tuple[str, bytes]]:
    store = StageStore(exported.output_dir / "stages")
    for stage, key in dict.fromkeys(_stages(exported, complete, units, texts)):
        folder = store.folder(stage, key)
        if not folder.exists():
            continue  # a benchmark without a judge has no judgments, and a game no answers
        if fault := store.fault(stage, key):
            raise UnusableBundleError(
                f"{folder} cannot be exported: {fault}; compute it again with nlhf reproduce."
            )
        whole = texts and stage != "train"
        names = sorted(json.loads((folder / MANIFEST).read_text())["files"])
        shared = {
            name: _shared(folder / name, cleaner) for name in names if whole or name in _NUMBERS
        }
        yield from ((f"stages/{folder.name}/{name}", data) for name, data in shared.items())
        yield f"stages/{folder.name}/{MANIFEST}", _manifest(stage, key, folder, shared)


def _stages(
    exported: Exported,
    complete: Sequence[DeclaredCell],
    units: Sequence[Unit],
    texts: bool,
) -> Iterator[tuple[str, str]]:
    """(stage, key) of everything whose files are shared."""
    for cell in complete:
        named = read_run(run_directory(exported.output_dir, cell.key))["stages"]
        yield "train", named["train"]
        yield from (("evaluate", key) for key in named["evaluate"].values())
        if texts and is_language(cell.config):
            yield from _text_stages(cell.config)
    for unit in units:
        yield from (("compare", key) for key in unit.stages)


def _text_stages(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    from nlhf_repro.pipeline.evaluation_keys import (
        answers_key,
        asks_reference,
        judgments_key,
        reference_answers_key,
    )
    from nlhf_repro.pipeline.keys import reference_sample_key, sample_key
    from nlhf_repro.pipeline.scored import judged_benchmark, kind_of

    yield "sample", sample_key(config)
    yield "sample", reference_sample_key(config)
    for name, node in config["benchmark"].items():
        if kind_of(node) == "judged":
            yield "answer", answers_key(config, name)
            yield "judge", judgments_key(config, name)
            if asks_reference(judged_benchmark(config, name)):
                yield "answer", reference_answers_key(config, name)


def _shared(path: Path, cleaner: Privacy) -> bytes:
    """A stage's file as it is shared: descriptions cleaned, trajectories without policies."""
    if path.name in _DESCRIPTIONS:
        value = json.loads(path.read_text())
        cleaned = cleaner.value(value)
        return (
            path.read_bytes() if cleaned == value else json.dumps(cleaned, sort_keys=True).encode()
        )
    return _without_policies(path) if path.name == "trajectory.npz" else path.read_bytes()


def _without_policies(path: Path) -> bytes:
    with np.load(path) as stored:
        counts = {name: stored[name] for name in _COUNTS if name in stored}
    written = io.BytesIO()
    np.savez(written, **counts, last=np.empty((len(counts["updates"]), 0, 0)))
    return written.getvalue()


def _manifest(stage: str, key: str, folder: Path, shared: Mapping[str, bytes]) -> bytes:
    """The manifest of what is shared; it keeps the SHA-256 of what is not, or was changed."""
    original = json.loads((folder / MANIFEST).read_text())["files"]
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in shared.items()}
    unlike = {name: each for name, each in original.items() if digests.get(name) != each}
    manifest = {"stage": stage, "key": key, "files": digests, "original": unlike}
    return (json.dumps(manifest, sort_keys=True, indent=2) + "\n").encode()


def _refuse_leaks(files: Mapping[str, bytes], output_dir: Path) -> None:
    places = {"your home folder": Path.home(), "this folder": Path.cwd()}
    places["output_dir"] = output_dir.resolve()
    forbidden = {f"the path of {name}": str(x) for name, x in places.items() if len(x.parts) > 1}
    forbidden |= {f"the value of ${name}": value for name, value in secrets().items()}
    for name, data in files.items():
        for found in leaks(data, name.endswith(".parquet"), forbidden):
            raise UnusableBundleError(
                f"{name} of the bundle would hold {found}: nothing was written; take it out of the "
                "settings, or export without --texts."
            )
