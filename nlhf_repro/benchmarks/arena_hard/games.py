"""Two games a question: what the judge of Arena-Hard is asked, and the files of its verdicts.

In game 1 the baseline is assistant A, in game 2 the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from nlhf_repro.benchmarks.arena_hard.answers import answer_rows, question_rows, read_answers
from nlhf_repro.benchmarks.arena_hard.judgments import Judgment as JudgedQuestion
from nlhf_repro.benchmarks.arena_hard.judgments import read_judgments
from nlhf_repro.benchmarks.arena_hard.labels import Version, has_several_labels, parse_label
from nlhf_repro.benchmarks.arena_hard.prompts import JudgePrompts
from nlhf_repro.benchmarks.judged_files import (
    by_request,
    file_stem,
    refused,
    reply_text,
    write_rows,
)
from nlhf_repro.interfaces import (
    Answers,
    JudgeRequest,
    Judgment,
    Material,
    Message,
    Question,
    UnusableAnnotationsError,
)

ATTEMPTS = 2  # of v0.1's judge to give a verdict, the first included
CHOICES = ("[[A>>B]]", "[[A>B]]", "[[A=B]]", "[[B>A]]", "[[B>>A]]")


@final
@dataclass(frozen=True)
class Asking:
    """How the judge is asked: prompts, sampling temperature, and the most tokens of a reply."""

    prompts: JudgePrompts
    temperature: float
    max_tokens: int


def game_requests(
    questions: Sequence[Question], own: Answers, baseline: Answers, asking: Asking
) -> list[JudgeRequest]:
    """Both games of every question, in its order."""
    return [
        _request(question, game, (first.texts, second.texts), asking)
        for question in questions
        for game, first, second in ((1, baseline, own), (2, own, baseline))
    ]


def goes_on(judgment: Judgment) -> bool:
    """Whether v0.1 asks the judge to go on: it was asked once, and gave no label at all."""
    replies, text = judgment.replies, _words(judgment)
    asked_once = 0 < len(replies) < ATTEMPTS and not any(map(refused, replies))
    return asked_once and parse_label(text, "v0.1") is None and not has_several_labels(text)


def next_attempt(judgment: Judgment, prompts: JudgePrompts) -> JudgeRequest:
    """The request to go on: the conversation so far, and the prompts' follow-up."""
    assert prompts.follow_up is not None
    replies, request = judgment.replies, judgment.request
    turns = [Message("assistant", replies[-1].text), Message("user", prompts.follow_up)]
    return JudgeRequest(
        identifier=f"{request.identifier}/attempt-{len(replies) + 1}",
        messages=(*request.messages, *turns),
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_logprobs=request.top_logprobs,
        draw=request.draw,
        material=request.material,
    )


def judgment_rows(
    questions: Sequence[Question],
    category: str,
    names: tuple[str, str],
    judgments: Sequence[Judgment],
    judge: str,
    version: Version,
) -> Iterator[dict[str, Any]]:
    """Upstream's rows of one draw; `names` are the model's and the baseline's.

    A game that was not judged, or that the endpoint refused, has no verdict.
    """
    found = by_request(judgments)
    for question in questions:
        games = [found.get(_identifier(question, game)) for game in (1, 2)]
        if version == "v0.1":
            yield {
                "question_id": question.identifier,
                "model": names[0],
                "judge": judge,
                "games": [_old_game(each) for each in games],
            }
        else:
            yield {
                "uid": question.identifier,
                "category": category,
                "judge": judge,
                "model": names[0],
                "baseline": names[1],
                "games": [_new_game(each) for each in games],
            }


def write_folder(
    folder: Path,
    questions: Sequence[Question],
    category: str,
    answers: tuple[Answers, Answers],
    judgments: Sequence[Judgment],
    judge: str,
    version: Version,
) -> None:
    """Upstream's `data/BENCHMARK`: questions, both answer files (the model's first), judgments."""
    write_rows(folder / "question.jsonl", question_rows(questions, category, version))
    for each in answers:
        path = folder / "model_answer" / f"{file_stem(each.name)}.jsonl"
        write_rows(path, answer_rows(questions, each, version))
    names = (answers[0].name, answers[1].name)
    rows = judgment_rows(questions, category, names, judgments, judge, version)
    path = folder / "model_judgment" / file_stem(judge) / f"{file_stem(names[0])}.jsonl"
    write_rows(path, rows)


def read_folder(folder: Path, own: str) -> tuple[tuple[JudgedQuestion, ...], tuple[Answers, ...]]:
    """Judgments of one model, and the answers of both.

    Raises:
        UnusableAnnotationsError: the folder is not one that `write_folder` wrote for this model.
    """
    paths = sorted((folder / "model_answer").glob("*.jsonl"))
    answers = tuple(read_answers(path) for path in paths)
    files = sorted((folder / "model_judgment").glob(f"*/{file_stem(own)}.jsonl"))
    others = sorted({each.name for each in answers} - {own})
    if len(files) != 1 or len(answers) != 2 or len(others) != 1:
        raise UnusableAnnotationsError(
            f"{folder} has not the judgments of {own} by one judge and the answers of two models: "
            "judge them again."
        )
    return read_judgments(files, baseline=others[0]), answers


def _request(
    question: Question,
    game: int,
    texts: tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[str, ...]]],
    asking: Asking,
) -> JudgeRequest:
    prompt = question.turns[0]
    first, second = (each[question.identifier][0] for each in texts)
    return JudgeRequest(
        identifier=_identifier(question, game),
        messages=(
            Message("system", asking.prompts.system),
            Message("user", asking.prompts.user(prompt, first, second)),
        ),
        max_tokens=asking.max_tokens,
        temperature=asking.temperature,
        top_logprobs=0,
        draw=0,
        material=Material(
            form="label",
            conversation=(Message("user", prompt),),
            answers=(first, second),
            choices=CHOICES,
            details=question.details[0],
            reference=question.reference[0] if question.reference else None,
            identifier=f"{question.identifier}/0",
        ),
    )


def _identifier(question: Question, game: int) -> str:
    return f"{question.identifier}/game-{game}"


def _words(judgment: Judgment) -> str:
    """Everything that the judge said about a game, as v0.1 joins it."""
    return "".join("\n" + reply_text(reply) for reply in judgment.replies)


def _old_game(judgment: Judgment | None) -> dict[str, Any]:
    if judgment is None:
        return {"user_prompt": "", "judgment": "", "score": None}
    text = _words(judgment)
    prompt = judgment.request.messages[1].content
    return {"user_prompt": prompt, "judgment": text, "score": parse_label(text, "v0.1")}


def _new_game(judgment: Judgment | None) -> dict[str, Any] | None:
    if judgment is None or not judgment.replies or refused(judgment.replies[-1]):
        return None
    text = judgment.replies[-1].text
    prompt = [{"role": each.role, "content": each.content} for each in judgment.request.messages]
    return {"score": parse_label(text, "v2.0"), "judgment": {"answer": text}, "prompt": prompt}
