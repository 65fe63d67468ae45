"""A category that is lost, in a file or between files, is never scaled away in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import judgment_files as judged
import pytest
from verbs import group, refused, run_verb

Capture = pytest.CaptureFixture[str]
LOOSE = ("--max-unusable", 30)


def file_without(folder: Path, name: str, lost: range, seed: int = 0) -> Path:
    """Ratings of `name` without the second turn of some questions; others vary by question."""
    scores = {(q, t): 3 + (7 * q + 3 * t + seed) % 5 for q in range(81, 161) for t in (1, 2)}
    rows = judged.ratings(scores)
    kept = [row for row in rows if row["turn"] == 1 or row["question_id"] not in lost]
    return judged.write_lines(folder / f"{name}.jsonl", [row | {"model": name} for row in kept])


def pairs_without(folder: Path, lost: range) -> Path:
    rows: list[dict[str, Any]] = []
    for q in range(81, 161):
        for turn in (1, 2):
            if q not in lost:
                winner = "model_1" if (q + turn) % 3 else "model_2"
                rows.append(judged.pair_row(q, turn, winner, winner))
    return judged.write_lines(folder / "pairs.jsonl", rows)


def test_a_file_without_a_category_is_refused(capsys: Capture, tmp_path: Path) -> None:
    maths = range(111, 121)
    for path, more in (
        (file_without(tmp_path, "m", maths), ()),
        (pairs_without(tmp_path, maths), ("--baseline", "base")),
    ):
        sentence = refused(capsys, "score", "mt_bench", path, *more, *LOOSE)
        assert "No question of category 'math'" in sentence and "weigh the same" in sentence


def test_runs_that_share_no_question_of_a_category_are_refused(
    capsys: Capture, tmp_path: Path
) -> None:
    halves = [
        file_without(tmp_path, "a", range(111, 116), 1),
        file_without(tmp_path, "b", range(116, 121), 2),
    ]
    run_verb(capsys, "score", "mt_bench", halves[0], *LOOSE)
    sentence = refused(capsys, "score", "mt_bench", "--seeds", group("x", halves), *LOOSE)
    assert "o question of math has a score in every one of" in sentence
    sentence = refused(capsys, "compare", *halves, *LOOSE)
    assert "score cannot be compared: no question of math" in sentence
    text = " ".join(run_verb(capsys, "score", "mt_bench", *halves, *LOOSE).split())
    assert "Not compared: no question of math has a score in every one of" in text


def test_another_list_of_questions_is_marked(capsys: Capture, tmp_path: Path) -> None:
    questions = judged.write_lines(
        tmp_path / "q.jsonl", [{"question_id": q, "category": "own"} for q in range(81, 91)]
    )
    rows = [judged.rating_row(q, t, 4 + q % 3) for q in range(81, 91) for t in (1, 2)]
    path = judged.write_lines(tmp_path / "r.jsonl", rows)
    arguments = ("score", "mt_bench", path, "--questions", questions, "--format", "json")
    for record in json.loads(run_verb(capsys, *arguments)):
        assert "own list of 10 questions in 1 category, not MT-Bench's 80 in 8" in record["notes"]
