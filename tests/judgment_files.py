"""Files of judgments in the benchmarks' formats, with contents of our own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

BASELINE = "gpt-4-0314"
JUDGE = "judge-1"


def write_lines(path: Path, rows: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def game(
    label: object, text: str | None = None, answers: Sequence[str] = ("", "")
) -> dict[str, Any]:
    prompt = "<|User Prompt|>\nWhy?\n\n" + "\n\n".join(
        f"<|The Start of Assistant {x}'s Answer|>\n{answer}\n<|The End of Assistant {x}'s Answer|>"
        for x, answer in zip("AB", answers, strict=True)
    )
    words = f"My final verdict is [[{label}]]" if text is None else text
    return {"user_prompt": prompt, "judgment": words, "score": label}


def old_row(question: str, first: object, second: object, model: str = "m") -> dict[str, Any]:
    """A row of v0.1: label of the game with the baseline first, then of the swapped one."""
    games = [game(first, answers=("base", "own")), game(second, answers=("own", "base"))]
    return {"question_id": question, "model": model, "judge": JUDGE, "games": games}


def new_row(question: str, first: object, second: object, **changes: object) -> dict[str, Any]:
    """A row of v2.0."""
    row = {
        "uid": question,
        "category": "hard_prompt",
        "judge": JUDGE,
        "model": "m",
        "baseline": "o3-mini-2025-01-31",
        "games": [game(first), game(second)],
    }
    return row | changes


def rating_row(question: int, turn: int, score: object, **changes: object) -> dict[str, Any]:
    prompt = "single-v1" if turn == 1 else "single-v1-multi-turn"
    row = {"question_id": question, "model": "m", "judge": ["judge-1", prompt], "turn": turn}
    return row | {"score": score, "judgment": f"Rating: [[{score}]]"} | changes


def ratings(scores: Mapping[tuple[int, int], object]) -> list[dict[str, Any]]:
    """All 160 rows of MT-Bench, rating 5 but for the given question and turn."""
    keys = [(question, turn) for question in range(81, 161) for turn in (1, 2)]
    return [rating_row(*key, scores.get(key, 5)) for key in keys]


def pair_row(question: int, turn: int, first: object, second: object, **changes: object) -> Any:
    row = {"question_id": question, "turn": turn, "model_1": "m", "model_2": "base"}
    judge = {"judge": ["judge-1", "pair-v2"], "g1_winner": first, "g2_winner": second}
    return row | judge | changes


def official(name: str) -> Path:
    """A file of the official benchmarks, which this repository does not carry."""
    beside = Path(__file__).parent.parent.parent / "shared" / "data"
    path = Path(os.environ.get("NLHF_DATA", beside)) / name
    if not path.exists():
        pytest.skip(f"{path} is absent: set NLHF_DATA to a folder with the benchmarks' files")
    return path
