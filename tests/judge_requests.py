"""Requests to judges, and a judge in memory that counts what it is asked."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nlhf_repro.interfaces import (
    Judge,
    JudgeReply,
    JudgeRequest,
    JudgeUsage,
    Material,
    Message,
    OnReply,
)


def judge_request(text: str, identifier: str = "", **changes: Any) -> JudgeRequest:
    """A question whose answer is a token, about two answers."""
    user = Message("user", text)
    material = Material("token", (user,), ("yes", "no"), ("A", "B"), {"topic": "tea"})
    request = JudgeRequest(identifier or text, (user,), 8, 0.0, 0, 0, material)
    return replace(request, **changes)


def judge_requests(count: int) -> list[JudgeRequest]:
    return [judge_request(f"question {number}") for number in range(count)]


def reply_to(request: JudgeRequest) -> JudgeReply:
    """What the judges and servers of the tests say when nothing goes wrong."""
    text = f"{request.messages[-1].content} [{request.draw}]"
    return JudgeReply(text, {}, len(text.split()), 2, "stop")


def asked(judge: Judge, requests: Sequence[JudgeRequest]) -> list[JudgeReply]:
    """The replies in the order of the requests; each must come once."""
    replies: dict[int, JudgeReply] = {}

    def keep(position: int, reply: JudgeReply) -> None:
        assert position not in replies
        replies[position] = reply

    judge.answer(requests, keep)
    return [replies[position] for position in range(len(requests))]


class CountingJudge:
    """Answers in memory, after `seconds` a request."""

    name = "counting"

    def __init__(
        self,
        reply: Callable[[JudgeRequest], JudgeReply] = reply_to,
        seconds: float = 0.0,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        self.identity = {"model": "counting"} if identity is None else identity
        self.asked: Counter[str] = Counter()
        self._reply = reply
        self._seconds = seconds
        self._lock = threading.Lock()

    @property
    def usage(self) -> JudgeUsage:
        return JudgeUsage(calls=self.asked.total())

    def answer(self, requests: Sequence[JudgeRequest], on_reply: OnReply) -> None:
        for position, request in enumerate(requests):
            time.sleep(self._seconds)
            with self._lock:
                self.asked[request.identifier] += 1
            on_reply(position, self._reply(request))
