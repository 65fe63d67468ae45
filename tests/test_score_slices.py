"""Metrics that are no plain mean are never cut down to a part of their questions."""

from __future__ import annotations

from pathlib import Path

import judgment_files as judged
import numpy as np
import pytest
from verbs import DPO, NASH, group, refused, rows_of, run_verb

Capture = pytest.CaptureFixture[str]
LABELS = ["A>>B", "A>B", "A=B", "B>A", "B>>A"]


def arena(path: Path, model: str, seed: int, questions: range) -> Path:
    draws = np.random.default_rng(seed).choice(LABELS, (60, 2)).tolist()
    rows = [judged.new_row(f"q{i}", *draws[i], model=model) for i in questions]
    return judged.write_lines(path, rows)


def test_weighted_scores_over_other_questions_are_not_compared(
    capsys: Capture, tmp_path: Path
) -> None:
    whole = arena(tmp_path / "whole.jsonl", "m", 0, range(60))
    part = arena(tmp_path / "part.jsonl", "n", 1, range(40))
    sentence = refused(capsys, "compare", whole, part)
    assert f"{part} and {whole} have different questions" in sentence
    assert "score files over the same questions" in sentence
    plain = ("--metric", "unweighted_score/hard_prompt")
    text = run_verb(capsys, "compare", whole, part, *plain)
    assert "20 questions that not all runs have were left out" in " ".join(text.split())
    text = " ".join(run_verb(capsys, "score", "arena_hard", whole, part).split())
    assert "Not compared: score/hard_prompt is no plain mean" in text
    assert "rank" not in text and "Differences" not in text


def test_seeds_over_other_questions_are_scored_by_plain_means_alone(
    capsys: Capture, tmp_path: Path
) -> None:
    fewer = judged.write_lines(tmp_path / "fewer.jsonl", rows_of(NASH[1])[:150])
    seeds = ("--seeds", group("nash", [NASH[0], fewer]))
    sentence = refused(capsys, "score", "alpaca_eval", *seeds)
    assert (
        "lc_win_rate_minimal is no plain mean" in sentence and "has 200, of which 150" in sentence
    )
    text = run_verb(capsys, "score", "alpaca_eval", *seeds, "--metric", "win_rate")
    assert "2 x 150" in text
    lengths = ("--metric", "lc_win_rate_minimal")
    assert "no plain mean" in refused(capsys, "compare", DPO[0], fewer, *lengths)
