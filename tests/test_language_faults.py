"""What is lost when a language cell is killed, truncated or given a broken oracle: nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from command import nlhf, start
from mini_world import run_record, run_tiny, stages, tiny_overrides, training_folder

from nlhf_repro.cells import single_cell
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.oracles.annotators import AnnotatorOracle
from nlhf_repro.pipeline.cell import run_cell
from nlhf_repro.pipeline.language import stages as language_stages
from nlhf_repro.pipeline.language.checkpoints import CheckpointRecorder

LONG = {
    "training__iterations": 6,
    "training__record_points": 3,
    "algorithm__gradient_steps": 4,
    "language__resume_every": 1,
    "benchmark": "[oracle_win_rate]",
}
LAST = "checkpoint-6.safetensors"


class Killed(BaseException):
    """Stands for a kill: no handler of failures sees it."""


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of a cell that nothing disturbed."""
    folder = tmp_path_factory.mktemp("calm")
    run_tiny(folder, **LONG)
    return products(folder)


def products(folder: Path) -> dict[str, bytes]:
    """Checkpoints, trajectory, ledger, lines of training, samples and scores."""
    suffixes = (".safetensors", ".npz", ".parquet", ".jsonl")
    found = {}
    for path in sorted((folder / "stages").glob("*-*/*")):
        if path.suffix in suffixes or path.name == "ledger.json":
            found[f"{path.parent.name}/{path.name}"] = path.read_bytes()
    return found


def kill_at(monkeypatch: pytest.MonkeyPatch, target, name: str, call: int) -> None:
    """Raise `Killed` at the start of the given call of a function."""
    original, calls = getattr(target, name), iter(range(call + 1))

    def dying(*arguments, **named):
        if next(calls, call + 1) == call:
            raise Killed
        return original(*arguments, **named)

    monkeypatch.setattr(target, name, dying)


@pytest.mark.parametrize(
    ("target", "name", "call"),
    [
        (CheckpointRecorder, "record", 1),
        (CheckpointRecorder, "record", 3),
        (CheckpointRecorder, "trajectory", 0),
        # All is trained, and its checkpoints are on their way into the stage's folder:
        (language_stages, "_write_measured", 1),
        (language_stages, "write_samples", 0),
        (language_stages, "write_samples", 1),
    ],
)
def test_a_cell_stopped_anywhere_goes_on_to_the_same_bytes(
    calm, target, name, call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kill_at(patch, target, name, call)
        with pytest.raises(Killed):
            run_tiny(tmp_path, **LONG)
    run_tiny(tmp_path, **LONG)
    assert products(tmp_path) == calm
    assert not list((tmp_path / "stages" / "unfinished").glob("*"))


def unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a training that was killed after its fifth update."""
    with monkeypatch.context() as patch:
        kill_at(patch, CheckpointRecorder, "record", 3)
        with pytest.raises(Killed):
            run_tiny(tmp_path, **LONG)
    (folder,) = (tmp_path / "stages" / "unfinished").iterdir()
    assert json.loads((folder / "resume.json").read_text())["updates"] == 5
    return folder


def truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def change_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [truncate, change_a_byte, Path.unlink])
@pytest.mark.parametrize(
    "file", ["resume.json", "resume-5.safetensors", "checkpoint-2.safetensors"]
)
def test_a_damaged_state_is_begun_again_and_ends_in_the_same_bytes(
    calm, file: str, damage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unfinished(tmp_path, monkeypatch)
    damage(folder / file)
    run_tiny(tmp_path, **LONG)
    assert products(tmp_path) == calm


def test_a_whole_state_is_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unfinished(tmp_path, monkeypatch)
    recorded = []
    original = CheckpointRecorder.record
    monkeypatch.setattr(
        CheckpointRecorder,
        "record",
        lambda self, update, run: recorded.append(update) or original(self, update, run),
    )
    run_tiny(tmp_path, **LONG)
    assert recorded == [6]


@pytest.mark.parametrize("damage", [truncate, change_a_byte, Path.unlink])
def test_a_damaged_checkpoint_of_a_finished_stage_is_noticed(calm, damage, tmp_path: Path) -> None:
    result = run_tiny(tmp_path, **LONG)
    folder = training_folder(tmp_path, result)
    damage(folder / LAST)
    with pytest.warns(UserWarning, match=rf"{folder.name} is computed again: "):
        again = run_tiny(tmp_path, **LONG)
    assert again.fresh and products(tmp_path) == calm


def test_a_damaged_fine_tuned_model_is_computed_again(calm, tmp_path: Path) -> None:
    run_tiny(tmp_path, **LONG)
    (tuned,) = stages(tmp_path, "fine_tune")
    truncate(tuned / "parameters.safetensors")
    with pytest.warns(UserWarning, match="fine_tune-.* is computed again"):
        run_tiny(tmp_path, "seed=1", **LONG)
    assert products(tmp_path).items() >= calm.items()


@pytest.mark.parametrize("value", [float("nan"), 1.5])
def test_an_oracle_that_breaks_in_training_leaves_what_was_trained(
    calm, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cell is recorded as failed, and goes on from its last state when the oracle is mended."""
    original, asked = AnnotatorOracle.preference, []

    def broken(self, prompts, first, second):
        asked.append(len(prompts))
        answers = original(self, prompts, first, second)
        if len(asked) == 4:
            answers = answers.copy()
            answers[1] = value
        return answers

    with monkeypatch.context() as patch:
        patch.setattr(AnnotatorOracle, "preference", broken)
        with pytest.raises(ValueError, match=r"to prompt posts/0/training/\d+, which is not a pro"):
            run_tiny(tmp_path, **LONG)
    (failed,) = (tmp_path / "runs").glob("*/run.json")
    record = json.loads(failed.read_text())
    assert record["status"] == "failed" and "mend the oracle" in record["error"]
    (kept,) = (tmp_path / "stages" / "unfinished").iterdir()
    assert json.loads((kept / "resume.json").read_text())["updates"] == 3
    assert (kept / "checkpoint-2.safetensors").is_file()
    assert run_record(run_tiny(tmp_path, **LONG))["status"] == "complete"
    assert products(tmp_path) == calm


def test_a_model_without_room_for_the_prompt_says_so(tmp_path: Path) -> None:
    cell = single_cell([*tiny_overrides(model__positions=16), f"output_dir={tmp_path}"])
    with pytest.raises(ImpossibleSettingError, match="positions"):
        run_cell(cell.config, cell.overrides)


@pytest.mark.slow
def test_a_language_cell_killed_at_any_moment_ends_in_the_same_bytes(tmp_path: Path) -> None:
    kills = int(os.environ.get("NLHF_SOAK_KILLS", "3"))
    command = ["run", *tiny_overrides(**{**LONG, "algorithm__gradient_steps": 25})]
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    calm.mkdir(), stormy.mkdir()
    begun = time.monotonic()
    assert nlhf(calm, *command)[0] == 0
    whole, moments = time.monotonic() - begun, random.Random(5)
    for _ in range(kills):
        process = start(stormy, *command)
        time.sleep(moments.uniform(0.2, 1.0) * whole)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    status, _, errors = nlhf(stormy, *command)
    assert status == 0, errors
    assert products(stormy / "outputs") == products(calm / "outputs")
    one, two = (sorted(x.glob("outputs/runs/*/metrics.jsonl")) for x in (calm, stormy))
    assert one and [x.read_bytes() for x in one] == [x.read_bytes() for x in two]
