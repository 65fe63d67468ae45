"""Prompts, and demonstrations where there are some, from a file of one JSON object a line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, final

from nlhf_repro.interfaces import (
    Demonstration,
    ImpossibleSettingError,
    Message,
    Prompt,
    Split,
)
from nlhf_repro.interfaces.lacking import LackingError

SPLITS: tuple[Split, ...] = ("evaluation", "selection", "tuning", "training")


@final
@dataclass(frozen=True)
class JsonLines:
    """A prompt a line: `prompt` (a text) or `messages` (role and content, the last one the user's).

    `id` identifies it, else the SHA-256 of its messages; of lines with equal messages the first
    counts, whatever their ids. A line with `response` is a demonstration too. Every other key is in
    the prompt's details, for an oracle to read. Lines are shuffled by a hash of the world and their
    messages; evaluation, selection, tuning and training take the
    first ones in that order, so that splits are disjoint and the file's order does not matter.
    """

    path: str
    training: int
    selection: int
    tuning: int
    evaluation: int

    def __post_init__(self) -> None:
        for name in SPLITS:
            if getattr(self, name) < 1:
                raise ImpossibleSettingError(
                    f"prompts.{name} = {getattr(self, name)} must be at least 1: raise it."
                )

    def prompts(self, split: Split, world: int) -> tuple[Prompt, ...]:
        """The prompts of a split.

        Raises:
            ImpossibleSettingError: no such file, a line that is no prompt, or too few of them.
        """
        return tuple(prompt for prompt, _ in self._split(split, world))

    def demonstrations(self, world: int) -> tuple[Demonstration, ...]:
        """The responses to training prompts, where the file has them."""
        return tuple(
            Demonstration(prompt, response)
            for prompt, response in self._split("training", world)
            if response is not None
        )

    def vocabulary(self) -> tuple[str, ...]:
        """None: the words of a file are not bounded."""
        return ()

    def fingerprint(self) -> str:
        """SHA-256 of the file: results are kept under what it holds, not under its name.

        Raises:
            ImpossibleSettingError: it cannot be read; LackingError: there is no such file.
        """
        try:
            return hashlib.sha256(Path(self.path).expanduser().read_bytes()).hexdigest()
        except OSError as error:
            kind = LackingError if isinstance(error, FileNotFoundError) else ImpossibleSettingError
            raise kind(
                f"prompts.path = {self.path} cannot be read ({error}): give a file of JSON lines."
            ) from error

    def _split(self, split: Split, world: int) -> tuple[tuple[Prompt, str | None], ...]:
        lines = read_lines(self.path)
        wanted = sum(getattr(self, name) for name in SPLITS)
        if len(lines) < wanted:
            raise ImpossibleSettingError(
                f"prompts.path = {self.path} has {len(lines)} different prompts, and the splits "
                f"take {wanted}: lower prompts.training or another split."
            )
        ordered = sorted(lines, key=lambda line: _hash(f"{world} {line[0].messages!r}"))
        start = sum(getattr(self, name) for name in SPLITS[: SPLITS.index(split)])
        return tuple(ordered[start : start + getattr(self, split)])


@cache
def read_lines(path: str) -> tuple[tuple[Prompt, str | None], ...]:
    """Every different prompt of a file with its response; of equal messages the first.

    Raises:
        ImpossibleSettingError: naming the file, and the line that is no prompt.
    """
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ImpossibleSettingError(
            f"prompts.path = {path} cannot be read ({error}): give a file of JSON lines."
        ) from error
    found: dict[tuple[Message, ...], tuple[Prompt, str | None]] = {}
    owners: dict[str, tuple[Message, ...]] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            prompt, response = _parsed(line, f"line {number} of prompts.path = {path}")
            found.setdefault(prompt.messages, (prompt, response))
            if owners.setdefault(prompt.identifier, prompt.messages) != prompt.messages:
                raise ImpossibleSettingError(
                    f"line {number} of prompts.path = {path} has the id {prompt.identifier} of "
                    "another prompt: give each its own."
                )
    return tuple(found.values())


def _parsed(line: str, where: str) -> tuple[Prompt, str | None]:
    try:
        node = json.loads(line)
    except ValueError as error:
        raise ImpossibleSettingError(f"{where} is no JSON ({error}): mend it.") from error
    if not isinstance(node, dict) or not ({"prompt", "messages"} & node.keys()):
        raise ImpossibleSettingError(f"{where} has neither prompt nor messages: give it one.")
    messages = tuple(_messages(node, where))
    response = node.get("response")
    if response is not None and not isinstance(response, str):
        raise ImpossibleSettingError(f"{where} has a response that is no text: give a string.")
    identifier = str(node["id"]) if "id" in node else _hash(repr(messages))[:16]
    known = ("prompt", "messages", "response", "id")
    details = {key: value for key, value in node.items() if key not in known}
    return Prompt(identifier, messages, details), response


def _messages(node: Mapping[str, Any], where: str) -> Iterator[Message]:
    turns = node.get("messages", [{"role": "user", "content": node.get("prompt")}])
    roles = ("system", "user", "assistant")
    sound = isinstance(turns, list) and all(
        isinstance(x, dict) and x.get("role") in roles and isinstance(x.get("content"), str)
        for x in turns
    )
    if not sound or not turns or turns[-1]["role"] != "user":
        raise ImpossibleSettingError(
            f"{where} is no conversation that ends with the user: give messages of role (system, "
            "user, assistant) and content, or a text as prompt."
        )
    return (Message(x["role"], x["content"]) for x in turns)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
