"""Records say what the tables say beside their numbers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import judgment_files as judged
import pytest
from test_score_slices import arena
from verbs import ARENA, DPO, NASH, group, refused, rows_of, run_verb

Capture = pytest.CaptureFixture[str]


def test_records_of_scores_hold_the_notes_and_the_counts(capsys: Capture) -> None:
    records = json.loads(run_verb(capsys, "score", "arena_hard", ARENA, "--format", "json"))
    nash = next(each for each in records if each["name"] == "synthetic-nash")
    assert "100 of the protocol's 500 questions" in nash["notes"]
    assert any("one training run says nothing" in note for note in nash["notes"])
    assert nash["position_flip_rate"] == pytest.approx(0.38)
    assert (nash["missing"], nash["duplicates"]) == (None, 0)
    table = run_verb(capsys, "score", "arena_hard", ARENA, "--format", "csv")
    assert "100 of the protocol's 500" in next(csv.DictReader(io.StringIO(table)))["notes"]


def test_records_say_that_nothing_was_compared(capsys: Capture, tmp_path: Path) -> None:
    paths = [arena(tmp_path / f"{n}.jsonl", str(n), n, range(n)) for n in (60, 40)]
    records = json.loads(run_verb(capsys, "score", "arena_hard", *paths, "--format", "json"))
    for record in records:
        said = any(note.startswith("Not compared: ") for note in record["notes"])
        assert said == (record["metric"] == "score/hard_prompt")


def test_records_of_comparisons_hold_the_notes(capsys: Capture, tmp_path: Path) -> None:
    renamed = [row | {"generator_2": "another"} for row in rows_of(NASH[1])]
    path = judged.write_lines(tmp_path / "renamed.jsonl", renamed)
    sides = (group("nash", [NASH[0], path]), group("dpo", DPO))
    (record,) = json.loads(run_verb(capsys, "compare", *sides, "--format", "json"))
    assert any("runs of 2 model names" in note for note in record["notes"])


def test_a_verdict_says_from_what_it_differs_and_by_how_much(capsys: Capture) -> None:
    sides = (group("nash", NASH), group("dpo", DPO))
    for margin, found in ((3, "open"), (0.5, "shown")):
        text = " ".join(run_verb(capsys, "compare", *sides, "--margin", margin).split())
        assert (
            f"different from 0 at a margin of {margin:.2f}, by more than {margin:.2f}: {found}"
            in (text)
        )


def test_a_power_at_the_significance_is_refused(capsys: Capture) -> None:
    for power in (0.05, 0.01):
        assert "no more than the significance" in refused(capsys, "plan", "--power", power)
    run_verb(capsys, "plan", "--power", 0.02, "--tests", 5)
