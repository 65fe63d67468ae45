"""A user's folder with a search and an experiment that reports what it found."""

from __future__ import annotations

import csv
import io
import sys
import warnings
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import yaml
from command import user_folder

from nlhf_repro.cells import Cell, experiment_cells
from nlhf_repro.config import search_path_override
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.verbs.tune import tune as verb

SEARCH = """
# @package _global_
# A small search (nobody)
defaults:
  - override /algorithm: slow
  - override /oracle: random_games
  - override /benchmark: [duality_gap]
  - override /tracker: none
  - override /table: default

name: tune_small
world: 7
rows:
  "A, quick": [algorithm.step_size=0.1]
  B (it's): [algorithm.step_size=0.2]
  C: [algorithm.step_size=0.4]
  D: [algorithm.step_size=0.8]
seeds: {values: [70], design: matched}
oracle: {games: 2, actions: 3}
training: {iterations: 20, record_points: 2, average_iterate: false}
search:
  trials: 4
  seed: 0
  metric: {benchmark: duality_gap, iterate: last}
  spaces:
    "A, quick": {algorithm.step_size: {low: 0.01, high: 1, log: true}}
    B (it's): {algorithm.fails: {choices: [false, true]}}
    C: {algorithm.step_size: {choices: [0.4, 13]}}
    D: {}
"""
REPORTED = """
# @package _global_
# What the search found (nobody)
defaults:
  - override /algorithm: slow
  - override /oracle: random_games
  - override /benchmark: [duality_gap]
  - override /tracker: none
  - override /table: default

name: small
tuning: small
rows:
  "A, quick": [algorithm.step_size=0.1]
  B (it's): [algorithm.step_size=0.2]
  C: [algorithm.step_size=0.3]
  D: [algorithm.step_size=0.8]
seeds: {values: [0], design: matched}
oracle: {games: 4, actions: 3}
training: {iterations: 20, record_points: 2, average_iterate: false}
"""
# One process: the launcher that starts fastest.
QUICK = ("hydra/launcher=basic",)


def search_folder(folder: Path, seconds: float = 0.0) -> Path:
    """The folder of configurations, as `--config-dir` wants it."""
    conf = user_folder(folder)
    slow = conf / "algorithm" / "slow.yaml"
    slow.write_text(slow.read_text().replace("seconds: 0.0", f"seconds: {seconds}\nfails: false"))
    (conf / "experiment" / "tune").mkdir()
    (conf / "experiment" / "tune" / "small.yaml").write_text(SEARCH.strip())
    (conf / "experiment" / "tabular" / "small.yaml").write_text(REPORTED.strip())
    return conf


def winners(conf: Path, name: str = "small") -> dict:
    return yaml.safe_load((conf / "tuned" / f"{name}.yaml").read_text())


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def tune(folder: Path, *overrides: str, jobs: int | None = None) -> tuple[int, str, str]:
    """The verb as the command line calls it, in this process: status, output, errors."""
    output, errors = io.StringIO(), io.StringIO()
    shown = warnings.showwarning
    try:
        with chdir(folder), redirect_stdout(output), redirect_stderr(errors):
            status = verb("small", overrides, str(folder / "conf"), jobs)
    except ImpossibleSettingError as error:
        return 2, output.getvalue(), str(error)
    finally:
        warnings.showwarning = shown
    return status, output.getvalue(), errors.getvalue()


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "conf" / "tuned").iterdir()}


def stages(folder: Path) -> dict[str, int]:
    """Every stage that was computed, and when it took its place."""
    paths = (folder / "outputs" / "stages").glob("[!.]*-*")
    return {path.name: path.stat().st_mtime_ns for path in paths}


def trials_of(folder: Path) -> dict[str, list[dict[str, str]]]:
    rows: dict[str, list[dict[str, str]]] = {}
    with (folder / "conf" / "tuned" / "small.csv").open() as file:
        for line in csv.DictReader(file):
            rows.setdefault(line["row"], []).append(line)
    return rows


def reported(folder: Path, *overrides: str) -> list[Cell]:
    searched = search_path_override(str(folder / "conf"))
    sys.path.insert(0, str(folder))
    try:
        return experiment_cells([*searched, "experiment=tabular/small", *overrides])
    finally:
        sys.path.remove(str(folder))
