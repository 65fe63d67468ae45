"""`nlhf tune`: what it keeps of its trials, and what the experiments that use it may do."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import REPOSITORY, nlhf, start
from searches import (
    QUICK,
    bytes_of,
    edit,
    reported,
    search_folder,
    stages,
    trials_of,
    tune,
    winners,
)

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.verbs.experiment import find_experiment


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A folder in which the search has been run once, and what it printed."""
    folder = tmp_path_factory.mktemp("tuned")
    search_folder(folder)
    status, output, errors = tune(folder, *QUICK)
    assert status == 0, errors
    return folder, output, errors


def test_the_winner_is_the_least_of_equally_many_trials(done: tuple[Path, str, str]) -> None:
    folder, output, errors = done
    found, trials = winners(folder / "conf"), trials_of(folder)
    assert {row: len(lines) for row, lines in trials.items()} == {
        "A, quick": 4,
        "B (it's)": 4,
        "C": 4,
    }
    for row, lines in trials.items():
        best = min(lines, key=lambda line: float(line["value"]))
        winner = found["rows"][row]
        assert winner["gap"] == pytest.approx(float(best["value"]), rel=1e-5)
        own = [f"{key}={best[key]}" for key in best if key.startswith("algorithm.") and best[key]]
        assert winner["overrides"] == own
        assert winner["failed"] == sum(line["state"] != "complete" for line in lines)
        assert winner["trials"] == 4
        assert winner["problem"]["oracle.actions"] == 3
        assert winner["problem"].keys().isdisjoint({"oracle.games", *own[0].split("=")})
    assert found["rows"]["D"]["overrides"] == []
    assert found["rows"]["D"]["trials"] == 0
    assert (found["worlds"], found["seeds"]) == ([7], [70])
    assert "nothing to tune" in next(x for x in output.splitlines() if x.startswith("| D "))
    assert "written to" in errors
    assert trials["A, quick"][0]["algorithm.step_size"] == "0.1", "the first is the row's own"
    assert found["rows"]["A, quick"]["untuned_gap"] == pytest.approx(
        float(trials["A, quick"][0]["value"]), rel=1e-5
    )


def test_failed_and_refused_trials_count_with_their_reason(done: tuple[Path, str, str]) -> None:
    trials = trials_of(done[0])
    failed = [line for line in trials["B (it's)"] if line["algorithm.fails"] == "true"]
    assert failed
    for line in failed:
        assert line["state"] == "failed"
        assert math.isinf(float(line["value"]))
        assert line["reason"] == "seed 70: RuntimeError: the third update broke"
    refused = [line for line in trials["C"] if line["algorithm.step_size"] == "13"]
    assert refused
    for line in refused:
        assert line["state"] == "refused"
        assert math.isinf(float(line["value"]))
        assert "algorithm.step_size = 13 is unlucky" in line["reason"]
    assert f"{len(failed)} of 4" in done[1]


@pytest.mark.slow
def test_the_same_search_gives_the_same_bytes_and_repeats_nothing(
    done: tuple[Path, str, str], tmp_path: Path
) -> None:
    folder, output, _ = done
    first, before = bytes_of(folder), stages(folder)
    status, again, errors = tune(folder, *QUICK)
    assert (status, again) == (0, output)
    assert "trials, 0 of " in errors
    assert (bytes_of(folder), stages(folder)) == (first, before)
    search_folder(tmp_path)
    assert tune(tmp_path, jobs=2)[0] == 0
    assert bytes_of(tmp_path) == first


def test_a_changed_search_has_winners_of_its_own(done: tuple[Path, str, str]) -> None:
    folder = done[0]
    before = bytes_of(folder)
    status, _, errors = tune(folder, *QUICK, "search.trials=2")
    assert status == 0, errors
    added = set(bytes_of(folder)) - set(before)
    assert {bytes_of(folder)[name] for name in before} == set(before.values())
    name = next(x for x in added if x.endswith(".yaml")).removesuffix(".yaml")
    assert name.startswith("small-")
    cells = reported(folder, f"tuning={name}")
    assert cells[0].tuning is not None
    assert cells[0].tuning.trials == 2
    for path in added:
        (folder / "conf" / "tuned" / path).unlink()


def test_rows_take_their_winners(done: tuple[Path, str, str]) -> None:
    found = winners(done[0] / "conf")["rows"]
    cells = {cell.row: cell for cell in reported(done[0])}
    step = cells["A, quick"].config["algorithm"]["step_size"]
    assert found["A, quick"]["overrides"] == [f"algorithm.step_size={step}"]
    assert cells["C"].config["algorithm"]["step_size"] == 0.4, "the row's own 0.3 is tuned over"
    assert cells["D"].config["algorithm"]["step_size"] == 0.8


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("world=7", "world = 7 is a world that tuning = small searched on"),
        ("seeds.values=[1,70]", "seeds [70] are seeds that tuning = small searched with"),
        ("oracle.actions=4", "they differ in oracle.actions (4 here, 3 there); make them equal"),
    ],
)
def test_other_problems_and_the_search_s_worlds_and_seeds_are_not_reported(
    done: tuple[Path, str, str], override: str, sentence: str
) -> None:
    with pytest.raises(ImpossibleSettingError) as error:
        reported(done[0], override)
    assert sentence in str(error.value)


def test_a_search_that_changed_since_is_refused(done: tuple[Path, str, str]) -> None:
    path = done[0] / "conf" / "experiment" / "tune" / "small.yaml"
    text = path.read_text()
    try:
        path.write_text(f"{text}\n# A remark\n")
        assert reported(done[0])
        edit(path, "high: 1,", "high: 2,")
        with pytest.raises(ImpossibleSettingError, match="has changed since tuning = small"):
            reported(done[0])
    finally:
        path.write_text(text)


def test_another_row_than_the_tuned_one_is_refused(done: tuple[Path, str, str]) -> None:
    path = done[0] / "conf" / "experiment" / "tabular" / "small.yaml"
    text = path.read_text()
    try:
        edit(path, "B (it's): [algorithm.step_size=0.2]", "B (it's): [algorithm.step_size=0.3]")
        with pytest.raises(ImpossibleSettingError, match="is not the row") as error:
            reported(done[0])
        assert "algorithm.step_size=0.2, algorithm.step_size=0.3" in str(error.value)
    finally:
        path.write_text(text)


@pytest.mark.slow
def test_a_table_says_what_its_settings_cost(done: tuple[Path, str, str]) -> None:
    folder = done[0]
    arguments = ("reproduce", "small", "--config-dir", str(folder / "conf"), *QUICK)
    status, output, errors = nlhf(folder, *arguments)
    assert status == 0, errors
    assert "- Tuned: small, 4 trials a row on world 7, seed 70, by the mean" in output
    assert "- Nothing to tune: D." in output
    failed = winners(folder / "conf")["rows"]["B (it's)"]["failed"]
    assert f"- Trials that failed, diverged or were refused: B (it's) ({failed}); C" in output
    assert "Intervals and p-values take the winners as given" in output
    assert "Tuned at" not in output
    _, output, _ = nlhf(folder, *arguments, "tuning=null")
    assert "- Untuned: the settings are those that the experiment declares" in output


def test_a_row_without_a_winner_is_said_and_refused(tmp_path: Path) -> None:
    conf = search_folder(tmp_path)
    path = conf / "experiment" / "tune" / "small.yaml"
    edit(path, "choices: [0.4, 13]", "choices: [13, 13.0]")
    edit(path, "C: [algorithm.step_size=0.4]", "C: [algorithm.step_size=0.3]")
    status, output, errors = tune(tmp_path, *QUICK, "search.trials=2")
    assert status == 1
    assert "C has no winner: all of its trials failed" in errors
    assert "no winner" in next(line for line in output.splitlines() if line.startswith("| C "))
    name = next((conf / "tuned").glob("*.yaml")).stem
    with pytest.raises(ImpossibleSettingError, match="all 2 trials failed"):
        reported(tmp_path, f"tuning={name}")


@pytest.mark.slow
def test_every_point_of_a_grid_is_tuned_by_itself(tmp_path: Path) -> None:
    conf = search_folder(tmp_path)
    path = conf / "experiment" / "tune" / "small.yaml"
    values = "{2: [training.iterations=2], 40: [training.iterations=40]}"
    path.write_text(f"{path.read_text()}\ngrid: {{name: updates, values: {values}}}\n")
    status, _, errors = tune(tmp_path, *QUICK)
    assert status == 0, errors
    rows = winners(conf)["rows"]
    assert [label for label in rows if label.startswith("A")] == [
        "A, quick, updates 2",
        "A, quick, updates 40",
    ]
    lines = trials_of(tmp_path)
    few, many = lines["A, quick, updates 2"], lines["A, quick, updates 40"]
    keys = ("trial", "algorithm.step_size")
    assert [[x[key] for key in keys] for x in few] == [[x[key] for key in keys] for x in many]
    assert all(x["value"] != y["value"] for x, y in zip(few, many, strict=True))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("algorithm.fails:", "algorithm.fail:", "did you mean fails?"),
        ("iterate: last", "iterate: average", "needs training.average_iterate = true"),
        ("benchmark: duality_gap,", "benchmark: gap,", "none of the experiment's benchmarks"),
        ("oracle: random_games", "oracle: comal_cycle", "same preferences in every world"),
        ("{games: 2, actions: 3}", "{reference: normal_logits}", "same preferences in every world"),
        ("world: 7", "world: 7\ntuning: small", "search on top of another"),
        ("/table: default", "/table: default\n  - /experiment/tabular/small", "write out"),
    ],
)
def test_a_search_that_cannot_be_run_is_refused_before_any_work(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    conf = search_folder(tmp_path)
    edit(conf / "experiment" / "tune" / "small.yaml", old, new)
    if "comal" in new:
        edit(conf / "experiment" / "tune" / "small.yaml", "oracle: {games: 2, actions: 3}", "")
    if "normal_logits" in new:
        edit(
            conf / "experiment" / "tune" / "small.yaml",
            "oracle: random_games",
            "oracle: comal_cycle",
        )
    status, output, errors = tune(tmp_path)
    assert (status, output) == (2, "")
    assert sentence in errors
    assert not (tmp_path / "outputs").exists()


def test_a_search_has_no_place_among_the_experiments(tmp_path: Path) -> None:
    conf = search_folder(tmp_path)
    assert find_experiment("small", None, [conf]) == ("tabular/small", False)
    assert find_experiment("small", "tune", [conf]) == ("tune/small", False)
    with pytest.raises(ImpossibleSettingError, match="no experiment at scale=tune"):
        find_experiment("large", "tune", [conf])


def test_the_help_imports_no_heavy_package(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom nlhf_repro.cli import main\n"
        "try:\n    main(['tune', '--help'])\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', sorted({'torch', 'optuna', 'scipy'} & set(sys.modules)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []", done.stderr


@pytest.mark.slow
def test_a_killed_search_goes_on_where_it_was(done: tuple[Path, str, str], tmp_path: Path) -> None:
    search_folder(tmp_path, seconds=0.1)
    arguments = ("tune", "small", "--config-dir", str(tmp_path / "conf"), "--jobs", "2")
    process = start(tmp_path, *arguments)
    deadline = time.time() + 60
    while not stages(tmp_path) and process.poll() is None and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (tmp_path / "conf" / "tuned").exists()
    before = stages(tmp_path)
    assert before
    status, _, errors = tune(tmp_path)
    assert status == 0, errors
    after = stages(tmp_path)
    assert {name: after[name] for name in before} == before, "a stage was computed again"
    settings = {
        (row, repr([line[key] for key in line if key.startswith("algorithm.")]))
        for row, lines in trials_of(tmp_path).items()
        for line in lines
        if line["state"] == "complete"
    }
    assert len([name for name in after if name.startswith("train")]) == len(settings)
    slow, quick = (winners(x / "conf")["rows"] for x in (tmp_path, done[0]))
    for row in slow.values():
        assert row["problem"].pop("algorithm.seconds") == 0.1
    for row in quick.values():
        assert row["problem"].pop("algorithm.seconds") == 0.0
    assert slow == quick
