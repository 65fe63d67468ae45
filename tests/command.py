"""The command line in a process of its own, and a user's folder with parts of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent

USER_PARTS = '''
"""Parts as a user would write them: outside of the package, named by _target_."""

import time
from dataclasses import dataclass

import numpy as np

from nlhf_repro.interfaces import ImpossibleSettingError, Tie
from nlhf_repro.updates import mirror_step, reference_state, win_rates
from user_helper import WAIT


@dataclass(frozen=True)
class Slow:
    """Multiplicative weights that takes its time."""

    step_size: float
    seconds: float = 0.0
    regularization: float = 0.0
    fails: bool = False

    fixed_point = "nash"
    tie = Tie("none", "a test")
    preference_evaluations = 1

    def __post_init__(self):
        if self.step_size == 13:
            raise ImpossibleSettingError("algorithm.step_size = 13 is unlucky: take another.")

    def initial_state(self, game):
        return reference_state(game)

    def exact_update(self, state, game):
        time.sleep(self.seconds * WAIT)
        if self.fails and state.updates == 3:
            raise RuntimeError("the third update broke")
        rates = win_rates(game, state.policy)
        logits, policy = mirror_step(
            state.log_policy, rates, game.log_reference, self.step_size, 0.0
        )
        return type(state)(logits, policy, state.updates + 1)

    def phases(self, iteration):
        raise NotImplementedError

    def learning_rate(self, actions, update):
        return None
'''

EXPERIMENT = """
# @package _global_
# A small experiment of a user (nobody)
defaults:
  - override /algorithm: slow
  - override /oracle: random_games
  - override /benchmark: [duality_gap]
  - override /tracker: none
  - override /table: default

name: small
rows:
  "A, quick": [algorithm.step_size=0.1]
  B (it's): [algorithm.step_size=0.2]
  C: [algorithm.step_size=0.4]
seeds: {values: [0, 1], design: matched}
oracle: {games: 4, actions: 3}
training: {iterations: 20, record_points: 5, average_iterate: false}
"""


def user_folder(folder: Path, seconds: float = 0.0) -> Path:
    """A folder with user_parts.py and conf/, as `--config-dir folder/conf` wants it."""
    (folder / "conf" / "algorithm").mkdir(parents=True)
    (folder / "conf" / "experiment" / "tabular").mkdir(parents=True)
    (folder / "user_parts.py").write_text(USER_PARTS)
    (folder / "user_helper.py").write_text("WAIT = 1.0\n")
    node = f"_target_: user_parts.Slow\nstep_size: 0.3\nseconds: {seconds}\n"
    (folder / "conf" / "algorithm" / "slow.yaml").write_text(f"# A slow one (nobody)\n{node}")
    (folder / "conf" / "experiment" / "tabular" / "small.yaml").write_text(EXPERIMENT.strip())
    return folder / "conf"


def start(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start `nlhf` in the folder."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
        **variables,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "nlhf_repro.cli", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def nlhf(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Run `nlhf` in the folder: its exit status, standard output and standard error."""
    process = start(folder, *arguments, **variables)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors
