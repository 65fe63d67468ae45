"""The questions of MT-Bench and their categories, which are the strata of its intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from nlhf_repro.benchmarks.annotation_files import (
    Row,
    read_rows,
    refuse_duplicates,
    require_fields,
    text_field,
)
from nlhf_repro.interfaces import UnusableAnnotationsError

TURNS = (1, 2)

_CATEGORIES = (
    "writing",
    "roleplay",
    "reasoning",
    "math",
    "coding",
    "extraction",
    "stem",
    "humanities",
)
# Questions 81 to 160, ten of a category in this order (FastChat 0e6d3e4, question.jsonl).
OFFICIAL_QUESTIONS: Mapping[str, str] = {
    str(81 + number): _CATEGORIES[number // 10] for number in range(80)
}


def read_categories(path: Path) -> dict[str, str]:
    """Category of every question of a `question.jsonl`, in the file's order.

    Raises:
        UnusableAnnotationsError: no file of questions, a row without identifier or category, or an
            identifier twice.
    """
    rows = read_rows(path)
    require_fields(rows, ("question_id", "category"), path, "a list of MT-Bench questions")
    refuse_duplicates(rows, question_of, path, "question_id")
    categories = {}
    for number, row in enumerate(rows, start=1):
        question, category = question_of(row), text_field(row, "category")
        if question is None or category is None:
            raise UnusableAnnotationsError(
                f"Row {number} of {path} has no question_id or no category: give the benchmark's "
                "question.jsonl."
            )
        categories[question] = category
    return categories


def question_of(row: Row) -> str | None:
    """The row's `question_id` as text; None where it is no whole number and no text."""
    value = row.get("question_id")
    return str(value) if type(value) is int or text_field(row, "question_id") else None


def turn_of(row: Row) -> int | None:
    """The row's turn, 1 or 2; None where it is something else."""
    turn = row.get("turn")
    return turn if type(turn) is int and turn in TURNS else None


def judge_of(row: Row) -> tuple[str, str] | None:
    """Model and prompt of the judge ("gpt-4", "single-v1"); None where the row does not say."""
    judge = row.get("judge")
    if isinstance(judge, list) and len(judge) == 2 and all(isinstance(x, str) for x in judge):
        return judge[0], judge[1]
    return (judge, "") if isinstance(judge, str) and judge.strip() else None


def one_judge(judges: Iterable[tuple[str, str]], where: Path) -> str:
    """The judge's model.

    Raises:
        UnusableAnnotationsError: there are several.
    """
    models = sorted({model for model, _ in judges})
    if len(models) > 1:
        raise UnusableAnnotationsError(
            f"{where} mixes judges: {', '.join(models)}: score each on its own."
        )
    return models[0]


def refuse_foreign(questions: Iterable[str], categories: Mapping[str, str], where: str) -> None:
    """Refuse questions whose category is not known.

    Raises:
        UnusableAnnotationsError: says how many there are.
    """
    if foreign := sorted(set(questions) - set(categories)):
        raise UnusableAnnotationsError(
            f"{len(foreign)} questions of {where} are none of the {len(categories)} listed, such "
            f"as {foreign[0]!r}: give the question file that was judged."
        )


def refuse_lost_categories(
    scored: Iterable[str], categories: Mapping[str, str], where: str
) -> None:
    """Refuse scores of which a whole category is lost: categories weigh the same.

    Raises:
        UnusableAnnotationsError: names the categories without a question in `scored`.
    """
    there = {categories[question] for question in scored}
    if lost := [name for name in dict.fromkeys(categories.values()) if name not in there]:
        raise UnusableAnnotationsError(
            f"No question of category {', '.join(map(repr, lost))} of {where} has two usable "
            "turns: the categories weigh the same, so the score would be of another benchmark; "
            "judge them again, or give your own list of questions."
        )


def own_questions_note(categories: Mapping[str, str]) -> list[str]:
    """What sets a list of questions apart from the official one; nothing where it is that."""
    if dict(categories) == dict(OFFICIAL_QUESTIONS):
        return []
    names = len(set(categories.values()))
    return [
        f"own list of {len(categories)} questions in {names} "
        f"categor{'ies' if names > 1 else 'y'}, not MT-Bench's 80 in 8"
    ]
