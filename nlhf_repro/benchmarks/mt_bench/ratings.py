"""Single-answer judgments of MT-Bench: a rating of 1 to 10 for each question and turn.

Rows have `question_id`, `model`, `judge` (model and prompt), `judgment` (the judge's words),
`score` and `turn`, and -1 stands for a rating that could not be read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from nlhf_repro.benchmarks.annotation_files import Row, read_rows, require_fields, text_field
from nlhf_repro.benchmarks.clustered import finite_number
from nlhf_repro.benchmarks.mt_bench.questions import judge_of, one_judge, question_of, turn_of
from nlhf_repro.interfaces import UnusableAnnotationsError

LOWEST, HIGHEST = 1.0, 10.0

# What upstream's \d+\.?\d* matches, without its quadratic time on long numbers.
_DOUBLE = re.compile(r"\[\[(\d+(?:\.\d*)?)\]\]")
_SINGLE = re.compile(r"\[(\d+(?:\.\d*)?)\]")
_ANSWER = re.compile(
    r"\[The Start of Assistant's Answer\]\n(.*)\n\[The End of Assistant's Answer\]", re.DOTALL
)


@final
@dataclass(frozen=True)
class Rating:
    """One judgment; `recorded` is the file's score, None where it is no number."""

    question: str
    turn: int
    model: str
    judge: str
    prompt: str
    recorded: float | None
    text: str | None
    answer: str | None  # of the first turn, where the file holds it

    def loss_reason(self) -> str | None:
        """Why the judgment gives no value; None where it does."""
        if self.recorded is None or self.recorded == -1:
            return "no rating"
        return None if LOWEST <= self.recorded <= HIGHEST else "rating out of range"

    def misread(self) -> bool:
        """Whether upstream's parser reads another rating in the judge's words."""
        read = None if self.text is None else parse_rating(self.text, in_range=False)
        return self.text is not None and read != (None if self.recorded == -1 else self.recorded)


def parse_rating(text: str, in_range: bool = True) -> float | None:
    """The first rating in double brackets, else the first in single ones; None without one.

    `in_range` refuses a rating outside 1 to 10, which upstream accepts (FastChat 0e6d3e4,
    `common.py: run_judge_single`).
    """
    match = _DOUBLE.search(text) or _SINGLE.search(text)
    if match is None:
        return None
    rating = float(match[1])
    return rating if LOWEST <= rating <= HIGHEST or not in_range else None


def read_ratings(path: Path) -> tuple[Rating, ...]:
    """Ratings of one judge model, of one or several models, from a `*_single.jsonl`.

    Raises:
        UnusableAnnotationsError: no file, a damaged or foreign one, mixed judges, or a row without
            question, turn, model or judge.
    """
    rows = read_rows(path)
    fields = ("question_id", "model", "judge", "score", "turn")
    require_fields(rows, fields, path, "a file of MT-Bench single-answer judgments")
    ratings = tuple(_rating(row, path, number) for number, row in enumerate(rows, start=1))
    one_judge(((each.judge, each.prompt) for each in ratings), path)
    return ratings


def models_of(ratings: Sequence[Rating]) -> list[str]:
    """Names of the rated models, sorted."""
    return sorted({each.model for each in ratings})


def _rating(row: Row, path: Path, number: int) -> Rating:
    question, turn, judge = question_of(row), turn_of(row), judge_of(row)
    model = text_field(row, "model")
    if question is None or turn is None or judge is None or model is None:
        raise UnusableAnnotationsError(
            f"Row {number} of {path} lacks its question_id, turn (1 or 2), model or judge: the row "
            "cannot be attributed, so write the file again."
        )
    prompt = text_field(row, "user_prompt")
    answer = _ANSWER.search(prompt) if prompt and turn == 1 else None
    return Rating(
        question=question,
        turn=turn,
        model=model,
        judge=judge[0],
        prompt=judge[1],
        recorded=finite_number(row.get("score")),
        text=text_field(row, "judgment"),
        answer=answer[1] if answer else None,
    )
