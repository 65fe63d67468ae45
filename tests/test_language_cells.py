"""Language cells: what is on disk, what is shared, what the seed decides."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from command import start
from mini_world import (
    TINY,
    lines,
    run_record,
    run_tiny,
    stages,
    tiny_overrides,
    training_folder,
)

from nlhf_repro.cells import single_cell
from nlhf_repro.pipeline.cell import CellResult
from nlhf_repro.pipeline.evaluation_keys import cell_key
from nlhf_repro.pipeline.keys import reference_sample_key, train_key
from nlhf_repro.pipeline.stages import load_trajectory

BENCHMARKS = "[oracle_win_rate,kl_to_reference]"
WEIGHTS = "checkpoint-2.safetensors"


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CellResult]:
    """One tiny cell of the default composition, and its output folder."""
    folder = tmp_path_factory.mktemp("cell")
    return folder, run_tiny(folder, benchmark=BENCHMARKS)


def weights(folder: Path, result: CellResult) -> bytes:
    return (training_folder(folder, result) / WEIGHTS).read_bytes()


def samples(folder: Path) -> dict[str, object]:
    return {path.name: pq.read_table(path / "samples.parquet") for path in stages(folder, "sample")}


def test_a_cell_records_what_it_was_and_what_it_cost(cell) -> None:
    _, result = cell
    assert result.fresh
    config = yaml.safe_load((result.directory / "config.yaml").read_text())
    assert config["language"]["max_new_tokens"] == TINY["language.max_new_tokens"]
    record = run_record(result)
    assert record["status"] == "complete" and record["world"] == 0
    ledger = record["ledger"]
    # Two iterations of four prompts with two responses, compared once, in 100 gradient steps each.
    assert (ledger["comparisons"], ledger["bernoulli_answers"], ledger["responses"]) == (8, 8, 16)
    assert (ledger["unique_prompts"], ledger["gradient_steps"], ledger["scores"]) == (8, 200, 0)
    assert 16 <= ledger["sampled_tokens"] <= 16 * TINY["language.max_new_tokens"]
    assert record["versions"]["transformers"]
    assert record["measured"]["seconds"] > 0


def test_metrics_hold_every_benchmark_at_every_recorded_update(cell) -> None:
    _, result = cell
    found = list(lines(result.directory / "metrics.jsonl"))
    assert [line["update"] for line in found] == [0, 1, 2]
    text = json.dumps(found[0])
    assert "oracle_win_rate" in text and "kl_to_reference" in text


def test_training_lines_tell_every_step_and_every_collection(cell) -> None:
    folder, result = cell
    found = list(lines(result.directory / "training.jsonl"))
    assert found == list(lines(training_folder(folder, result) / "training.jsonl"))
    steps = [line for line in found if line["kind"] == "step"]
    collected = [line for line in found if line["kind"] == "collect"]
    assert [line["step"] for line in steps] == list(range(200))
    assert all(math.isfinite(line["loss"]) and line["gradient_norm"] >= 0 for line in steps)
    assert [line["comparisons"] for line in collected] == [4, 8]
    assert [line["update"] for line in collected] == [0, 1]
    assert collected[0]["kl_to_reference"] == pytest.approx(0, abs=1e-5)
    assert collected[1]["kl_to_reference"] != 0


def test_tokens_are_counted_at_every_recorded_update(cell) -> None:
    folder, result = cell
    trajectory = load_trajectory(training_folder(folder, result))
    ledger = trajectory.ledger
    assert trajectory.sampled_tokens.tolist()[::2] == [0, ledger.sampled_tokens]
    assert trajectory.trained_tokens.tolist()[::2] == [0, ledger.trained_tokens]
    assert 0 < trajectory.tokens[1] < trajectory.tokens[2]
    found = lines(result.directory / "training.jsonl")
    before = [line["tokens_before"] for line in found if line["kind"] == "collect"]
    assert before == trajectory.tokens[:2].tolist()


def test_the_first_recorded_policy_is_the_reference_and_its_opponent_draws_apart(cell) -> None:
    """Policies draw from one stream, the reference as an opponent from another."""
    folder, _ = cell
    policies, *alone = sorted(samples(folder).values(), key=len, reverse=True)
    count = TINY["prompts.evaluation"] * TINY["language.evaluation_samples"]
    assert [len(policies), *map(len, alone)] == [3 * count, count, count]
    first = policies.filter(policies["update"].to_numpy() == 0)
    starts = [x for x in alone if x["response"].to_pylist() == first["response"].to_pylist()]
    assert len(starts) == 1
    (reference,) = (x for x in alone if x is not starts[0])
    np.testing.assert_allclose(first["log_prob"], first["reference_log_prob"], atol=1e-5)
    assert all(text.startswith("posts/0/evaluation/") for text in reference["prompt"].to_pylist())


def test_the_same_command_computes_nothing_again(cell) -> None:
    folder, result = cell
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    again = run_tiny(folder, benchmark=BENCHMARKS)
    assert (again.key, again.fresh) == (result.key, False)
    stages_of = {path: time for path, time in before.items() if "locks" not in path.parts}
    assert stages_of == {path: path.stat().st_mtime_ns for path in stages_of}


def test_cells_share_the_fine_tuned_model_and_the_reference_answers(tmp_path: Path) -> None:
    run_tiny(tmp_path, algorithm="fixed", benchmark=BENCHMARKS)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("stages/*/manifest.json")}
    run_tiny(tmp_path, algorithm="sppo", algorithm__gradient_steps=2, benchmark=BENCHMARKS)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    assert len(stages(tmp_path, "fine_tune")) == 1
    assert len(stages(tmp_path, "train")) == 2
    assert len(stages(tmp_path, "sample")) == 4  # two policies', their start's, the reference's
    # A benchmark more: scores, and nothing else.
    run_tiny(tmp_path, algorithm="fixed", benchmark="[oracle_win_rate,kl_to_reference,coverage]")
    assert len(stages(tmp_path, "train")) == 2 and len(stages(tmp_path, "sample")) == 4
    assert len(stages(tmp_path, "evaluate")) == 5
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


@pytest.mark.slow
def test_two_processes_started_at_once_compute_shared_stages_once(tmp_path: Path) -> None:
    shared = ["run", *tiny_overrides(benchmark=BENCHMARKS, algorithm__gradient_steps=2)]
    started = [start(tmp_path, *shared, f"algorithm={name}") for name in ("inpo", "ipo")]
    ended = [process.communicate(timeout=240) for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    folder = tmp_path / "outputs"
    assert len(stages(folder, "fine_tune")) == 1
    assert len(stages(folder, "train")) == 2
    assert len(stages(folder, "sample")) == 4
    # Computed once: the model was whole before either training wrote its first policy.
    (tuned,) = stages(folder, "fine_tune")
    begun = min(path.stat().st_mtime_ns for path in folder.glob("stages/train-*/checkpoint-0*"))
    assert (tuned / "manifest.json").stat().st_mtime_ns < begun
    assert not list((folder / "stages").glob(".*partial"))
    assert not list((folder / "stages" / "unfinished").glob("*"))


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(cell, tmp_path: Path) -> None:
    folder, result = cell
    again = run_tiny(tmp_path / "a", benchmark=BENCHMARKS)
    other = run_tiny(tmp_path / "b", "seed=1", benchmark=BENCHMARKS)
    assert weights(tmp_path / "a", again) == weights(folder, result)
    assert weights(tmp_path / "b", other) != weights(folder, result)
    names = ("fine_tune-*/parameters.safetensors", "evaluate-*/scores.parquet", "*/samples.parquet")
    for name in names:
        one, two = (sorted(x.glob(f"stages/{name}")) for x in (folder, tmp_path / "a"))
        assert one and [x.read_bytes() for x in one] == [x.read_bytes() for x in two]


def test_seeds_share_the_world_s_model_and_worlds_share_nothing() -> None:
    def config(*overrides: str):
        return single_cell([*tiny_overrides(), *overrides]).config

    keys = {name: reference_sample_key(config(name)) for name in ("seed=0", "seed=1", "world=1")}
    assert keys["seed=0"] == keys["seed=1"] != keys["world=1"]
    assert len({train_key(config(name)) for name in keys}) == 3


@pytest.mark.parametrize("name", ["resume_every=1", "snapshots=disk"])
def test_where_a_run_keeps_its_state_changes_no_key(name: str) -> None:
    plain, changed = (
        single_cell([*tiny_overrides(), *more]).config for more in ([], [f"language.{name}"])
    )
    assert cell_key(plain) == cell_key(changed)


def test_every_row_is_scored_on_the_same_prompts_and_tuning_on_others(tmp_path: Path) -> None:
    run_tiny(tmp_path, algorithm="fixed", benchmark=BENCHMARKS)
    run_tiny(tmp_path, algorithm="ipo", algorithm__gradient_steps=1, benchmark=BENCHMARKS)
    asked = {tuple(dict.fromkeys(x["prompt"].to_pylist())) for x in samples(tmp_path).values()}
    assert len(asked) == 1 and len(next(iter(asked))) == TINY["prompts.evaluation"]
    other = run_tiny(
        tmp_path / "tuning",
        algorithm="fixed",
        benchmark=BENCHMARKS,
        language__evaluation_split="tuning",
    )
    tuned = {
        x for table in samples(tmp_path / "tuning").values() for x in table["prompt"].to_pylist()
    }
    assert len(tuned) == TINY["prompts.tuning"]
    assert all("/tuning/" in x for x in tuned) and not tuned & set(next(iter(asked)))
    assert run_record(other)["status"] == "complete"


def test_the_mirror_takes_a_language_cell_without_network(
    cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    from nlhf_repro.pipeline.parts import build

    folder, result = cell
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, "unset")
    wandb.teardown()
    tracked = single_cell([*tiny_overrides(), "tracker=wandb", "tracker.mode=offline"]).config
    build(tracked["tracker"]).mirror_cell(result.directory)
    (run,) = (folder / "wandb").glob("offline-run-*")
    assert (run / f"run-{result.key[:16]}.wandb").stat().st_size > 1000
    assert json.loads((result.directory / "tracked.json").read_text()) == {"modes": ["offline"]}
