"""A user's folder with a search and an experiment that reports what it found."""

from __future__ import annotations

from pathlib import Path

import yaml
from command import user_folder

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
