"""The commands, each in a process of its own."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import REPOSITORY, nlhf, start, user_folder

QUICK = ("tracker=none", "training.iterations=20", "training.record_points=5")

WRITTEN = "nlhf: written to outputs/tables\n"


def tables(folder: Path) -> dict[str, bytes]:
    paths = sorted((folder / "outputs" / "tables").iterdir())
    return {path.name: path.read_bytes() for path in paths if "cost" not in path.name}


def test_run_prints_where_the_records_are_and_final_values(tmp_path: Path) -> None:
    status, output, errors = nlhf(
        tmp_path, "run", "scale=tabular", "algorithm=sppo", "seed=1", *QUICK
    )
    assert (status, errors) == (0, "")
    first, second, _ = output.splitlines()
    folder = tmp_path / first.split()[0]
    assert json.loads((folder / "run.json").read_text())["status"] == "complete"
    assert "duality_gap, last iterate: geometric mean" in second
    assert "95% interval" in second
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outputs"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "algorithm=inpoo"], "algorithm=inpoo is no choice: did you mean inpo?"),
        (["run", "-m", "algorithm=sppo,inpoo"], "did you mean inpo?"),
        (["run", "-m", "algorithm.step_size=0.1,-1"], "algorithm.step_size = -1"),
        (["run", "experiment=tabular/comal_game"], "choose one with row=LABEL"),
        (["run", "scale=tabular", "budget.comparisons=9"], "training.face=sampled"),
        (["run", "--config-dir", "nowhere"], "--config-dir nowhere is no folder"),
        (["table", "comal_gam"], "did you mean comal_game?"),
        (["reproduce", "comal_game", "row=INPO"], "use nlhf run"),
        (["list", "algorithms"], "did you mean algorithm?"),
    ],
)
def test_refusals_exit_with_2_and_run_nothing(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    status, output, errors = nlhf(tmp_path, *arguments)
    assert status == 2
    assert output == ""
    assert sentence in errors
    assert len(errors.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, _, errors = nlhf(tmp_path, "reproduce", "comal_game", "output_dir=file/x")
    assert status == 1
    assert "nlhf: file/x" in errors and "cannot be used (Not a directory)" in errors


def test_cfg_prints_the_configuration_of_a_row(tmp_path: Path) -> None:
    experiment = "experiment=tabular/comal_game"
    status, output, _ = nlhf(tmp_path, "run", "--cfg", experiment, "row=Nash-MD", "seed=4")
    assert status == 0
    assert "nlhf_repro.algorithms.nash_md.NashMD" in output
    assert "\nseed: 4\n" in output
    assert list(tmp_path.iterdir()) == []


def test_list_aligns_every_choice_and_a_users_own(tmp_path: Path) -> None:
    status, output, _ = nlhf(tmp_path, "list", "algorithm", "--config-dir", user_folder(tmp_path))
    assert status == 0
    lines = output.splitlines()
    assert lines[0] == "algorithm"
    inpo = next(line for line in lines if line.split()[0] == "inpo")
    slow = next(line for line in lines if line.split()[0] == "slow")
    assert "arXiv:2407.00617" in inpo
    assert slow.index("A slow one") == inpo.index("INPO:")


@pytest.mark.parametrize("verb", [["--help"], ["list"], ["table", "comal_game"]])
def test_light_verbs_import_no_heavy_package(tmp_path: Path, verb: list[str]) -> None:
    program = (
        "import sys\nfrom nlhf_repro.cli import main\n"
        f"sys.argv = ['nlhf', *{verb}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', sorted({'torch', 'transformers', 'wandb'} & set(sys.modules)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []", done.stderr


def small(folder: Path, *overrides: str, verb: str = "reproduce") -> tuple[int, str, str]:
    return nlhf(folder, verb, "small", "--config-dir", folder / "conf", *overrides)


@pytest.mark.slow
def test_reproduce_runs_what_is_missing_and_table_prints_the_same(tmp_path: Path) -> None:
    user_folder(tmp_path)
    status, output, errors = small(tmp_path)
    assert status == 0, errors
    assert "3 of 3 cells done, 0 running, 0 failed" in errors
    assert "B (it's)" in output
    first = tables(tmp_path)
    status, again, errors = small(tmp_path, verb="table")
    assert (status, again, errors) == (0, output, WRITTEN)
    assert tables(tmp_path) == first
    assert (tmp_path / "outputs" / "logs" / "small.log").read_text().count("complete") == 3
    _, again, errors = small(tmp_path)
    assert (again, errors) == (output, WRITTEN)


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    for name, jobs in (("one", "1"), ("three", "3")):
        user_folder(tmp_path / name)
        assert small(tmp_path / name, "--jobs", jobs)[0] == 0
    assert tables(tmp_path / "one") == tables(tmp_path / "three")


@pytest.mark.slow
def test_multirun_computes_every_cell_and_the_table_finds_them(tmp_path: Path) -> None:
    conf = user_folder(tmp_path)
    arguments = ("run", "-m", "experiment=tabular/small", "--config-dir", conf)
    status, output, errors = nlhf(tmp_path, *arguments)
    assert status == 0, errors
    assert output.count(": complete,") == 3
    status, _, errors = small(tmp_path, verb="table")
    assert (status, errors) == (0, WRITTEN)


@pytest.mark.slow
def test_a_failing_cell_is_named_and_the_others_complete(tmp_path: Path) -> None:
    conf = user_folder(tmp_path)
    path = conf / "experiment" / "tabular" / "small.yaml"
    broken = "C: [algorithm.step_size=0.4, +algorithm.fails=true]"
    path.write_text(path.read_text().replace("C: [algorithm.step_size=0.4]", broken))
    status, output, errors = small(tmp_path)
    assert status == 1
    assert "failed: C, seed 0: RuntimeError: the third update broke" in errors
    assert "2 of 3 cells done, 0 running, 1 failed" in errors
    assert "failed" in next(line for line in output.splitlines() if line.startswith("C "))


@pytest.mark.slow
def test_a_table_with_missing_cells_says_so(tmp_path: Path) -> None:
    user_folder(tmp_path)
    status, output, errors = small(tmp_path, verb="table")
    assert status == 1
    assert "3 cells are missing: nlhf reproduce small" in errors
    assert output.count("missing 1 of 1 seeds") == 3


def wait_for_work(folder: Path, process: subprocess.Popen[str]) -> None:
    """Until the command has begun a cell, or has ended because none is missing."""
    began = time.time()
    while process.poll() is None and time.time() < began + 60:
        records = (folder / "outputs" / "runs").glob("*/run.json")
        if any(path.stat().st_mtime > began for path in records):
            return
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_killed_at_any_moment_ends_in_the_same_table(
    tmp_path: Path, ending: signal.Signals
) -> None:
    kills = int(os.environ.get("NLHF_SOAK_KILLS", "3"))
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    for folder in (calm, stormy):
        user_folder(folder, seconds=0.15)
    assert small(calm)[0] == 0
    moments = random.Random(int(ending))
    for _ in range(kills):
        process = start(stormy, "reproduce", "small", "--config-dir", str(stormy / "conf"))
        wait_for_work(stormy, process)
        time.sleep(moments.uniform(0.0, 3.0))
        process.send_signal(ending)
        _, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors
    status, _, errors = small(stormy)
    assert status == 0, errors
    assert tables(calm) == tables(stormy)


@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    conf = user_folder(tmp_path, seconds=10.0)
    process = start(tmp_path, "reproduce", "small", "--config-dir", str(conf))
    records = tmp_path / "outputs" / "runs"
    deadline = time.time() + 180
    while not (running := list(records.glob("*/run.json"))) and time.time() < deadline:
        time.sleep(0.1)
    worker = json.loads(running[0].read_text())["process"]
    process.kill()
    process.communicate(timeout=60)
    deadline = time.time() + 10
    while Path(f"/proc/{worker}").exists() and time.time() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}").exists()
