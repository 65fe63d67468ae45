"""Answers and questions of Arena-Hard as its two versions write them, and how long answers are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nlhf_repro.benchmarks.annotation_files import read_rows, text_field
from nlhf_repro.benchmarks.arena_hard.labels import Version
from nlhf_repro.benchmarks.arena_hard.questions import question_of
from nlhf_repro.benchmarks.arena_hard.styles import (
    FOREIGN,
    AnswerStyle,
    answer_text,
    markdown_counts,
)
from nlhf_repro.benchmarks.judged_files import NO_TIME, answer_identifier
from nlhf_repro.interfaces import Answers, Question, UnusableAnnotationsError


def answer_rows(
    questions: Sequence[Question], answers: Answers, version: Version
) -> Iterator[dict[str, Any]]:
    """Upstream's `model_answer`, without the counts that its own add_markdown_info.py adds.

    v0.1 prints the mean of `token_len` beside a score: it is the model's own count, 0 where that is
    not known, and marked so that no style control takes it.
    """
    for question in questions:
        (text,) = answers.texts[question.identifier]
        name = answer_identifier(answers.name, [text])
        if version == "v0.1":
            yield {
                "question_id": question.identifier,
                "answer_id": name,
                "model_id": answers.name,
                "choices": [{"index": 0, "turns": [{"content": text}]}],
                "tstamp": NO_TIME,
                "conv_metadata": {
                    "token_len": sum(answers.tokens.get(question.identifier, ())),
                    FOREIGN: "the model's own",
                },
            }
        else:
            messages = [
                {"role": "user", "content": question.turns[0]},
                {"role": "assistant", "content": {"answer": text}},
            ]
            yield {
                "uid": question.identifier,
                "ans_id": name,
                "model": answers.name,
                "messages": messages,
                "tstamp": NO_TIME,
            }


def question_rows(
    questions: Sequence[Question], category: str, version: Version
) -> Iterator[dict[str, Any]]:
    """Upstream's `question.jsonl`."""
    for question in questions:
        if version == "v0.1":
            turns = [{"content": question.turns[0]}]
            yield {"question_id": question.identifier, "category": category, "turns": turns}
        else:
            own = {"subcategory": question.category, "prompt": question.turns[0]}
            yield {"uid": question.identifier, "category": category, **own}


def read_answers(path: Path) -> Answers:
    """One model's answers from a `model_answer/*.jsonl` of either version.

    Raises:
        UnusableAnnotationsError: no such file, a row without question, model or answer, several
            models, or a question twice.
    """
    texts: dict[str, tuple[str, ...]] = {}
    names = set()
    for number, row in enumerate(read_rows(path), start=1):
        question, (text, _) = question_of(row), answer_text(row)
        name = text_field(row, "model") or text_field(row, "model_id")
        if question is None or text is None or name is None or question in texts:
            raise UnusableAnnotationsError(
                f"Row {number} of {path} has no question, model or answer of its own: give a file "
                "of answers as the benchmark writes them, one row a question."
            )
        texts[question] = (text,)
        names.add(name)
    if len(names) > 1:
        raise UnusableAnnotationsError(
            f"{path} mixes the models {', '.join(sorted(names))}: give one file a model."
        )
    return Answers(names.pop(), texts, {})


def character_styles(answers: Answers) -> Mapping[str, AnswerStyle]:
    """Styles of all answers by question, with lengths in characters, where upstream has tokens."""
    return {
        question: AnswerStyle(len(text), *markdown_counts(text))
        for question, (text,) in answers.texts.items()
    }
