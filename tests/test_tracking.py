"""W&B mirrors records offline, and falls back to that when it cannot be reached."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import wandb

from nlhf_repro import tracking
from nlhf_repro.cells import single_cell
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.cell import run_cell
from nlhf_repro.reporting import Cell, Table, TableRow
from nlhf_repro.tracking import WandbTracker


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    small = ["training.iterations=5", "training.record_points=5", "oracle.games=2"]
    cell = single_cell([*small, f"output_dir={tmp_path}/out"])
    return run_cell(cell.config, cell.overrides).directory


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Home and working folder, which W&B must leave alone; its variables are put back."""
    folder = tmp_path / "outside"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, "unset")
    tracking._reachable_mode.cache_clear()
    wandb.teardown()  # what it read of the environment before
    return folder


def test_offline_needs_no_network_and_writes_below_the_output_folder(
    directory: Path, outside: Path
) -> None:
    WandbTracker("offline", "test", None, 10).mirror_cell(directory)
    key = json.loads((directory / "run.json").read_text())["key"][:16]
    (run,) = (directory.parents[1] / "wandb").glob("offline-run-*")
    assert (run / f"run-{key}.wandb").stat().st_size > 1000
    assert list(outside.iterdir()) == []


def test_a_cell_is_mirrored_once(directory: Path) -> None:
    for _ in range(2):
        WandbTracker("offline", "test", None, 10).mirror_cell(directory)
    assert len(list((directory.parents[1] / "wandb").glob("offline-run-*"))) == 1


@pytest.mark.parametrize("key", ["", "a" * 40])
def test_online_without_key_or_network_falls_back_within_15_seconds(
    directory: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", key)
    if not key:
        monkeypatch.delenv("WANDB_API_KEY")
    reason = "W&B is offline: http://127.0.0.1:9" if key else "there is no key"
    begin = time.monotonic()
    with pytest.warns(UserWarning, match=reason):
        WandbTracker("online", "test", None, 10).mirror_cell(directory)
    assert time.monotonic() - begin < 15
    assert json.loads((directory / "tracked.json").read_text()) == {"modes": ["offline"]}


def test_a_tracking_failure_is_a_warning(directory: Path) -> None:
    (directory / "metrics.jsonl").write_text("{")
    with pytest.warns(UserWarning, match="W&B did not take run, seed"):
        WandbTracker("offline", "test", None, 10).mirror_cell(directory)
    assert not (directory / "tracked.json").exists()


def test_tables_figures_and_the_report_are_mirrored_once(tmp_path: Path) -> None:
    import matplotlib.image

    table = Table("t", "c", ("row", "gap"), (TableRow("A", (Cell("0.1", 0.1234567),)),), ("n",))
    cost = Table("cost", "", ("row", "seconds"), (TableRow("A", (Cell("3"),)),), ())
    report = tmp_path / "name-report.html"
    report.write_text("<!doctype html>the report")
    picture = tmp_path / "curves.png"
    matplotlib.image.imsave(picture, [[0.0, 1.0], [1.0, 0.0]])
    mirrored = {"table": table, "cost": cost}
    for _ in range(2):
        WandbTracker("offline", "test", None, 10).mirror_tables(
            tmp_path, "name", mirrored, [picture], report
        )
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    kept = [path.name for path in (run / "files" / "media" / "table").iterdir()]
    assert sorted(name.partition("_")[0] for name in kept) == ["cost", "table"]
    assert list(run.glob("files/media/images/curves_*.png"))
    (sent,) = run.glob("run-*.wandb")
    for said in (b"table/A/gap/estimate", b"0.1234567", b"name-report"):
        assert said in sent.read_bytes()


def test_a_report_that_is_not_there_is_no_failure(tmp_path: Path) -> None:
    table = Table("t", "c", ("row", "gap"), (TableRow("A", (Cell("0.1"),)),), ())
    tracker = WandbTracker("offline", "test", None, 10)
    tracker.mirror_tables(tmp_path, "name", {"table": table}, [], tmp_path / "none.html")
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    assert b"none.html" not in next(run.glob("run-*.wandb")).read_bytes()


def test_an_endless_wait_is_refused() -> None:
    with pytest.raises(ImpossibleSettingError, match=r"tracker.init_timeout = 0"):
        WandbTracker("offline", "test", None, 0)
