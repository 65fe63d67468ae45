"""Games and plug-ins that many tests share; one thread, no network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")

import numpy as np
import pytest
from scipy.special import log_softmax

from nlhf_repro.interfaces import Game

CONF = Path(__file__).parent.parent / "conf"
CYCLE = np.array([[0.5, 0.1, 0.8], [0.9, 0.5, 0.1], [0.2, 0.9, 0.5]])


def random_game(seed: int, games: int, actions: int, spread: float = 1.0) -> Game:
    """Uniform preferences in [0.02, 0.98] and normal reference logits."""
    rng = np.random.default_rng(seed)
    lower = np.tril(0.02 + 0.96 * rng.random((games, actions, actions)), -1)
    upper = np.triu(1 - lower.transpose(0, 2, 1), 1)
    matrix = lower + upper + 0.5 * np.eye(actions)
    logits = spread * rng.standard_normal((games, actions))
    return Game(matrix, log_softmax(logits, axis=-1))


def cycle_game(log_reference: np.ndarray | None = None) -> Game:
    """COMAL's cycle, from a uniform reference."""
    reference = np.full(3, -np.log(3.0)) if log_reference is None else log_reference
    return Game(CYCLE[None], reference[None])


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def compared_rows(tmp_path_factory):
    """Three tiny language rows at two seeds, finished and compared with trained responders.

    The folder, which is not to be changed, the cells, and the stages' files before the comparison.
    """
    from comparisons import BOTH, compared, finished_cells, stages

    folder = tmp_path_factory.mktemp("compared")
    cells = finished_cells(folder)
    before = stages(folder, "train", "sample", "evaluate", "fine_tune")
    compared(cells, folder, BOTH)
    return folder, cells, before


@pytest.fixture(scope="session")
def finished_trio(tmp_path_factory):
    """The folder, its configurations and its cells, all run into `outputs`; not to be changed."""
    from bundles import export, run_cells, trio

    folder = tmp_path_factory.mktemp("trio")
    conf = trio(folder)
    cells = run_cells(conf, folder / "outputs")
    export(conf, folder / "whole.zip", f"output_dir={folder}/outputs")
    return folder, conf, cells


@pytest.fixture
def own_trio(finished_trio, tmp_path, monkeypatch):
    """The same in a folder of the test's own, which is the current one, and its bundle a.zip."""
    folder, conf, cells = finished_trio
    shutil.copytree(folder / "outputs", tmp_path / "outputs")
    shutil.copy(folder / "whole.zip", tmp_path / "a.zip")
    monkeypatch.chdir(tmp_path)
    return tmp_path, conf, cells
