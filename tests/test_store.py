"""Keys tell what decides a result; the store computes each once and notices damage."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest
from command import user_folder

from nlhf_repro.cells import single_cell
from nlhf_repro.interfaces import Ledger, Trajectory
from nlhf_repro.pipeline import keys
from nlhf_repro.pipeline.evaluation_keys import cell_key, evaluation_key
from nlhf_repro.pipeline.files import write_atomically
from nlhf_repro.pipeline.keys import seed_factors, train_key
from nlhf_repro.pipeline.sources import source_hashes
from nlhf_repro.pipeline.stages import generators, load_trajectory, save_trajectory
from nlhf_repro.pipeline.store import StageStore

KEY = "0123456789abcdef" * 4


def config(*overrides: str) -> dict:
    return single_cell(list(overrides)).config


@pytest.mark.parametrize(
    "override",
    ["tracker=none", "output_dir=elsewhere", "table=comal_game", "name=other", "seed=7"],
)
def test_what_decides_nothing_is_not_in_the_key(override: str) -> None:
    assert cell_key(config(override)) == cell_key(config())


@pytest.mark.parametrize(
    "override",
    [
        "algorithm.step_size=0.31",
        "world=1",
        "oracle.games=3",
        "training.iterations=11",
        "algorithm=egpo",
        "model=tabular_mlp",
        "oracle_wrapper=[noisy]",
        "training.face=sampled",
    ],
)
def test_what_decides_training_is_in_its_key(override: str) -> None:
    assert train_key(config(override)) != train_key(config())


@pytest.mark.parametrize(
    "override", ["budget.comparisons=640", "model=tabular_mlp", "training.groups_per_iteration=3"]
)
def test_what_decides_sampled_training_is_in_its_key(override: str) -> None:
    sampled = ["training.face=sampled"]
    assert train_key(config(*sampled, override)) != train_key(config(*sampled))


@pytest.mark.parametrize("part", ["source_hashes", "installed", "machine"])
def test_code_libraries_and_machine_are_in_every_key(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = train_key(config()), evaluation_key(config(), "duality_gap")
    changed = {"source_hashes": lambda modules: {"module": "other"}}.get(part, lambda *_: "other")
    monkeypatch.setattr(keys, part, changed)
    after = train_key(config()), evaluation_key(config(), "duality_gap")
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_the_seed_counts_where_something_is_drawn() -> None:
    sampled = ["training.face=sampled"]
    assert train_key(config(*sampled, "seed=1")) != train_key(config(*sampled))
    assert train_key(config(*sampled)) != train_key(config())


def test_a_benchmark_is_no_part_of_training() -> None:
    one, two = config(), config("benchmark=[duality_gap,log_ratio_to_reference]")
    assert train_key(one) == train_key(two)
    assert evaluation_key(one, "duality_gap") == evaluation_key(two, "duality_gap")
    assert cell_key(one) != cell_key(two)


def test_matched_rows_share_streams_and_independent_ones_do_not() -> None:
    def draws(*overrides: str) -> list[float]:
        return list(generators(seed_factors(config(*overrides)))("responses").random(3))

    matched, other = "seeds.design=matched", "algorithm.step_size=0.2"
    assert draws(matched) == draws(matched, other)
    assert draws() != draws(other)
    assert draws() != draws("training.learning_rate=0.5")
    assert draws(matched) != draws(matched, "seed=1")


def test_sources_follow_imports_inside_the_package_alone() -> None:
    hashes = source_hashes(["nlhf_repro.algorithms.inpo"])
    assert {"nlhf_repro", "nlhf_repro.updates", "nlhf_repro.losses"} <= set(hashes)
    assert "nlhf_repro.algorithms.egpo" not in hashes
    assert all(name.split(".")[0] == "nlhf_repro" for name in hashes)
    assert "nlhf_repro.pipeline.sampled" in source_hashes(["nlhf_repro.pipeline.stages"])


def test_sources_of_users_include_their_neighbors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_folder(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    hashes = source_hashes(["user_parts"])
    assert {"user_parts", "user_helper", "nlhf_repro.updates"} <= set(hashes)
    assert "numpy" not in hashes


def test_equal_trajectories_give_equal_bytes(tmp_path: Path) -> None:
    points = np.arange(3.0)
    policy = np.log(np.full((3, 2, 4), 0.25))
    trajectory = Trajectory(points, points, points, policy, None, Ledger(problems=2))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_trajectory(tmp_path / name, trajectory)
        time.sleep(0.01)
    first, second = (tmp_path / name / "trajectory.npz" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    loaded = load_trajectory(tmp_path / "a")
    assert np.array_equal(loaded.last, policy)
    assert loaded.average is None
    assert loaded.ledger == trajectory.ledger


def fill(folder: Path) -> None:
    (folder / "data").write_text("whole")


def test_a_stage_is_computed_once(tmp_path: Path) -> None:
    store, calls = StageStore(tmp_path), []
    for _ in range(2):
        folder = store.obtain("train", KEY, lambda path: (calls.append(1), fill(path))[1])
    assert (folder / "data").read_text() == "whole"
    assert calls == [1]


@pytest.mark.parametrize("damage", ["truncate", "remove", "manifest"])
def test_a_damaged_stage_is_computed_again_with_a_warning(tmp_path: Path, damage: str) -> None:
    store = StageStore(tmp_path)
    folder = store.obtain("train", KEY, fill)
    if damage == "truncate":
        (folder / "data").write_text("who")
    elif damage == "remove":
        (folder / "data").unlink()
    else:
        (folder / "manifest.json").write_text("{")
    with pytest.warns(UserWarning, match="computed again"):
        store.obtain("train", KEY, fill)
    assert (folder / "data").read_text() == "whole"


def test_a_failed_computation_leaves_nothing_that_counts(tmp_path: Path) -> None:
    store = StageStore(tmp_path)

    def broken(folder: Path) -> None:
        fill(folder)
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        store.obtain("train", KEY, broken)
    assert store.fault("train", KEY) == "absent"
    assert (store.obtain("train", KEY, fill) / "data").read_text() == "whole"


def slow_fill(folder: Path) -> None:
    with (folder.parent / "calls").open("a") as file:
        file.write("x")
    time.sleep(0.5)
    fill(folder)


def ask(root: Path) -> None:
    StageStore(root).obtain("train", KEY, slow_fill)


def test_two_processes_at_once_compute_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=ask, args=(tmp_path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "calls").read_text() == "x"


def test_an_atomic_write_leaves_no_other_file(tmp_path: Path) -> None:
    for text in ("one", "two"):
        write_atomically(tmp_path / "x.txt", text)
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]
    assert (tmp_path / "x.txt").read_text() == "two"
