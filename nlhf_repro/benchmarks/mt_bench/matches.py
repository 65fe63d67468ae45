"""What the judge of MT-Bench is asked about two turns, and the files of its ratings and verdicts.

A match is a question and turn: one game where an answer is rated, two with the answers swapped
where two are compared. The model is model_1, and assistant A of game 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, final

from nlhf_repro.benchmarks.judged_files import (
    NO_TIME,
    answer_identifier,
    by_request,
    refused,
    reply_text,
    written_identifier,
)
from nlhf_repro.benchmarks.mt_bench.pairs import parse_winner
from nlhf_repro.benchmarks.mt_bench.prompts import Case, JudgePrompt
from nlhf_repro.benchmarks.mt_bench.questions import TURNS
from nlhf_repro.benchmarks.mt_bench.ratings import parse_rating
from nlhf_repro.interfaces import Answers, JudgeRequest, Judgment, Material, Message, Question

RATINGS = tuple(f"[[{rating}]]" for rating in range(1, 11))
WINNERS = ("[[A]]", "[[C]]", "[[B]]")

_NO_RATING = -1
_LARGEST_RATING = 1e15
_GAMES = ({"A": "model_1", "B": "model_2"}, {"A": "model_2", "B": "model_1"})


@final
@dataclass(frozen=True)
class Asking:
    """How the judge is asked: prompts by case, temperature, and the most tokens of a reply."""

    prompts: Mapping[Case, JudgePrompt]
    temperature: float
    max_tokens: int


def single_requests(
    questions: Sequence[Question], own: Answers, asking: Asking
) -> list[JudgeRequest]:
    """One request a question and turn."""
    return [_rate(q, turn, own.texts[q.identifier], asking) for q, turn in _matches(questions)]


def pair_requests(
    questions: Sequence[Question], own: Answers, baseline: Answers, asking: Asking
) -> list[JudgeRequest]:
    """Two requests a question and turn, with the answers swapped in the second."""
    return [
        _compare(q, turn, game, first.texts[q.identifier], second.texts[q.identifier], asking)
        for q, turn in _matches(questions)
        for game, first, second in ((1, own, baseline), (2, baseline, own))
    ]


def single_rows(
    questions: Sequence[Question],
    model: str,
    judgments: Sequence[Judgment],
    judge: str,
    prompts: Mapping[Case, JudgePrompt],
) -> Iterator[dict[str, Any]]:
    """Upstream's rows of one draw; -1 where no rating was read, or the endpoint refused."""
    found = by_request(judgments)
    for question, turn in _matches(questions):
        if (judgment := found.get(_identifier(question, turn))) is None:
            continue
        yield {
            "question_id": written_identifier(question.identifier),
            "model": model,
            "judge": [judge, prompts[turn, bool(question.reference)].name],
            "user_prompt": judgment.request.messages[-1].content,
            "judgment": reply_text(judgment.replies[-1]),
            "score": _recorded(judgment),
            "turn": turn,
            "tstamp": NO_TIME,
        }


def pair_rows(
    questions: Sequence[Question],
    models: tuple[str, str],
    judgments: Sequence[Judgment],
    judge: str,
    prompts: Mapping[Case, JudgePrompt],
) -> Iterator[dict[str, Any]]:
    """Upstream's rows of one draw; a game without a verdict is an error."""
    found = by_request(judgments)
    for question, turn in _matches(questions):
        games = [found.get(_identifier(question, turn, game)) for game in (1, 2)]
        if games[0] is None or games[1] is None:
            continue
        played = (games[0], games[1])
        winners = [
            sides.get(winner, winner)
            for sides, winner in zip(_GAMES, map(_winner, played), strict=True)
        ]
        yield {
            "question_id": written_identifier(question.identifier),
            "model_1": models[0],
            "model_2": models[1],
            "g1_winner": winners[0],
            "g2_winner": winners[1],
            "judge": [judge, prompts[turn, bool(question.reference)].name],
            "g1_user_prompt": played[0].request.messages[-1].content,
            "g1_judgment": reply_text(played[0].replies[-1]),
            "g2_user_prompt": played[1].request.messages[-1].content,
            "g2_judgment": reply_text(played[1].replies[-1]),
            "turn": turn,
            "tstamp": NO_TIME,
        }


def answer_rows(questions: Sequence[Question], answers: Answers) -> Iterator[dict[str, Any]]:
    """Upstream's `model_answer`."""
    for question in questions:
        texts = list(answers.texts[question.identifier])
        yield {
            "question_id": written_identifier(question.identifier),
            "answer_id": answer_identifier(answers.name, texts),
            "model_id": answers.name,
            "choices": [{"index": 0, "turns": texts}],
            "tstamp": NO_TIME,
        }


def question_rows(questions: Sequence[Question]) -> Iterator[dict[str, Any]]:
    """Upstream's `question.jsonl`."""
    for question in questions:
        yield {
            "question_id": written_identifier(question.identifier),
            "category": question.category,
            "turns": list(question.turns),
        }


def _matches(questions: Sequence[Question]) -> Iterator[tuple[Question, int]]:
    return product(questions, TURNS)


def _identifier(question: Question, turn: int, game: int | None = None) -> str:
    match = f"{question.identifier}/turn-{turn}"
    return match if game is None else f"{match}/game-{game}"


def _rate(question: Question, turn: int, texts: Sequence[str], asking: Asking) -> JudgeRequest:
    first, second = question.turns
    fields = {"question": first, "answer": texts[0]}
    conversation = [Message("user", first)]
    if turn == 2:
        fields = {"question_1": first, "question_2": second}
        fields |= {"answer_1": texts[0], "answer_2": texts[1]}
        conversation += [Message("assistant", texts[0]), Message("user", second)]
    material = _material(question, turn, tuple(conversation), (texts[turn - 1],), RATINGS)
    return _request(_identifier(question, turn), question, turn, fields, material, asking)


def _compare(
    question: Question,
    turn: int,
    game: int,
    a: Sequence[str],
    b: Sequence[str],
    asking: Asking,
) -> JudgeRequest:
    first, second = question.turns
    fields = {"question": first, "answer_a": a[0], "answer_b": b[0]}
    if turn == 2:
        fields = {"question_1": first, "question_2": second}
        fields |= {"answer_a_1": a[0], "answer_a_2": a[1], "answer_b_1": b[0], "answer_b_2": b[1]}
    # The two conversations differ in their first answers: what they share are the user's turns.
    conversation = tuple(Message("user", text) for text in question.turns[:turn])
    answers = (a[turn - 1], b[turn - 1])
    material = _material(question, turn, conversation, answers, WINNERS)
    return _request(_identifier(question, turn, game), question, turn, fields, material, asking)


def _material(
    question: Question,
    turn: int,
    conversation: tuple[Message, ...],
    answers: tuple[str, ...],
    choices: tuple[str, ...],
) -> Material:
    return Material(
        form="rating" if choices is RATINGS else "label",
        conversation=conversation,
        answers=answers,
        choices=choices,
        details=question.details[turn - 1],
        reference=question.reference[turn - 1] if question.reference else None,
        identifier=f"{question.identifier}/{turn - 1}",
    )


def _request(
    identifier: str,
    question: Question,
    turn: int,
    fields: Mapping[str, str],
    material: Material,
    asking: Asking,
) -> JudgeRequest:
    prompt = asking.prompts[turn, bool(question.reference)]
    references = {f"ref_answer_{n}": text for n, text in enumerate(question.reference, start=1)}
    user = prompt.template.format(**fields, **references)
    return JudgeRequest(
        identifier=identifier,
        messages=(Message("system", prompt.system), Message("user", user)),
        max_tokens=asking.max_tokens,
        temperature=asking.temperature,
        top_logprobs=0,
        draw=0,
        material=material,
    )


def _recorded(judgment: Judgment) -> float:
    """Upstream's rating, whatever its range; -1 where there is none, or none that JSON holds."""
    reply = judgment.replies[-1]
    rating = None if refused(reply) else parse_rating(reply.text, in_range=False)
    if rating is None or rating > _LARGEST_RATING:
        return _NO_RATING
    return int(rating) if rating.is_integer() else rating


def _winner(judgment: Judgment) -> str:
    reply = judgment.replies[-1]
    winner = None if refused(reply) else parse_winner(reply.text)
    return "error" if winner is None else winner
