"""`nlhf score`, end to end on the synthetic files that the project ships."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import subprocess
import sys
from pathlib import Path

import alpaca_rows
import judgment_files as judged
import numpy as np
import pytest
from test_academic import Task, accuracies, write_run
from verbs import ACADEMIC, ARENA, DPO, EXAMPLES, MT_BENCH, NASH, group, refused, rows_of, run_verb

from nlhf_repro.uncertainty import estimate

Capture = pytest.CaptureFixture[str]
KEYS = [
    *("benchmark", "name", "metric", "estimate", "standard_error", "lower", "upper"),
    *("questions", "unusable", "judge"),
]


def test_the_examples_are_what_their_script_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, EXAMPLES / "write_synthetic.py", tmp_path], check=True)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    shipped = {p.name: p.read_bytes() for p in EXAMPLES.iterdir() if ".json" in p.suffix}
    assert written == shipped and all("synthetic" in name for name in shipped)


@pytest.mark.parametrize(
    ("benchmark", "path", "metrics", "n"),
    [
        ("alpaca_eval", NASH[0], {"win_rate", "discrete_win_rate", "lc_win_rate_minimal"}, 200),
        ("mt_bench", MT_BENCH, {"score", "first_turn", "second_turn", "score/math"}, 80),
        ("academic", ACADEMIC, {"acc/synthetic_task"}, 120),
    ],
)
def test_one_file_and_one_command_give_records(
    capsys: Capture, benchmark: str, path: Path, metrics: set[str], n: int
) -> None:
    records = json.loads(run_verb(capsys, "score", benchmark, path, "--format", "json"))
    assert metrics <= {record["metric"] for record in records}
    for record in records:
        assert list(record)[: len(KEYS)] == KEYS
        assert (record["benchmark"], record["name"]) == (benchmark, "synthetic-nash")
        assert record["lower"] < record["estimate"] < record["upper"] and not record["unusable"]
        assert record["level"] == "checkpoint" and record["seeds"] == 1
    assert {record["questions"] for record in records if "score/" not in record["metric"]} == {n}


def test_the_win_rate_is_the_mean_preference_with_its_t_interval(capsys: Capture) -> None:
    shares = [100 * (row["preference"] - 1) for row in rows_of(NASH[0])]
    arguments = ("score", "alpaca_eval", NASH[0], "--format", "json", "--metric", "win_rate")
    (record,) = json.loads(run_verb(capsys, *arguments))
    error = np.std(shares, ddof=1) / math.sqrt(200)
    assert record["estimate"] == pytest.approx(np.mean(shares))
    assert record["standard_error"] == pytest.approx(error)
    assert record["upper"] - record["estimate"] == pytest.approx(1.971957 * error, rel=1e-6)
    assert record["judge"] == "synthetic-judge"


def test_a_table_says_what_it_knows(capsys: Capture) -> None:
    text = run_verb(capsys, "score", "alpaca_eval", NASH[0])
    assert "AlpacaEval 2: synthetic-nash" in text and "Judge: synthetic-judge." in text
    assert "‡ checkpoint level: no training variance" in text
    assert "Rows behind the scores" in text
    markdown = run_verb(capsys, "score", "alpaca_eval", NASH[0], "--format", "markdown")
    assert "| win_rate            | 1 x 200 |" in markdown
    latex = run_verb(capsys, "score", "alpaca_eval", NASH[0], "--format", "latex")
    assert r"\toprule" in latex and r"win\_rate" in latex and r"\ddag{}" in latex
    table = run_verb(capsys, "score", "alpaca_eval", NASH[0], "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(table)))
    assert (lines[0]["metric"], lines[0]["questions"]) == ("win_rate", "200")


def test_seeds_make_one_entry_with_the_engines_interval(capsys: Capture) -> None:
    arguments = ("--seeds", group("nash", NASH), "--metric", "win_rate", "--format", "json")
    (record,) = json.loads(run_verb(capsys, "score", "alpaca_eval", *arguments))
    matrix = [
        [
            100 * (row["preference"] - 1)
            for row in sorted(rows_of(p), key=lambda r: r["instruction"])
        ]
        for p in NASH
    ]
    expected = estimate(matrix)
    assert (record["name"], record["seeds"], record["level"]) == ("nash", 3, "algorithm")
    for name in ("estimate", "standard_error", "lower", "upper"):
        assert record[name] == pytest.approx(getattr(expected, name))
    text = run_verb(capsys, "score", "alpaca_eval", "--seeds", group("nash", NASH))
    assert "‡" not in text and "runs 57.02, 56.50, 58.76; SD of training" in text


def test_a_leaderboard_orders_ranks_and_compares(capsys: Capture, tmp_path: Path) -> None:
    figure = tmp_path / "forest.svg"
    seeds = ("--seeds", group("dpo", DPO), "--seeds", group("nash", NASH))
    text = run_verb(capsys, "score", "alpaca_eval", *seeds, "--figure", figure)
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("nash"))
    assert lines[first + 1].startswith("dpo") and lines[first].endswith("1 of 2")
    assert "nash - dpo" in text and "win_rate: all are told apart." in text
    assert "nash" in (drawn := figure.read_text()) and "hollow" not in drawn
    run_verb(capsys, "score", "alpaca_eval", *seeds, "--figure", figure)
    assert figure.read_text() == drawn


def test_bold_is_what_is_not_shown_to_be_worse(capsys: Capture) -> None:
    seeds = ("--seeds", group("dpo", DPO), "--seeds", group("nash", NASH), "--metric", "win_rate")
    text = run_verb(capsys, "score", "alpaca_eval", *seeds, "--format", "markdown")
    assert "**57.4 [53.6, 61.3]**" in text and text.count("**") == 2
    text = run_verb(capsys, "score", "alpaca_eval", *seeds, "--format", "latex")
    assert r"\textbf{57.4 [53.6, 61.3]}" in text and text.count("textbf") == 1
    both = ("score", "alpaca_eval", NASH[0], NASH[1], "--metric", "win_rate")
    assert run_verb(capsys, *both, "--format", "markdown").count("**") == 4  # not told apart
    assert "**" not in run_verb(capsys, "score", "alpaca_eval", NASH[0], "--format", "markdown")
    assert "**" not in run_verb(capsys, "score", "alpaca_eval", *seeds)


def test_models_that_cannot_be_told_apart_are_a_group(capsys: Capture) -> None:
    text = run_verb(capsys, "score", "alpaca_eval", NASH[0], NASH[1], DPO[0])
    labels = [f"synthetic-nash ({path})" for path in NASH[:2]]
    assert all(label in text for label in labels)
    flat = " ".join(text.split())
    assert "win_rate: cannot be told apart: {" in flat
    assert "Ranks and groups are of these checkpoints, not of algorithms‡." in flat


def test_rows_in_any_order_give_the_same_bytes(capsys: Capture, tmp_path: Path) -> None:
    for benchmark, path in (
        ("alpaca_eval", NASH[0]),
        ("arena_hard", ARENA),
        ("mt_bench", MT_BENCH),
    ):
        rows = rows_of(path)
        random.Random(1).shuffle(rows)
        shuffled = judged.write_lines(tmp_path / path.name, rows)
        for form in ("json", "terminal"):
            expected = run_verb(capsys, "score", benchmark, path, "--format", form)
            assert run_verb(capsys, "score", benchmark, shuffled, "--format", form) == expected


def test_tripled_rows_and_copies_of_files_are_refused(capsys: Capture, tmp_path: Path) -> None:
    tripled = judged.write_lines(tmp_path / "tripled.jsonl", 3 * rows_of(NASH[0]))
    assert "400 of 600 rows" in refused(capsys, "score", "alpaca_eval", tripled)
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(NASH[0].read_bytes())
    sentence = refused(capsys, "score", "alpaca_eval", NASH[0], copy)
    assert "hold the same judgments: a copy is no second run" in sentence
    permuted = judged.write_lines(tmp_path / "permuted.jsonl", rows_of(NASH[0])[::-1])
    sentence = refused(capsys, "score", "alpaca_eval", "--seeds", group("x", [NASH[0], permuted]))
    assert "agree on 200 of 200 questions: they are copies, not two training runs" in sentence


def test_unusable_rows_are_counted_and_above_two_percent_refused(
    capsys: Capture, tmp_path: Path
) -> None:
    rows = rows_of(NASH[0])
    for row in rows[:4]:
        row["preference"] = None
    few = judged.write_lines(tmp_path / "few.jsonl", rows)
    records = json.loads(run_verb(capsys, "score", "alpaca_eval", few, "--format", "json"))
    assert {(record["unusable"], record["questions"]) for record in records} == {(4, 196)}
    assert "4 (4 without a preference)" in run_verb(capsys, "score", "alpaca_eval", few)
    rows[4]["preference"] = None
    many = judged.write_lines(tmp_path / "many.jsonl", rows)
    assert "5 of 200 judgments" in refused(capsys, "score", "alpaca_eval", many)
    run_verb(capsys, "score", "alpaca_eval", many, "--max-unusable", 3)


def test_constant_scores_have_no_interval(capsys: Capture, tmp_path: Path) -> None:
    rows = [row | {"preference": 2.0} for row in rows_of(NASH[0])]
    path = judged.write_lines(tmp_path / "wins.jsonl", rows)
    records = json.loads(run_verb(capsys, "score", "alpaca_eval", path, "--format", "json"))
    for record in records:
        assert record["estimate"] == 100
        assert record["standard_error"] is record["lower"] is record["upper"] is None
    text = " ".join(run_verb(capsys, "score", "alpaca_eval", path).split())
    assert "every question has the same value: no interval" in text
    assert "above 95 %" not in text  # says nothing of an interval that is not there


def test_accuracies_have_wilsons_interval(capsys: Capture) -> None:
    samples = EXAMPLES / "samples_synthetic_task_synthetic_2026-01-01T00-00-00.jsonl"
    right = sum(row["acc"] for row in rows_of(samples))
    (record,) = json.loads(run_verb(capsys, "score", "academic", ACADEMIC, "--format", "json"))
    z, n, p = 1.959964, 120, right / 120
    center, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert record["lower"] == pytest.approx(100 * (center - half) / (1 + z * z / n), abs=1e-4)
    assert record["upper"] == pytest.approx(100 * (center + half) / (1 + z * z / n), abs=1e-4)


def test_length_control_and_upstream_from_the_users_files(capsys: Capture, tmp_path: Path) -> None:
    questions = alpaca_rows.write_questions(tmp_path / "questions.json")
    gamed = alpaca_rows.write_gamed(tmp_path / "gamed.csv")
    path = alpaca_rows.write(tmp_path / "a.json", alpaca_rows.annotations())
    options = (path, "--questions", questions, "--gamed", gamed)
    text = run_verb(capsys, "score", "alpaca_eval", *options, "--upstream")
    assert "lc_win_rate " in text and "length_controlled_winrate" in text
    assert "no standard error of" in " ".join(text.split())
    assert "--gamed counts questions" in refused(
        capsys, "score", "alpaca_eval", path, "--gamed", gamed
    )


def test_judges_that_differ_are_not_compared(capsys: Capture, tmp_path: Path) -> None:
    rows = [row | {"annotator": "another"} for row in rows_of(DPO[0])]
    other = judged.write_lines(tmp_path / "other.jsonl", rows)
    text = " ".join(run_verb(capsys, "score", "alpaca_eval", NASH[0], other).split())
    assert "synthetic-dpo: not compared on win_rate: protocol, opponent or judge differ." in text
    assert "Differences" not in text and "Judge: another." in text
    sentence = refused(capsys, "score", "alpaca_eval", "--seeds", group("x", [NASH[0], other]))
    assert "differ in protocol, opponent or judge" in sentence


def test_categories_of_arena_hard_are_lines_and_families_of_their_own(
    capsys: Capture, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    labels = ["A>>B", "A>B", "A=B", "B>A", "B>>A"]
    creative = {"category": "creative_writing", "baseline": "gemini-2.0-flash-001"}
    paths = []
    for model in ("m", "n"):
        rows = [
            judged.new_row(f"{c}{i}", *rng.choice(labels, 2).tolist(), **{"model": model, **extra})
            for c, extra in (("h", {}), ("c", creative))
            for i in range(30)
        ]
        paths.append(judged.write_lines(tmp_path / f"{model}.jsonl", rows))
    text = run_verb(capsys, "score", "arena_hard", *paths)
    assert "m, creative_writing" in text and "n, hard_prompt" in text
    assert "Differences of score/creative_writing" in text
    assert "Differences of score/hard_prompt" in text
    alone = run_verb(capsys, "score", "arena_hard", paths[0])
    assert "not compared" not in alone and "Differences" not in alone
    both = ("--metric", "score/hard_prompt", "--format", "json")
    records = json.loads(run_verb(capsys, "score", "arena_hard", *paths, *both))
    assert sorted(record["name"] for record in records) == ["m", "n"]
    seeds = ("--seeds", group("both", paths), *both)
    (record,) = json.loads(run_verb(capsys, "score", "arena_hard", *seeds))
    assert (record["seeds"], record["questions"], record["level"]) == (2, 30, "algorithm")
    captions = " ".join(run_verb(capsys, "compare", *paths).split())
    assert "score/hard_prompt: version v2.0, opponent o3-mini-2025-01-31" in captions


def test_tasks_are_compared_where_one_is_named(capsys: Capture, tmp_path: Path) -> None:
    paths = []
    for model in ("a", "b"):
        (tmp_path / model).mkdir()
        values = accuracies(ord(model), 60)
        tasks: dict[str, Task] = {"arc": {"acc,none": values}, "boolq": {"acc,none": values[::-1]}}
        write_run(tmp_path / model, tasks)
        paths += (tmp_path / model).glob("results*.json")
    text = run_verb(capsys, "score", "academic", *paths)
    assert "Nothing is compared" in text and "Differences" not in text
    macro = ("--macro", "arc=acc", "--macro", "boolq=acc")
    text = run_verb(capsys, "score", "academic", *paths, *macro)
    assert "Differences of macro_average" in text
    arguments = ("--metric", "acc/arc", "--format", "json")
    assert len(json.loads(run_verb(capsys, "score", "academic", *paths, *arguments))) == 2


def test_a_pattern_names_the_files_of_a_group(capsys: Capture) -> None:
    form = ("--format", "json")
    pattern = f"nash={EXAMPLES}/*_nash_seed*.jsonl"
    expected = run_verb(capsys, "score", "alpaca_eval", "--seeds", group("nash", NASH), *form)
    assert run_verb(capsys, "score", "alpaca_eval", "--seeds", pattern, *form) == expected
    assert "matches no file" in refused(capsys, "score", "alpaca_eval", "--seeds", "x=none*.json")
