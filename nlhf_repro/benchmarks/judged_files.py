"""What benchmarks share that ask a judge: files that upstream reads, and what a table must say.

Nothing here knows a benchmark. Everything is written as ASCII JSON, in which control characters are
escapes, and a lone surrogate, at which upstream's reader stops, becomes U+FFFD: no answer can break
a line or a file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nlhf_repro.benchmarks.annotation_files import fingerprint
from nlhf_repro.interfaces import (
    Answers,
    Diagnostics,
    ImpossibleSettingError,
    JudgeReply,
    Judgment,
    Question,
)

OFFICIAL, MINI, REFERENCE_POLICY = "official", "mini", "reference_policy"
ERROR_TEXT = "$ERROR$"  # what upstream's tools write where the judge gave no answer
NO_TIME = 0.0  # stands for the time of writing, so that equal runs write equal files

_SURROGATE = re.compile("[\ud800-\udfff]")
_UNSAFE = re.compile(r"[^A-Za-z0-9._=+-]+")
_SMALL_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")
_LONGEST_STEM = 100


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, in ASCII, into a folder that is made where it is absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(sound(row), allow_nan=False) + "\n" for row in rows)
    path.write_text(text, encoding="ascii", newline="\n")


def file_stem(name: str) -> str:
    """A file's name, without its ending, for a model or judge of any name.

    Names that had to be changed end in a hash of what they were, so that two never meet.
    """
    plain = _UNSAFE.sub("_", name).strip(".")[:_LONGEST_STEM]
    return name if plain == name and name else f"{plain}-{fingerprint(name)}"


def written_identifier(identifier: str) -> int | str:
    """A question's identifier as upstream's files have it: a number where it is one."""
    return int(identifier) if _SMALL_NUMBER.fullmatch(identifier) else identifier


def answer_identifier(model: str, texts: Sequence[str]) -> str:
    """22 hexadecimal digits that name an answer; upstream draws them at random."""
    content = json.dumps([model, *texts])
    return hashlib.sha256(content.encode()).hexdigest()[:22]


def own_file(path: str, setting: str) -> Path:
    """A file that a setting names.

    Raises:
        ImpossibleSettingError: there is none.
    """
    found = Path(path).expanduser()
    if not found.is_file():
        raise ImpossibleSettingError(f"benchmark.{setting} = {path} is no file: check the path.")
    return found


def refuse_settings(values: Mapping[str, tuple[float, float, float]]) -> None:
    """Refuse a setting outside its range; `values` has value, least and largest by name.

    Raises:
        ImpossibleSettingError: names the first such setting.
    """
    for name, (value, least, largest) in values.items():
        if not least <= value <= largest:
            raise ImpossibleSettingError(
                f"benchmark.{name} = {value} must be from {least:g} to {largest:g}: correct it."
            )


def complete(answers: Answers, questions: Sequence[Question], turns: int) -> Answers:
    """The answers, where every question has one for each turn.

    Raises:
        ImpossibleSettingError: some have not; names the first.
    """
    short = [q.identifier for q in questions if len(answers.texts.get(q.identifier, ())) != turns]
    if short:
        raise ImpossibleSettingError(
            f"{answers.name} has not {turns} answer{'s' * (turns > 1)} to {len(short)} of "
            f"{len(questions)} questions, such as {short[0]!r}: give the answers to the questions "
            "that are judged."
        )
    return answers


def opponents(own: Answers, baseline: Answers | None) -> Answers:
    """The baseline.

    Raises:
        ImpossibleSettingError: there is none, or it has the model's own name.
    """
    if baseline is None:
        raise ImpossibleSettingError(
            "Answers are compared in pairs, and there is no baseline: give its answers."
        )
    if baseline.name == own.name:
        raise ImpossibleSettingError(
            f"The model and its baseline are both named {own.name!r}: files of judgments tell them "
            "apart by name, so rename one."
        )
    return baseline


def by_request(judgments: Sequence[Judgment]) -> dict[str, Judgment]:
    """Judgments by the identifier of their request.

    Raises:
        ValueError: two have the same.
    """
    found = {each.request.identifier: each for each in judgments}
    if len(found) < len(judgments):
        raise ValueError("Two judgments have one request: write one draw at a time.")
    return found


def refused(reply: JudgeReply) -> bool:
    """Whether the endpoint refused the request for good, so that the text is no judgment."""
    return reply.finish.startswith("error")


def reply_text(reply: JudgeReply) -> str:
    """The judge's words, or upstream's mark where there are none."""
    return ERROR_TEXT if refused(reply) else reply.text


def departure_notes(settings: Mapping[str, tuple[Any, Any]]) -> tuple[str, ...]:
    """What is not as in the protocol; `settings` has the value and the protocol's by name."""
    return tuple(
        f"{name} {value}, where the protocol has {usual}"
        for name, (value, usual) in settings.items()
        if value != usual
    )


def reading_note(diagnostics: Diagnostics) -> str:
    """What the judge said, how much of it gave no value, and how often its verdict flips."""
    said = sorted(diagnostics.verdicts.items(), key=lambda item: (len(item[0]), item[0]))
    parts = ["verdicts: " + (", ".join(f"{verdict}: {count}" for verdict, count in said) or "none")]
    parts += [f"{count} {reason}" for reason, count in sorted(diagnostics.unusable.items())]
    if diagnostics.position_flip_rate is not None:
        parts.append(f"{100 * diagnostics.position_flip_rate:.1f} % flip with the position")
    if diagnostics.identical_outputs:
        parts.append(f"{diagnostics.identical_outputs} identical answers")
    return "; ".join(parts)


def checked_source(source: str, opponent: str | None, benchmark: str) -> None:
    """Refuse the official opponent, who answered the official questions, to other ones.

    Raises:
        ImpossibleSettingError: says what to choose.
    """
    if opponent == OFFICIAL and source != OFFICIAL:
        raise ImpossibleSettingError(
            f"benchmark.{benchmark}.opponent = official answered the official questions, and the "
            f"source is {source}: choose reference_policy, or a file of answers."
        )


def sound(value: Any) -> Any:
    """The value with every surrogate in its texts replaced."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {key: sound(each) for key, each in value.items()}
    return [sound(each) for each in value] if isinstance(value, list | tuple) else value
