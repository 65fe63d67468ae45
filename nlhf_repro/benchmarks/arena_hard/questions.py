"""Question lists of Arena-Hard and what its protocol fixes: sizes and baselines of categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from nlhf_repro.benchmarks.annotation_files import (
    read_rows,
    refuse_duplicates,
    require_fields,
    text_field,
)
from nlhf_repro.interfaces import UnusableAnnotationsError

V01_CATEGORY = "arena-hard-v0.1"

BASELINES: Mapping[str, str] = {
    V01_CATEGORY: "gpt-4-0314",
    "hard_prompt": "o3-mini-2025-01-31",
    "coding": "o3-mini-2025-01-31",
    "math": "o3-mini-2025-01-31",
    "creative_writing": "gemini-2.0-flash-001",
}
SIZES: Mapping[str, int] = {V01_CATEGORY: 500, "hard_prompt": 500, "creative_writing": 250}


@final
@dataclass(frozen=True)
class Question:
    """Where a question belongs; `subcategory` is coding, math, ..., or None."""

    category: str
    subcategory: str | None


def read_questions(path: Path) -> dict[str, Question]:
    """Questions by identifier (`uid`, or the older files' `question_id`), in the file's order.

    Raises:
        UnusableAnnotationsError: no file of questions, a row without identifier or category, or an
            identifier twice.
    """
    rows = read_rows(path)
    require_fields(rows, ("category",), path, "a list of Arena-Hard questions")
    refuse_duplicates(rows, question_of, path, "question")
    questions = {}
    for number, row in enumerate(rows, start=1):
        question, category = question_of(row), text_field(row, "category")
        if question is None or category is None:
            raise UnusableAnnotationsError(
                f"Row {number} of {path} has no uid (or question_id) or no category: give the "
                "benchmark's question.jsonl."
            )
        subcategory = text_field(row, "subcategory")
        questions[question] = Question(category, subcategory if subcategory != category else None)
    return questions


def question_of(row: Mapping[str, object]) -> str | None:
    """The row's `uid`, or its `question_id`, as text; None where it has neither."""
    for field in ("uid", "question_id"):
        value = row.get(field)
        if (isinstance(value, str) and value.strip()) or type(value) is int:
            return str(value)
    return None
