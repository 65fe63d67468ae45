"""Cells: run once, recorded whole, read back as rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from command import user_folder

from nlhf_repro.cells import experiment_cells, single_cell
from nlhf_repro.config import add_user_modules, search_path_override
from nlhf_repro.games import duality_gap
from nlhf_repro.pipeline.cell import is_complete, read_run, run_cell
from nlhf_repro.pipeline.metrics import read_scores
from nlhf_repro.pipeline.records import DeclaredCell, row_records
from nlhf_repro.pipeline.stages import game_of, load_trajectory

SMALL = ["training.iterations=20", "training.record_points=5", "oracle.games=4", "tracker=none"]


def run(folder: Path, *overrides: str):
    cell = single_cell([*SMALL, f"output_dir={folder}", *overrides])
    return cell, run_cell(cell.config, cell.overrides)


def stages(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"stages/{kind}-*"))


def test_a_cell_leaves_its_records(tmp_path: Path) -> None:
    cell, result = run(tmp_path)
    assert result.fresh
    record = read_run(result.directory)
    assert record["status"] == "complete"
    assert record["ledger"]["preference_evaluations"] == 20
    assert record["seed"] is None, "the exact face has no seed"
    assert record["measured"]["peak_memory_mib"] > 0
    assert {path.name for path in result.directory.iterdir()} == {
        "config.yaml",
        "metrics.jsonl",
        "overrides.txt",
        "run.json",
    }
    assert (result.directory / "overrides.txt").read_text().splitlines() == list(cell.overrides)
    lines = (result.directory / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["update"] for line in lines] == [0, 1, 2, 4, 9, 20]


def test_scores_are_those_of_the_stored_policies(tmp_path: Path) -> None:
    cell, _ = run(tmp_path)
    (train,), (evaluate,) = stages(tmp_path, "train"), stages(tmp_path, "evaluate")
    trajectory, game = load_trajectory(train), game_of(cell.config)
    scores = read_scores(evaluate)
    assert scores["last"].shape == (6, 4)
    for point, game_index in ((0, 0), (3, 2), (5, 3)):
        policy = np.exp(trajectory.last[point, game_index])
        direct = duality_gap(game.preference_matrix[game_index], policy)
        assert scores["last"][point, game_index] == pytest.approx(direct, abs=1e-14)
    table = pq.read_table(evaluate / "scores.parquet")
    assert table.column_names == [
        "policy",
        "benchmark",
        "benchmark_version",
        "item",
        "cluster",
        "iterate",
        "update",
        "value",
    ]
    assert table["policy"][0].as_py().startswith(train.name.removeprefix("train-"))


def test_a_complete_cell_is_never_run_again(tmp_path: Path) -> None:
    _, first = run(tmp_path)
    before = (first.directory / "run.json").stat().st_mtime_ns
    _, second = run(tmp_path, "seed=3", "name=other")
    assert (second.key, second.fresh) == (first.key, False)
    assert (first.directory / "run.json").stat().st_mtime_ns == before


def test_another_benchmark_does_not_retrain(tmp_path: Path) -> None:
    run(tmp_path)
    train = stages(tmp_path, "train")[0] / "trajectory.npz"
    before = train.stat().st_mtime_ns
    run(tmp_path, "benchmark=[duality_gap,log_ratio_to_reference]")
    assert train.stat().st_mtime_ns == before
    assert (len(stages(tmp_path, "train")), len(stages(tmp_path, "evaluate"))) == (1, 2)


def test_a_damaged_stage_makes_its_cell_incomplete_until_it_is_run_again(tmp_path: Path) -> None:
    cell, _ = run(tmp_path)
    scores = stages(tmp_path, "evaluate")[0] / "scores.parquet"
    whole = scores.read_bytes()
    scores.write_bytes(whole[:-7])
    assert not is_complete(tmp_path, cell.key)
    with pytest.warns(UserWarning, match="computed again"):
        run(tmp_path)
    assert scores.read_bytes() == whole


def test_a_sampled_cell_regenerates_its_bytes(tmp_path: Path) -> None:
    sampled = ["training.face=sampled", "algorithm=egpo", "training.iterations=3", "seed=2"]
    for name in ("a", "b"):
        run(tmp_path / name, *sampled)
    paths = [
        path.relative_to(tmp_path / "a")
        for path in (tmp_path / "a" / "stages").rglob("*")
        if path.suffix in (".npz", ".parquet") or path.name == "ledger.json"
    ]
    assert len(paths) == 3
    for path in paths:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()


def user_cells(tmp_path: Path, *overrides: str):
    search = search_path_override(str(user_folder(tmp_path)))
    add_user_modules(search)
    output = f"output_dir={tmp_path}/out"
    return experiment_cells([*search, "experiment=tabular/small", output, *overrides])


def declared(cells) -> list[DeclaredCell]:
    return [DeclaredCell(x.row, x.seed, x.world, x.key, x.config) for x in cells]


def test_rows_show_what_is_missing_and_what_distinguishes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    cells = user_cells(tmp_path)
    run_cell(cells[1].config, cells[1].overrides)
    missing, finished, _ = row_records(declared(cells), tmp_path / "out")
    assert (missing.label, missing.seeds, missing.missing) == ("A, quick", (), (0,))
    assert (finished.seeds, finished.missing, finished.deterministic) == ((0,), (), True)
    assert finished.values["duality_gap/last"].shape == (1, 4, 6)
    assert finished.variants == {"algorithm.step_size": "0.2"}
    assert finished.floors == {"duality_gap": 1e-14}
    assert finished.measured["seconds"].shape == (1,)


def test_a_failure_is_recorded_and_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    cells = user_cells(tmp_path, "+algorithm.fails=true")
    with pytest.raises(RuntimeError, match="the third update broke"):
        run_cell(cells[0].config, cells[0].overrides)
    record, *_ = row_records(declared(cells), tmp_path / "out")
    assert record.failed == {0: "RuntimeError: the third update broke"}
    assert record.missing == ()
    trace = next((tmp_path / "out" / "runs").glob("*/traceback.txt")).read_text()
    assert "user_parts.py" in trace
