"""Benchmarks judged by a function of the request, without a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nlhf_repro.interfaces import Answers, Decoding, JudgeReply, JudgeRequest, Judgment

COMMON: dict[str, Any] = {
    "repeats": 1,
    "maximum_unusable_share": 0.02,
    "decoding": Decoding(0.0, 16, None, None, {}),
    "judge_temperature": 0.0,
    "judge_max_tokens": 100,
}

Script = Callable[[JudgeRequest], str]


def reply(text: str, finish: str = "stop") -> JudgeReply:
    return JudgeReply(text, {}, 10, 5, finish)


def judged(benchmark: Any, requests: Sequence[JudgeRequest], script: Script) -> list[Judgment]:
    """Every request with its replies, follow-ups included; a reply of `error: ...` is refused."""
    found = []
    for request in requests:
        replies: tuple[JudgeReply, ...] = ()
        asked: JudgeRequest | None = request
        while asked is not None:
            text = script(asked)
            replies += (reply("", text) if text.startswith("error: ") else reply(text),)
            asked = benchmark.follow_up(Judgment(request, replies))
        found.append(Judgment(request, replies))
    return found


def longer(request: JudgeRequest) -> str:
    """The longer of two answers is better; the rating of one is its length."""
    material = request.material
    if material.form == "rating":
        return f"Rating: {material.choices[min(len(material.answers[0]), 10) - 1]}"
    first, second = map(len, material.answers)
    better, equal, worse = material.choices[:: len(material.choices) // 2]
    return f"Verdict: {better if first > second else worse if second > first else equal}"


def first_position(request: JudgeRequest) -> str:
    return request.material.choices[0]


def answers(name: str, texts: dict[str, tuple[str, ...]]) -> Answers:
    return Answers(name, texts, {})
