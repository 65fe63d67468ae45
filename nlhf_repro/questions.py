"""Questions of a benchmark in a file of JSON lines: those of the mini world, and a user's own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nlhf_repro.interfaces import ImpossibleSettingError, Question

KEYS = ("identifier", "turns", "category", "details", "reference")
NEEDED = ("identifier", "turns", "category")


def mini_questions(name: str) -> Path:
    """The file of a mini benchmark: in the package, or in `benchmarks/mini` of a checkout.

    Raises:
        ImpossibleSettingError: no such file comes with nlhf_repro.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "mini", package.parent / "benchmarks" / "mini"):
        if (folder / f"{name}.jsonl").is_file():
            return folder / f"{name}.jsonl"
    raise ImpossibleSettingError(
        f"No mini/{name}.jsonl lies in or beside {package}: take alpaca_eval, arena_hard or "
        "mt_bench, or install nlhf_repro again."
    )


def read_questions(path: Path) -> tuple[Question, ...]:
    """The questions of a file, in its order.

    A line is a JSON object of `identifier` (a text or a whole number, given once), `turns` (texts),
    `category` (a text), and, where the question has them, `details` (an object for every turn) and
    `reference` (a text for every turn).

    Raises:
        ImpossibleSettingError: naming the file, and the line that is no question.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ImpossibleSettingError(
            f"{path} cannot be read ({' '.join(str(error).split())}): give a file of questions."
        ) from error
    found: dict[str, Question] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        question = _question(line, f"Line {number} of {path}")
        if question.identifier in found:
            raise ImpossibleSettingError(
                f"Line {number} of {path} has the identifier {question.identifier} of another "
                "question: give each its own."
            )
        found[question.identifier] = question
    if not found:
        raise ImpossibleSettingError(f"{path} holds no question: give one a line, as JSON.")
    return tuple(found.values())


def written_question(question: Question) -> str:
    """The line, without its end, that `read_questions` reads as this question."""
    row = {
        "identifier": question.identifier,
        "turns": question.turns,
        "category": question.category,
        "details": question.details,
        **({"reference": question.reference} if question.reference else {}),
    }
    return json.dumps(row, ensure_ascii=False)


def _question(line: str, where: str) -> Question:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ImpossibleSettingError(f"{where} is no JSON ({error}): mend it.") from error
    if not isinstance(row, dict):
        raise ImpossibleSettingError(f"{where} is no JSON object: give {', '.join(NEEDED)}.")
    for problem in _problems(row):
        raise ImpossibleSettingError(f"{where} {problem}.")
    turns = tuple(row["turns"])
    details = row.get("details") or [{}] * len(turns)
    return Question(
        str(row["identifier"]),
        turns,
        row["category"],
        tuple(details),
        tuple(row.get("reference") or ()),
    )


def _problems(row: Mapping[str, Any]) -> Iterator[str]:
    """What keeps a row from being a question, and what to do, as the rest of a sentence."""
    if missing := [key for key in NEEDED if key not in row]:
        yield f"has no {missing[0]}: give {', '.join(NEEDED)}"
    if unknown := [key for key in row if key not in KEYS]:
        yield f"has the unknown key {unknown[0]!r}: choose from {', '.join(KEYS)}"
    identifier, turns = row.get("identifier"), row.get("turns")
    if type(identifier) is not int and not (isinstance(identifier, str) and identifier.strip()):
        yield "has an identifier that is neither a text nor a whole number: correct it"
    if not _texts(turns) or not turns:
        yield "has turns that are no list of texts: give a text a turn, ['...'] for a single one"
        return
    if not isinstance(row.get("category"), str) or not row["category"].strip():
        yield "has a category that is no text: give a word"
    reference, details = row.get("reference"), row.get("details")
    if reference and (not _texts(reference) or len(reference) != len(turns)):
        yield f"has {len(turns)} turns, and no list of as many texts as reference: give one each"
    if details and not (
        isinstance(details, list)
        and len(details) == len(turns)
        and all(isinstance(each, dict) for each in details)
    ):
        yield f"has {len(turns)} turns, and no list of as many objects as details: give one each"


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(x, str) and x.strip() for x in value)
