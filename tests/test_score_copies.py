"""Copies of a file do not pass for training runs of an algorithm, whatever was changed in them."""

from __future__ import annotations

import json
from pathlib import Path

import judgment_files as judged
import pytest
from test_academic import accuracies, write_run
from test_score_slices import arena
from verbs import DPO, MT_BENCH, NASH, group, refused, rows_of, run_verb

Capture = pytest.CaptureFixture[str]
COPIES = "they are copies, not two training runs"


def test_shuffled_copies_are_refused_for_every_judge(capsys: Capture, tmp_path: Path) -> None:
    hard = arena(tmp_path / "hard.jsonl", "m", 0, range(60))
    for benchmark, path, n in (
        ("alpaca_eval", NASH[0], 200),
        ("arena_hard", hard, 60),
        ("mt_bench", MT_BENCH, 80),
    ):
        copy = judged.write_lines(tmp_path / f"{benchmark}.jsonl", rows_of(path)[::-1])
        arguments = ("score", benchmark, "--seeds", group("x", [path, copy]))
        assert f"agree on {n} of {n} questions: {COPIES}" in refused(capsys, *arguments)


def test_copies_with_a_few_other_rows_are_refused(capsys: Capture, tmp_path: Path) -> None:
    rows = rows_of(NASH[0])
    for row in rows[:9]:
        row["preference"] = 3 - row["preference"]
    near = judged.write_lines(tmp_path / "near.jsonl", rows)
    seeds = ("--seeds", group("x", [NASH[0], near]))
    assert f"191 of 200 questions: {COPIES}" in refused(capsys, "score", "alpaca_eval", *seeds)
    rows[9]["preference"] = 3 - rows[9]["preference"]
    other = judged.write_lines(tmp_path / "other.jsonl", rows)
    run_verb(capsys, "score", "alpaca_eval", "--seeds", group("x", [NASH[0], other]))
    hard = arena(tmp_path / "hard.jsonl", "m", 0, range(60))
    lost = judged.new_row("q0", "A>B", "B>A", model="m")
    won = judged.new_row("q0", "B>A", "A>B", model="m")
    kept = rows_of(hard)
    judged.write_lines(hard, [lost, *kept[1:]])
    edited = judged.write_lines(tmp_path / "edited.jsonl", [won, *kept[1:]])
    seeds = ("--seeds", group("x", [hard, edited]))
    assert f"59 of 60 questions: {COPIES}" in refused(capsys, "score", "arena_hard", *seeds)


def test_runs_that_win_everything_are_no_copies(capsys: Capture, tmp_path: Path) -> None:
    rows = [row | {"preference": 2.0} for row in rows_of(NASH[0])]
    one = judged.write_lines(tmp_path / "one.jsonl", rows)
    other = judged.write_lines(tmp_path / "other.jsonl", rows[::-1])
    run_verb(capsys, "score", "alpaca_eval", "--seeds", group("x", [one, other]))


def test_academic_runs_may_agree_on_most_items_and_not_on_all(
    capsys: Capture, tmp_path: Path
) -> None:
    values = accuracies(0, 60)
    paths = {}
    for name, changed in (("a", values), ("b", [1 - values[0], *values[1:]]), ("c", values)):
        (tmp_path / name).mkdir()
        write_run(tmp_path / name, {"arc": {"acc,none": changed}})
        (paths[name],) = (tmp_path / name).glob("results*.json")
    run_verb(capsys, "score", "academic", "--seeds", group("x", [paths["a"], paths["b"]]))
    paths["c"].write_text(paths["c"].read_text() + "\n")
    seeds = ("--seeds", group("x", [paths["a"], paths["c"]]))
    assert f"60 of 60 questions: {COPIES}" in refused(capsys, "score", "academic", *seeds)


def test_runs_under_several_names_are_noted(capsys: Capture, tmp_path: Path) -> None:
    renamed = [row | {"generator_2": "another"} for row in rows_of(NASH[1])]
    path = judged.write_lines(tmp_path / "renamed.jsonl", renamed)
    side = group("x", [NASH[0], path])
    note = "runs of 2 model names (synthetic-nash, another), taken as one algorithm"
    for form in ("terminal", "markdown"):
        scored = run_verb(capsys, "score", "alpaca_eval", "--seeds", side, "--format", form)
        compared = run_verb(capsys, "compare", side, NASH[2], "--format", form)
        for text in (scored, compared):
            assert note in " ".join(text.split())


def renamed(folder: Path, name: str, other: int) -> Path:
    """A run's judgments under another name, the first `other` of them judged otherwise."""
    rows = [row | {"generator_2": name} for row in rows_of(NASH[0])]
    for row in rows[:other]:
        row["preference"] = 3 - row["preference"]
    return judged.write_lines(folder / f"{name}.jsonl", rows)


def test_a_model_under_two_names_is_noticed(capsys: Capture, tmp_path: Path) -> None:
    copy, own = renamed(tmp_path, "near", 9), renamed(tmp_path, "own", 11)
    said = "near agree on 191 of 200 questions, as two runs hardly do"
    text = " ".join(run_verb(capsys, "score", "alpaca_eval", NASH[0], copy, own, DPO[0]).split())
    assert said in text or said.replace("near", "synthetic-nash") in text
    assert text.count("as two runs hardly do") == 2  # near and own differ on two questions
    records = json.loads(
        run_verb(capsys, "score", "alpaca_eval", NASH[0], copy, "--format", "json")
    )
    assert all("as two runs hardly do" in str(record["notes"]) for record in records)
    for one, other, expected in ((NASH[0], copy, True), (NASH[0], own, False), (copy, own, True)):
        text = " ".join(run_verb(capsys, "compare", one, other).split())
        assert ("they may be one model under two names" in text) is expected
    seeds = ("--seeds", group("a", NASH), "--seeds", group("b", [copy, *DPO[1:]]))
    text = " ".join(run_verb(capsys, "score", "alpaca_eval", *seeds).split())
    assert "agree on 191 of 200 questions" in text


def test_models_that_win_everything_are_not_one(capsys: Capture, tmp_path: Path) -> None:
    paths = []
    for name in ("a", "b"):
        rows = [row | {"generator_2": name, "preference": 2.0} for row in rows_of(NASH[0])]
        rows[ord(name) - 97]["preference"] = 1.0
        paths.append(judged.write_lines(tmp_path / f"{name}.jsonl", rows))
    assert "hardly do" not in run_verb(capsys, "score", "alpaca_eval", *paths)
