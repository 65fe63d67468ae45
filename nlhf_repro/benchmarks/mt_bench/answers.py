"""Files of answers of MT-Bench, and its official questions with their reference answers."""

from __future__ import annotations

from pathlib import Path

from nlhf_repro.benchmarks.annotation_files import read_rows, text_field
from nlhf_repro.benchmarks.mt_bench.questions import question_of
from nlhf_repro.benchmarks.source_files import fetched
from nlhf_repro.interfaces import Answers, Question, UnusableAnnotationsError

QUESTIONS_FILE = "question.jsonl"
REFERENCES_FILE = "reference_answer_gpt-4.jsonl"
REFERENCED = ("math", "reasoning", "coding")  # categories whose judge sees reference answers


def official_questions() -> tuple[Question, ...]:
    """The 80 questions of two turns, with references in three of the eight categories.

    Raises:
        ImpossibleSettingError: a file is not fetched, or is not the official one.
    """
    references = read_answers(fetched("mt_bench", REFERENCES_FILE)).texts
    found = []
    for row in read_rows(fetched("mt_bench", QUESTIONS_FILE)):
        name, category = str(question_of(row)), row["category"]
        reference = references[name] if category in REFERENCED else ()
        found.append(Question(name, tuple(row["turns"]), category, ({}, {}), reference))
    return tuple(found)


def read_answers(path: Path) -> Answers:
    """One model's answers from a `model_answer/*.jsonl`: the first choice of every question.

    Raises:
        UnusableAnnotationsError: no such file, a row without question, model or turns, several
            models, or a question twice.
    """
    texts: dict[str, tuple[str, ...]] = {}
    names = set()
    for number, row in enumerate(read_rows(path), start=1):
        question, name = question_of(row), text_field(row, "model_id")
        try:
            turns = row["choices"][0]["turns"]
        except (KeyError, IndexError, TypeError):
            turns = None
        known = isinstance(turns, list) and all(isinstance(each, str) for each in turns)
        if question is None or name is None or not known or question in texts:
            raise UnusableAnnotationsError(
                f"Row {number} of {path} has no question_id, model_id or choices with turns of its "
                "own: give a file of answers as FastChat writes them, one row a question."
            )
        texts[question] = tuple(turns)
        names.add(name)
    if len(names) > 1:
        raise UnusableAnnotationsError(
            f"{path} mixes the models {', '.join(sorted(names))}: give one file a model."
        )
    return Answers(names.pop(), texts, {})
