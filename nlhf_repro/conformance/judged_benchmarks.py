"""Benchmarks that ask a judge about answers to their own questions."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nlhf_repro.conformance.judge_requests import HOSTILE
from nlhf_repro.conformance.outcomes import NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.interfaces import (
    Answers,
    ImpossibleSettingError,
    JudgedBenchmark,
    JudgeReply,
    JudgeRequest,
    Judgment,
    MetricScores,
    UnusableAnnotationsError,
)

OWN, OTHER = "model", "opponent"
GARBAGE = JudgeReply("I had rather not say.", {}, 1, 1, "stop")
MOST_FOLLOW_UPS = 10


def questions_are_told_apart(subject: Subject) -> None:
    """Every question has an identifier of its own, and details for every turn."""
    questions = benchmark_of(subject).questions()
    identifiers = [question.identifier for question in questions]
    require(bool(questions), "it has no questions.")
    require(
        len(set(identifiers)) == len(identifiers),
        "two questions have one identifier: give each its own, by which rows are paired.",
    )
    for question in questions:
        require(
            bool(question.turns) and len(question.details) == len(question.turns),
            f"question {question.identifier} has {len(question.turns)} turns and details for "
            f"{len(question.details)}: give each turn its own.",
        )


def requests_show_the_answers(subject: Subject) -> None:
    """Requests are told apart, are of draw 0, and show the model's answer to who judges."""
    benchmark = benchmark_of(subject)
    own = answers(benchmark, OWN, "this is the model's answer")
    requests = asked(benchmark, own)
    identifiers = [request.identifier for request in requests]
    require(bool(requests), "it asks nothing about answers that differ.")
    require(
        len(set(identifiers)) == len(identifiers),
        "two requests have one identifier: name question, turn and order in it.",
    )
    texts = {text for turns in own.texts.values() for text in turns}
    for request in requests:
        shown = [text for text in request.material.answers if text in texts]
        require(request.draw == 0, f"request {request.identifier} is of draw {request.draw}.")
        require(
            len(shown) == 1 and any(shown[0] in message.content for message in request.messages),
            f"request {request.identifier} does not show the model's answer once, in its messages "
            "and in its material.",
        )
    require(requests == asked(benchmark, own), "the same answers are asked about otherwise.")


def who_is_preferred_wins(subject: Subject) -> None:
    """A judge for the model gives it the best score, one against it the worst."""
    benchmark = benchmark_of(subject)
    best, worst = (_mean(scored(benchmark, favor)) for favor in (True, False))
    require(
        best > worst,
        f"a judge who always prefers the model gives {best:g}, and one who never does {worst:g}.",
    )
    metric, _ = scored(benchmark, True)
    if metric.range is not None and metric.is_plain_mean:
        require(
            np.allclose([worst, best], metric.range, atol=1e-6),
            f"judges who are certain give {worst:g} and {best:g}, where the metric goes from "
            f"{metric.range[0]:g} to {metric.range[1]:g}.",
        )


def scores_belong_to_questions(subject: Subject) -> None:
    """Finite values, one a question, under the identifiers of the questions."""
    benchmark = benchmark_of(subject)
    metric, notes = scored(benchmark, True)
    known = {question.identifier for question in benchmark.questions()}
    require(set(metric.questions) <= known, "it scores questions that it does not ask.")
    require(
        len(set(metric.questions)) == len(metric.questions) == len(metric.values),
        "a question has several values, or none: give one each.",
    )
    require(bool(np.isfinite(metric.values).all()), "a value is no number.")
    require(all(isinstance(note, str) and note for note in notes), "a note is no sentence.")


def the_same_judgments_write_the_same_bytes(subject: Subject) -> None:
    """Files, and the scores that are read from them, follow from answers and judgments alone."""
    benchmark = benchmark_of(subject)
    found = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            metric, _ = scored(benchmark, True, folder=folder)
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            files = {str(x.relative_to(folder)): _digest(x.read_bytes()) for x in paths}
            found.append((files, _digest(metric.values.tobytes())))
    require(bool(found[0][0]), "it writes no file.")
    require(found[0] == found[1], "the same answers and judgments are written otherwise.")


def hostile_answers_are_judged(subject: Subject) -> None:
    """No text of an answer breaks a file, or changes what is asked about another question."""
    benchmark = benchmark_of(subject)
    plain = answers(benchmark, OWN, "this is the model's answer")
    first = benchmark.questions()[0].identifier
    own = {first, *(f"{first}/{turn}" for turn in range(len(plain.texts[first])))}
    for hostile in HOSTILE:
        turns = tuple(hostile for _ in plain.texts[first])
        attacked = replace(plain, texts={**plain.texts, first: turns})
        others = [x for x in asked(benchmark, attacked) if x.material.identifier not in own]
        expected = [x for x in asked(benchmark, plain) if x.material.identifier not in own]
        require(others == expected, "an answer changes what is asked about other questions.")
        metric, _ = scored(benchmark, True, own=attacked)
        require(
            len(metric.questions) == len(benchmark.questions()),
            "a hostile answer takes questions out of the score.",
        )


def what_cannot_be_read_is_refused(subject: Subject) -> None:
    """A judge who never gives a verdict gives no score."""
    benchmark = benchmark_of(subject)
    try:
        scored(benchmark, None)
    except UnusableAnnotationsError:
        return
    require(False, "a judge without a verdict gives a score: raise UnusableAnnotationsError.")


def settings_of_scoring_are_settings(subject: Subject) -> None:
    """What `scoring` names is configured, so that a misspelt one asks nothing again in silence."""
    benchmark = benchmark_of(subject)
    known = set(subject.arguments)
    require(
        set(type(benchmark).scoring) <= known,
        f"scoring = {type(benchmark).scoring} names what is no setting among {sorted(known)}.",
    )
    require(benchmark.repeats >= 1, "it asks its judge less than once.")
    require(
        all(isinstance(value, str) for value in benchmark.fingerprint().values()),
        "its fingerprint does not map names to texts.",
    )


def benchmark_of(subject: Subject) -> JudgedBenchmark:
    """The benchmark, where its files are there."""
    benchmark: JudgedBenchmark = subject.build()
    try:
        benchmark.questions()
        benchmark.requests(answers(benchmark, OWN, "a"), opponent_of(benchmark))
    except ImpossibleSettingError as error:
        if "nlhf fetch" not in str(error):
            raise
        raise NotApplicableError("its official files are not fetched") from error
    return benchmark


def answers(benchmark: JudgedBenchmark, name: str, text: str) -> Answers:
    """Answers that differ between questions and turns."""
    texts = {
        question.identifier: tuple(
            f"{text} number {number}, turn {turn}" for turn in range(len(question.turns))
        )
        for number, question in enumerate(benchmark.questions())
    }
    return Answers(name, texts, {})


def opponent_of(benchmark: JudgedBenchmark) -> Answers | None:
    """The benchmark's own baseline, or made answers where that is the reference policy."""
    if not benchmark.compares:
        return None
    return benchmark.baseline() or answers(benchmark, OTHER, "what the opponent says")


def asked(benchmark: JudgedBenchmark, own: Answers) -> list[JudgeRequest]:
    """All requests about the answers."""
    return benchmark.requests(own, opponent_of(benchmark))


def scored(
    benchmark: JudgedBenchmark,
    favor: bool | None,
    own: Answers | None = None,
    folder: Path | None = None,
) -> tuple[MetricScores, tuple[str, ...]]:
    """What a judge gives who favors the model, or its opponent, or (None) who says nothing."""
    if folder is None:
        with tempfile.TemporaryDirectory() as name:
            return scored(benchmark, favor, own, Path(name))
    mine = own or answers(benchmark, OWN, "this is the model's answer")
    judgments = []
    for request in asked(benchmark, mine):
        judgment = Judgment(request, (reply_of(request, favor, mine),))
        for _ in range(MOST_FOLLOW_UPS):
            further = benchmark.follow_up(judgment)
            if further is None:
                break
            reply = reply_of(further, favor, mine)
            judgment = replace(judgment, replies=(*judgment.replies, reply))
        judgments.append(judgment)
    benchmark.write(folder, mine, opponent_of(benchmark), judgments, "a judge of the conformance")
    return benchmark.score(folder, mine.name)


def reply_of(request: JudgeRequest, favor: bool | None, own: Answers) -> JudgeReply:
    """The reply of a judge who is certain, in the words that the request's form reads."""
    if favor is None:
        return GARBAGE
    material = request.material
    choices: Sequence[str] = material.choices
    if material.form == "rating":
        return JudgeReply(f"So I say {choices[-1 if favor else 0]}", {}, 1, 1, "stop")
    texts = {text for turns in own.texts.values() for text in turns}
    first = (material.answers[0] in texts) == favor
    chosen, other = (choices[0], choices[-1]) if first else (choices[-1], choices[0])
    if material.form == "token":
        return JudgeReply(chosen, {chosen: 0.0, other: -math.inf}, 1, 1, "length")
    return JudgeReply(f"So I say {chosen}", {}, 1, 1, "stop")


def _mean(found: tuple[MetricScores, tuple[str, ...]]) -> float:
    return float(np.mean(found[0].values))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
