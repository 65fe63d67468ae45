"""`nlhf new` writes what works; `nlhf check` says what does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import REPOSITORY, nlhf
from laboratory import algorithm

from nlhf_repro.verbs.check import of_a_data_set

KINDS = ("algorithm", "oracle", "benchmark")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_skeleton_passes_its_checks_as_it_is_written(tmp_path: Path, kind: str) -> None:
    status, output, errors = nlhf(tmp_path, "new", kind, "fresh_idea")
    assert (status, errors) == (0, "")
    assert files(tmp_path) == {"fresh_idea.py", f"conf/{kind}/fresh_idea.yaml"}
    assert f"nlhf check {kind}=fresh_idea --config-dir conf" in output
    assert "class FreshIdea" in (tmp_path / "fresh_idea.py").read_text()
    left = "my_" + kind, f"My{kind.capitalize()}"
    assert not any(word in path.read_text() for path in tmp_path.rglob("*.*") for word in left)
    command = ("check", "fresh_idea", "--config-dir", "conf", "--no-comparison")
    status, output, errors = nlhf(tmp_path, *command)
    assert (status, errors) == (0, ""), output
    lines = output.splitlines()
    assert lines[0] == f"{kind}=fresh_idea (fresh_idea.FreshIdea)"
    assert all(": ok" in line or ": skipped: " in line for line in lines[1:])
    assert sum(line.endswith(": ok") for line in lines) >= 3


def test_skeletons_go_where_they_are_told_and_print_runnable_commands(tmp_path: Path) -> None:
    status, output, _ = nlhf(tmp_path, "new", "benchmark", "mine", "--dir", "my study")
    assert status == 0
    assert files(tmp_path) == {"my study/mine.py", "my study/conf/benchmark/mine.yaml"}
    assert "nlhf check benchmark=mine --config-dir 'my study/conf'" in output
    run = (
        "run",
        "scale=tabular",
        "benchmark=[mine]",
        "tracker=none",
        "training.iterations=5",
        "--config-dir",
    )
    status, output, errors = nlhf(tmp_path, *run, "my study/conf")
    assert status == 0, errors
    assert "mine, last iterate: mean 0." in output


def test_an_experiment_has_a_row_for_each_algorithm_of_the_users_own(tmp_path: Path) -> None:
    nlhf(tmp_path, "new", "algorithm", "one")
    nlhf(tmp_path, "new", "algorithm", "two")
    status, output, _ = nlhf(tmp_path, "new", "experiment", "both")
    assert status == 0
    assert "nlhf reproduce both --config-dir conf" in output
    tuned = (tmp_path / "conf" / "experiment" / "tune" / "both.yaml").read_text()
    assert tuned.count("  one: [algorithm=one]\n") == 1 and "    two: {algorithm." in tuned
    text = (tmp_path / "conf" / "experiment" / "tabular" / "both.yaml").read_text()
    assert "  one: [algorithm=one]\n  two: [algorithm=two]\n" in text
    assert "my_" not in text + (tmp_path / "conf" / "table" / "both.yaml").read_text()


@pytest.mark.slow
def test_a_written_experiment_is_reproduced(tmp_path: Path) -> None:
    nlhf(tmp_path, "new", "experiment", "alone")
    smaller = ("oracle.games=3", "budget.comparisons=400", "seeds.values=[0]")
    status, output, errors = nlhf(tmp_path, "reproduce", "alone", "--config-dir", "conf", *smaller)
    assert status == 0, errors
    assert "\nINPO " in output and "my_algorithm" not in output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("algorithm", "inpo"), "algorithm=inpo ships with nlhf_repro"),
        (("oracle", "dice"), "choose another name, such as my_dice"),
        (("experiment", "one_world"), "experiment=one_world ships"),
        (("experiment", "default"), "experiment=default ships"),
        (("algorithm", "json"), "json is a module that Python has already"),
        (("algorithm", "2fast"), "2fast is no name for a Python module"),
        (("algorithm", "class"), "class is no name for a Python module"),
        (("algorithm", "a-b"), "a-b is no name"),
        (("algorithm", "fine", "extra"), "extra has no place after nlhf new"),
    ],
)
def test_names_that_cannot_work_are_refused(tmp_path: Path, arguments, sentence: str) -> None:
    status, output, errors = nlhf(tmp_path, "new", *arguments)
    assert (status, output, len(errors.splitlines())) == (2, "", 1)
    assert sentence in errors
    assert files(tmp_path) == set()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    assert nlhf(tmp_path, "new", "oracle", "mine")[0] == 0
    (tmp_path / "mine.py").write_text("changed = 1\n")
    status, _, errors = nlhf(tmp_path, "new", "oracle", "mine")
    assert status == 2
    assert "mine.py exists already" in errors
    assert (tmp_path / "mine.py").read_text() == "changed = 1\n"


def test_a_wrong_part_fails_with_its_sentence_and_is_not_compared(tmp_path: Path) -> None:
    nlhf(tmp_path, "new", "algorithm", "mine")
    path = tmp_path / "mine.py"
    path.write_text(path.read_text().replace("win_rates(game, state", "-win_rates(game, state"))
    status, output, _ = nlhf(tmp_path, "check", "mine", "--config-dir", "conf")
    assert status == 1
    assert "  the declared fixed point is fixed: FAILED: the declared fixed point, regul" in output
    assert output.endswith("3 checks failed.\n")
    assert output.count(": FAILED: ") == 3
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("egppo",), "egppo is no part: did you mean egpo?"),
        (("algorithm=egppo",), "did you mean egpo?"),
        (("tracker=none",), "tracker is no group"),
        (("nowhere.Thing",), "cannot be imported"),
        (("decimal.Context",), "decimal.Context is no part"),
        (("egpo", "algorithm.stepsize=1"), "did you mean algorithm.step_size?"),
    ],
)
def test_targets_that_are_none_are_refused(tmp_path: Path, arguments, sentence: str) -> None:
    status, _, errors = nlhf(tmp_path, "check", *arguments)
    assert (status, len(errors.splitlines())) == (2, 1)
    assert sentence in errors


def test_names_that_would_be_hidden_or_are_ambiguous_are_refused(tmp_path: Path) -> None:
    for group in ("algorithm", "oracle"):
        (tmp_path / "conf" / group).mkdir(parents=True)
        (tmp_path / "conf" / group / "twin.yaml").write_text("_target_: x.X\n")
    status, _, errors = nlhf(tmp_path, "check", "twin", "--config-dir", "conf")
    assert (status, "say algorithm=twin or oracle=twin" in errors) == (2, True)
    (tmp_path / "conf" / "oracle" / "dice.yaml").write_text("_target_: x.X\n")
    status, _, errors = nlhf(tmp_path, "check", "oracle=dice", "--config-dir", "conf")
    assert (status, "oracle/dice.yaml ships with nlhf_repro: rename yours" in errors) == (2, True)


SMALL = ("oracle.games=2", "budget.comparisons=400", "seeds.values=[0]", "--jobs", "1")


@pytest.mark.slow
def test_the_comparison_computes_only_what_is_new(tmp_path: Path) -> None:
    nlhf(tmp_path, "new", "algorithm", "mine")
    command = ("check", "mine", "--config-dir", "conf", *SMALL)
    status, output, errors = nlhf(tmp_path, *command)
    assert status == 0, errors
    labels = ["row", "Reference", "INPO", "Nash-MD", "Online IPO", "mine"]
    rows = [re.split("  +", line)[0] for line in output.splitlines()]
    assert [row for row in rows if row in labels][: len(labels)] == labels
    assert "5 of 5 cells done" in errors
    _, again, errors = nlhf(tmp_path, *command)
    assert (again, "cells done" in errors) == (output, False)
    changed = (*command, "algorithm.step_size=0.7", "training.learning_rate=0.03")
    status, output, errors = nlhf(tmp_path, *changed)
    assert (status, "1 of 1 cells done" in errors) == (0, True)
    table = "".join(path.read_text() for path in (tmp_path / "outputs").rglob("check.md"))
    assert "algorithm.step_size 0.7, " in table and "training.learning_rate 0.03" in table


def test_the_data_set_of_an_offline_algorithm_is_the_budget() -> None:
    passes = "training.iterations=5"
    assert of_a_data_set(algorithm("dpo"), 400) == ["training.groups_per_iteration=400", passes]
    assert of_a_data_set(algorithm("dpo"), None) == [passes]
    assert of_a_data_set(algorithm("inpo"), 400) == []


@pytest.mark.slow
def test_an_offline_algorithm_is_compared_on_the_whole_budget(tmp_path: Path) -> None:
    status, output, errors = nlhf(tmp_path, "check", "dpo", *SMALL)
    assert status == 0, errors
    rows = [line for line in output.splitlines() if line.startswith("dpo ")]
    assert re.split("  +", rows[-1])[-2:] == ["400", "5"]
    status, output, _ = nlhf(tmp_path, "check", "dpo", *SMALL, "training.groups_per_iteration=9")
    assert "no comparison: training.groups_per_iteration = 9 would use 9 of" in output


@pytest.mark.slow
def test_a_class_is_checked_and_compared_without_a_file_of_its_own(tmp_path: Path) -> None:
    nlhf(tmp_path, "new", "algorithm", "mine")
    (tmp_path / "conf" / "algorithm" / "mine.yaml").unlink()
    fields = {"step_size": 0.5, "regularization": 0.05, "labels": "bernoulli", "gradient_steps": 5}
    given = [f"algorithm.{name}={value}" for name, value in fields.items()]
    status, output, errors = nlhf(tmp_path, "check", "mine.Mine", *given, *SMALL)
    assert status == 0, (output, errors)
    assert output.startswith("algorithm=mine (mine.Mine)\n")
    assert "\nmine " in output
    status, _, errors = nlhf(tmp_path, "check", "mine.Mine", *given[1:], "--no-comparison")
    assert (status, "algorithm.step_size is missing" in errors) == (2, True)


@pytest.mark.parametrize("verb", [["new", "algorithm", "mine"], ["new", "experiment", "trial"]])
def test_new_imports_no_torch(tmp_path: Path, verb: list[str]) -> None:
    program = (
        "import sys\nfrom nlhf_repro.cli import main\n"
        f"sys.argv = ['nlhf', *{verb}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', sorted({'torch', 'transformers', 'wandb'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []", done.stderr
