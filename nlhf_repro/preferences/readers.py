"""Preference data from files and from the hub, in the forms in which they are usually published."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nlhf_repro.interfaces import ImpossibleSettingError, Message, Prompt
from nlhf_repro.preferences.records import PreferenceRecord, conversation_key

ROLES = ("system", "user", "assistant")
SUFFIXES = (".jsonl", ".json", ".parquet")
FORMS = (
    "chosen and rejected (texts beside a prompt, or conversations with a common beginning), or "
    "prompt, response_a, response_b and probability"
)


def read_preferences(
    data: str, revision: str | None, split: str | None
) -> tuple[PreferenceRecord, ...]:
    """Every comparison of a JSONL or Parquet file, or of a data set on the hub.

    A row has `chosen` and `rejected`, the first preferred: texts beside `prompt`, or lists of
    messages (role, content) that agree up to their last one, the assistant's; a `prompt` beside
    them has to be what they agree on. Or it has `prompt` (a text, or messages that end with the
    user), `response_a`, `response_b` and `probability` in [0, 1] that the first is preferred. Other
    columns are not read.

    Raises:
        ImpossibleSettingError: nothing can be read there, or the row that is malformed, counted
            from 1 (in a file of JSON lines, its line).
    """
    rows = list(_rows(data, revision, split))
    if not rows:
        raise ImpossibleSettingError(f"fit.data = {data} has no row: give one that has.")
    return tuple(_record(row, where) for row, where in rows)


def fingerprint(data: str, revision: str | None, split: str | None) -> dict[str, str]:
    """What results are kept under: the SHA-256 of a file, or the name and revision of a data set.

    Raises:
        ImpossibleSettingError: no such file, or a data set without a revision.
    """
    path = Path(data).expanduser()
    if path.suffix in SUFFIXES:
        _refuse_hub_keys(data, revision, split)
        try:
            return {"file": hashlib.sha256(path.read_bytes()).hexdigest()}
        except OSError as error:
            raise _unreadable(data, error) from error
    if revision is None or split is None:
        raise ImpossibleSettingError(
            f"fit.data = {data} is a data set on the hub, which can change under its name: give "
            f"fit.revision (a commit) and fit.data_split, or a file ({', '.join(SUFFIXES)})."
        )
    return {"data_set": data, "revision": revision, "split": split}


def _rows(
    data: str, revision: str | None, split: str | None
) -> Iterator[tuple[Mapping[str, Any], str]]:
    path = Path(data).expanduser()
    fingerprint(data, revision, split)
    if path.suffix == ".parquet":
        yield from _counted(_parquet(path, data), f"row {{}} of fit.data = {data}")
    elif path.suffix in SUFFIXES:
        yield from _json_lines(path, data)
    else:
        yield from _counted(_hub(data, revision, split), f"row {{}} of fit.data = {data}")


def _json_lines(path: Path, data: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(data, error) from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"line {number} of fit.data = {data}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ImpossibleSettingError(f"{where} is no JSON ({error}): mend it.") from error
        if not isinstance(row, dict):
            raise ImpossibleSettingError(f"{where} is no object: give {FORMS}.")
        yield row, where


def _parquet(path: Path, data: str) -> Iterable[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(data, error) from error
    return rows


def _hub(data: str, revision: str | None, split: str | None) -> Iterable[Mapping[str, Any]]:
    from datasets import load_dataset

    try:
        rows: Iterable[Mapping[str, Any]] = load_dataset(data, revision=revision, split=split)
    except Exception as error:  # its libraries raise classes of their own, without a common one
        raise _unreadable(data, error) from error
    return rows


def _counted(
    rows: Iterable[Mapping[str, Any]], where: str
) -> Iterator[tuple[Mapping[str, Any], str]]:
    return ((row, where.format(number)) for number, row in enumerate(rows, start=1))


def _refuse_hub_keys(data: str, revision: str | None, split: str | None) -> None:
    for name, value in (("revision", revision), ("data_split", split)):
        if value is not None:
            raise ImpossibleSettingError(
                f"fit.{name} = {value} is of data sets on the hub, and fit.data = {data} is a "
                "file: set it to null."
            )


def _unreadable(data: str, error: Exception) -> ImpossibleSettingError:
    reason = " ".join(str(error).split())
    return ImpossibleSettingError(
        f"fit.data = {data} cannot be read ({reason}): give a file ({', '.join(SUFFIXES)}), the "
        "name of a data set on the hub, or world."
    )


def _record(row: Mapping[str, Any], where: str) -> PreferenceRecord:
    if "chosen" in row and "rejected" in row:
        return _chosen_and_rejected(row, where)
    if {"prompt", "response_a", "response_b", "probability"} <= row.keys():
        probability = row["probability"]
        number = isinstance(probability, int | float) and not isinstance(probability, bool)
        if not number or not 0 <= probability <= 1:
            raise ImpossibleSettingError(
                f"{where} has the probability {probability!r}: give a number from 0 to 1."
            )
        prompt = _prompt(_turns(row["prompt"], "prompt", where), where)
        texts = [_text(row, name, where) for name in ("response_a", "response_b")]
        return PreferenceRecord(prompt, texts[0], texts[1], float(probability))
    raise ImpossibleSettingError(
        f"{where} has the columns {', '.join(sorted(map(str, row))) or 'none'}: give {FORMS}."
    )


def _chosen_and_rejected(row: Mapping[str, Any], where: str) -> PreferenceRecord:
    given = row.get("prompt")
    if isinstance(row["chosen"], str) and isinstance(row["rejected"], str):
        if given is None:
            raise ImpossibleSettingError(
                f"{where} has texts as chosen and rejected and no prompt: give one, or give lists "
                "of messages."
            )
        turns = _turns(given, "prompt", where)
        return PreferenceRecord(_prompt(turns, where), row["chosen"], row["rejected"], 1.0)
    chosen, rejected = (_turns(row[name], name, where) for name in ("chosen", "rejected"))
    answers = [each[-1] for each in (chosen, rejected)]
    if any(answer.role != "assistant" for answer in answers) or chosen[:-1] != rejected[:-1]:
        raise ImpossibleSettingError(
            f"{where} has conversations that do not agree up to one last message, the assistant's: "
            "give chosen and rejected responses to the same prompt."
        )
    beginning = chosen[:-1]  # none where chosen and rejected are the answers alone
    turns = beginning if given is None else _turns(given, "prompt", where)
    if not turns or (beginning and turns != beginning):
        raise ImpossibleSettingError(
            f"{where} has a prompt that is not what chosen and rejected begin with, or none: drop "
            "it, or correct it."
        )
    prompt = _prompt(turns, where)
    return PreferenceRecord(prompt, answers[0].content, answers[1].content, 1.0)


def _turns(value: Any, name: str, where: str) -> tuple[Message, ...]:
    if isinstance(value, str):
        return (Message("user", value),)
    sound = isinstance(value, list) and all(
        isinstance(x, Mapping) and x.get("role") in ROLES and isinstance(x.get("content"), str)
        for x in value
    )
    if not sound or not value:
        raise ImpossibleSettingError(
            f"{where} has a {name} that is neither a text nor messages of role (system, user, "
            "assistant) and content: correct it."
        )
    return tuple(Message(x["role"], x["content"]) for x in value)


def _prompt(turns: Sequence[Message], where: str) -> Prompt:
    if turns[-1].role != "user":
        raise ImpossibleSettingError(
            f"{where} has a prompt that ends with the {turns[-1].role}: it has to end with the "
            "user."
        )
    prompt = Prompt("", tuple(turns), {})
    return Prompt(conversation_key(prompt)[:16], tuple(turns), {})


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    if not isinstance(row[name], str):
        raise ImpossibleSettingError(f"{where} has a {name} that is no text: give a string.")
    return str(row[name])
