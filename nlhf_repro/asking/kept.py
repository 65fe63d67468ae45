"""A judge that keeps what another one answers, so that nothing answered is asked again."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Protocol, final, runtime_checkable

from nlhf_repro.asking.answer_file import AnswerFile
from nlhf_repro.interfaces import Judge, JudgeError, JudgeReply, JudgeRequest, JudgeUsage, OnReply


@runtime_checkable
class Budgeted(Protocol):
    """A judge with a budget, against which the replies that are kept already count."""

    def count_before(self, kept: JudgeUsage) -> None:
        """Count what they cost, once."""
        ...


POLL_SECONDS = 0.2  # between looks at what another process is asking


@final
class KeptAnswers:
    """A judge in front of another one, with a SQLite file of replies; see `answer_key`.

    A reply is in the file before it is handed over, so that after a kill only what was in flight is
    asked again. Threads and processes of one machine may share the file: a question that one of
    them is asking is claimed, and the others wait for its reply, or ask themselves once its owner
    is dead, has given up, or was silent for a minute. So a question is paid for once, except where
    its owner was stopped for longer than that and then went on.

    Replies with `finish` = "error: ..." are kept like all others, because the endpoint refused them
    for good. What failed on the way (JudgeError) is not, and is asked again by the next call.
    """

    def __init__(self, judge: Judge, path: Path) -> None:
        self._judge = judge
        self._path = path
        self._lock = threading.Lock()
        self._replayed = 0

    @property
    def name(self) -> str:
        """That of the judge."""
        return self._judge.name

    @property
    def identity(self) -> Mapping[str, Any]:
        """That of the judge: keeping changes no reply."""
        return self._judge.identity

    @property
    def usage(self) -> JudgeUsage:
        """What the judge has cost, and how many replies came without asking it."""
        usage = self._judge.usage
        return replace(usage, replayed=usage.replayed + self._replayed)

    def answer(self, requests: Sequence[JudgeRequest], on_reply: OnReply) -> None:
        """Reply to every request, from the file where it can, each question asked once.

        Raises:
            JudgeError: the judge could not answer some, or the file cannot be used; what is in the
                file was handed over.
        """
        identity = self._judge.identity
        waiting: dict[str, list[int]] = {}
        for position, request in enumerate(requests):
            waiting.setdefault(answer_key(identity, request), []).append(position)
        if not waiting:
            return
        try:
            with closing(AnswerFile(self._path)) as file:
                self._replay(file, waiting, on_reply)
                if waiting:
                    if isinstance(self._judge, Budgeted):
                        self._judge.count_before(file.kept(self._judge.name))
                    with file.renewing():
                        self._ask_or_wait(file, waiting, requests, on_reply)
        except sqlite3.Error as error:
            raise JudgeError(
                f"answers cannot be kept in {self._path} ({error}): repair that, and run again."
            ) from error

    def _ask_or_wait(
        self,
        file: AnswerFile,
        waiting: dict[str, list[int]],
        requests: Sequence[JudgeRequest],
        on_reply: OnReply,
    ) -> None:
        while True:
            mine = file.claim(list(waiting))
            try:
                self._ask(file, mine, waiting, requests, on_reply)
            except JudgeError:
                self._replay(file, waiting, on_reply)
                raise
            self._replay(file, waiting, on_reply)
            if not waiting:
                return
            if not mine:
                time.sleep(POLL_SECONDS)

    def _ask(
        self,
        file: AnswerFile,
        mine: Sequence[str],
        waiting: dict[str, list[int]],
        requests: Sequence[JudgeRequest],
        on_reply: OnReply,
    ) -> None:
        """Ask what was claimed; a question that stands twice among the requests is asked once."""
        if not mine:
            return
        asked = [requests[waiting[key][0]] for key in mine]

        def keep(position: int, reply: JudgeReply) -> None:
            key = mine[position]
            kept = file.keep(key, reply, self._judge.name)
            first, *others = waiting.pop(key)
            on_reply(first, kept)
            self._hand_over(others, kept, on_reply)

        self._judge.answer(asked, keep)
        if missing := sum(key in waiting for key in mine):
            raise JudgeError(
                f"{self._judge.name} ended without a reply to {missing} of {len(mine)} requests: "
                "its `answer` must reply to each or raise JudgeError."
            )

    def _replay(self, file: AnswerFile, waiting: dict[str, list[int]], on_reply: OnReply) -> None:
        found = file.replies(list(waiting))
        for key in [key for key in waiting if key in found]:
            self._hand_over(waiting.pop(key), found[key], on_reply)

    def _hand_over(self, positions: Sequence[int], reply: JudgeReply, on_reply: OnReply) -> None:
        with self._lock:
            self._replayed += len(positions)
        for position in positions:
            on_reply(position, reply)


def answer_key(identity: Mapping[str, Any], request: JudgeRequest) -> str:
    """SHA-256 of everything that decides a reply, 64 hexadecimal digits.

    That is the judge's identity and the request without its `identifier`, which only tells
    requests of one benchmark apart: two benchmarks that ask the same share the reply. `draw` is
    part of it, so that keeping a reply never makes two draws the same.

    `material` is part of it too, whole, because a local judge answers from it and not from the
    messages. A judge that reads the messages alone says so by `"reads": "messages"` in its
    identity; then a new fact in the details, or another benchmark's name of a question, does not
    make it answer again. Leaving this out costs a second answer at worst, never a wrong one.

    The hashed text is JSON with sorted keys, in UTF-8 that lets lone surrogates pass, so that
    different texts have different keys.

    Raises:
        JudgeError: the request's material holds what JSON does not.
    """
    question: dict[str, Any] = {
        "messages": [[message.role, message.content] for message in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": float(request.temperature),
        "top_logprobs": request.top_logprobs,
        "draw": request.draw,
    }
    if identity.get("reads") != "messages":
        question["material"] = request.material
    try:
        text = json.dumps(
            {"judge": identity, "question": question},
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
            default=_plain,
        )
    except (TypeError, ValueError) as error:
        raise JudgeError(
            f"no key can be made of the question {request.identifier} ({error}): give a judge's "
            "identity, and the details of what it reads, as plain JSON."
        ) from error
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is no JSON")
