"""A small experiment of games, whole and in halves, for the tests of bundles."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from nlhf_repro.cells import Cell
from nlhf_repro.cli import main
from nlhf_repro.pipeline.bundle_files import packed
from nlhf_repro.pipeline.cell import run_cell, run_directory
from nlhf_repro.pipeline.files import digest
from nlhf_repro.verbs.experiment import load_experiment

CONF = "conf"
EXPERIMENT = """
# @package _global_
# Three rows of games (nobody)
defaults:
  - override /algorithm: inpo
  - override /model: tabular_softmax
  - override /oracle: random_games
  - override /benchmark: [duality_gap]
  - override /tracker: none
  - override /table: default

name: trio
rows:
  INPO: [algorithm=inpo, algorithm.gradient_steps=2]
  SPPO: [algorithm=sppo, algorithm.responses=2, algorithm.gradient_steps=2]
  Nash-MD: [algorithm=nash_md, algorithm.regularization=0.05]
seeds: {values: [0, 1], design: independent}
oracle: {games: 4, actions: 3}
training:
  face: sampled
  iterations: 3
  record_points: 3
  average_iterate: false
  groups_per_iteration: 5
  minibatch_size: 4
  optimizer: adam
  learning_rate: 0.05
"""


def trio(folder: Path) -> Path:
    """A folder of configurations with the experiment."""
    (folder / CONF / "experiment" / "tabular").mkdir(parents=True)
    (folder / CONF / "experiment" / "tabular" / "trio.yaml").write_text(EXPERIMENT.strip())
    return folder / CONF


def run_cells(
    conf: Path, output_dir: Path, *overrides: str, seeds: tuple[int, ...] = (0, 1)
) -> list[Cell]:
    """Its cells of these seeds, run into the folder; all that it declares."""
    arguments = [f"output_dir={output_dir}", *overrides]
    experiment = load_experiment("trio", arguments, str(conf))
    for cell in experiment.cells:
        if cell.seed in seeds:
            run_cell(cell.config, [])
    return experiment.cells


def nlhf(*arguments: object) -> tuple[int, str, str]:
    """A verb in this process: its status, standard output and standard error."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            status = stopped.code
    return int(status or 0), output.getvalue(), errors.getvalue()


def written(folder: Path) -> dict[str, bytes]:
    """Every file of tables and figures below the folder, by its name."""
    return {path.name: path.read_bytes() for path in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):
        yield from (path for path in sorted(folder.rglob("*")) if path.is_file())


def export(conf: Path, name: Path | str, *arguments: str) -> Path:
    status, output, errors = nlhf("export", "trio", "--config-dir", conf, "--out", name, *arguments)
    assert (status, errors) == (0, ""), errors
    assert output.startswith(f"{name}: ")
    return Path(name)


def half(folder: Path, cells, seeds: tuple[int, ...], name: str) -> str:
    """An output folder that has the runs of these seeds alone."""
    shutil.copytree(folder / "outputs", folder / name)
    for cell in cells:
        if cell.seed not in seeds:
            shutil.rmtree(run_directory(folder / name, cell.key))
    return f"output_dir={name}"


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repacked(path: Path, **changed: bytes) -> Path:
    """The bundle with other files, and a manifest that fits: what a careful forger would write."""
    files = {k: v for k, v in contents(path).items() if k != "MANIFEST.json"}
    path.write_bytes(packed(files | changed))
    return path


def other_code(path: Path, name: str, commit: str) -> Path:
    """The bundle as another version would have written it: every key is another."""
    files = {k: v for k, v in contents(path).items() if k != "MANIFEST.json"}
    index = json.loads(files["bundle.json"])
    index["made_with"]["commit"] = {"hash": commit * 40, "dirty": False}
    text = json.dumps(index)
    moved: dict[str, bytes] = {}
    for cell in index["cells"]:
        old = json.loads(files[f"runs/{cell['key'][:16]}/run.json"])
        stages = {
            "train": digest(["other", old["stages"]["train"]]),
            "evaluate": {k: digest(["other", x]) for k, x in old["stages"]["evaluate"].items()},
        }
        key = digest(stages)
        text = text.replace(cell["key"], key)
        named = {**old["stages"], **stages}
        record = old | {"key": key, "stages": named}
        moved[f"runs/{key[:16]}/run.json"] = json.dumps(record).encode()
        pairs = [("train", old["stages"]["train"], stages["train"])]
        pairs += [
            ("evaluate", x, stages["evaluate"][k]) for k, x in old["stages"]["evaluate"].items()
        ]
        for stage, before, after in pairs:
            prefix = f"stages/{stage}-{before[:16]}/"
            for each, data in files.items():
                if each.startswith(prefix):
                    data = data.replace(before.encode(), after.encode())
                    moved[f"stages/{stage}-{after[:16]}/{each.removeprefix(prefix)}"] = data
    kept = {k: v for k, v in files.items() if k.startswith("configs/")}
    Path(name).write_bytes(packed(kept | moved | {"bundle.json": text.encode()}))
    return Path(name)
