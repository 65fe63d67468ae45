"""What lm-eval must not touch: random states, modes, files elsewhere, the network."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from academic_tasks import LOGITS, harness, picks_and_answers, shuffling
from scripted_model import scripted

pytestmark = pytest.mark.slow  # importing lm-eval takes seconds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return picks_and_answers(tmp_path)


def states(model: Any) -> tuple[Any, ...]:
    legacy = np.random.get_state()  # noqa: NPY002
    modes = [module.training for module in model.modules()]
    return random.getstate(), legacy[1].tolist(), legacy[2:], torch.get_rng_state().tolist(), modes


@pytest.mark.parametrize("fails", [False, True])
def test_random_states_and_modes_are_put_back(
    folder: Path, tmp_path: Path, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = scripted(LOGITS)
    tokenizer.pad_token = None
    model.train()
    model.lm_head.train(False)
    before, flag, path = states(model), sys.dont_write_bytecode, list(sys.path)
    if fails:

        def broken(*arguments: Any, **keywords: Any) -> None:
            random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
            raise RuntimeError("in the middle")

        monkeypatch.setattr("lm_eval.evaluator.evaluate", broken)
        with pytest.raises(RuntimeError, match="in the middle"):
            harness(folder, "picks").score_model(model, tokenizer, 0, tmp_path / "out")
    else:
        harness(folder, "picks").score_model(model, tokenizer, 0, tmp_path / "out")
    assert states(model) == before
    assert tokenizer.pad_token is None and sys.dont_write_bytecode == flag and sys.path == path
    assert not (tmp_path / "out" / "cache").exists()


WATCHED: dict[str, list[str]] = {}


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook, which lasts for ever: it notes only while there is a list to note in."""
    if not WATCHED:
        return
    opens = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if event in ("socket.connect", "socket.getaddrinfo"):
        WATCHED["connections"].append(f"{event} {arguments}")
    elif opens or event in ("os.mkdir", "os.rename"):
        WATCHED["files"].append(str(arguments[0]))
    elif event == "subprocess.Popen":
        WATCHED["files"].append(f"process {arguments[0]}")


def test_nothing_is_written_elsewhere_and_nobody_is_called(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)  # which conftest forbids
    session = lambda: WATCHED["connections"].append("the hub")  # noqa: E731
    monkeypatch.setattr("datasets.load.get_session", session)
    shuffling(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    model, tokenizer = scripted(LOGITS)
    sys.addaudithook(watch)
    WATCHED.update(files=[], connections=[])
    try:
        harness(folder, "picks", "order").score_model(model, tokenizer, 0, tmp_path / "out")
        noted = dict(WATCHED)
    finally:
        WATCHED.clear()
    assert len(noted["files"]) > 3  # the hook sees the record, and the prepared data
    inside = str((tmp_path / "out").resolve())
    elsewhere = {x for x in noted["files"] if not str(Path(x).resolve()).startswith(inside)}
    assert {x for x in elsewhere if x != "/dev/null" and not x.isdigit()} == set()
    assert noted["connections"] == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
