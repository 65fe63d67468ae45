"""Reading files of judgments: every row is used or counted, or the file is refused in a sentence.

Nothing here knows a benchmark. Rows are plain JSON objects; `where` is a file, for messages.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nlhf_repro.interfaces import UnusableAnnotationsError

Row = Mapping[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Objects of a JSON list, or of JSON lines, in the order of the file; `.gz` is unpacked.

    Raises:
        UnusableAnnotationsError: the file is missing, empty, truncated, not UTF-8, not JSON, holds
            something other than objects, or an object that names a key twice.
    """
    text = _text(path)
    if not text.strip():
        raise UnusableAnnotationsError(f"{path} is empty: give a file with at least one row.")
    if text.lstrip().startswith("{"):
        rows = _lines(text, path)
    else:
        rows = _parsed(text, path, "")
        if not isinstance(rows, list):
            raise UnusableAnnotationsError(f"{path} holds one value, not a list of rows.")
    if not rows:
        raise UnusableAnnotationsError(f"{path} holds no rows: give a file with at least one row.")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise UnusableAnnotationsError(
                f"Row {number} of {path} is a {type(row).__name__}, not an object with named "
                "fields: this is not a file of judgments."
            )
    return list(rows)


def require_fields(rows: Sequence[Row], fields: Iterable[str], where: Path, what: str) -> None:
    """Refuse a file none of whose rows has one of the `fields`: it is in another format.

    Raises:
        UnusableAnnotationsError: names the absent fields and those that are there.
    """
    present = set().union(*rows)
    if absent := sorted(set(fields) - present):
        raise UnusableAnnotationsError(
            f"{where} is not {what}: no row has {', '.join(absent)} (fields found: "
            f"{', '.join(sorted(map(repr, present))) or 'none'}); give that file, or name the "
            "benchmark that wrote this one."
        )


def text_field(row: Row, field: str) -> str | None:
    """The field where it holds text with something in it, else None."""
    value = row.get(field)
    return value if isinstance(value, str) and value.strip() else None


def only_value(rows: Sequence[Row], field: str, where: Path, advice: str) -> str:
    """The one text that every row has in `field`, such as the judge.

    Raises:
        UnusableAnnotationsError: rows disagree, or some have no text there; ends with `advice`.
    """
    counts = Counter(text_field(row, field) for row in rows)
    if None in counts:
        raise UnusableAnnotationsError(
            f"{counts[None]} of {len(rows)} rows of {where} have no {field!r}: {advice}"
        )
    if len(counts) > 1:
        named = ", ".join(f"{value!r} ({count} rows)" for value, count in counts.most_common(4))
        raise UnusableAnnotationsError(
            f"{where} mixes {len(counts)} values of {field!r}: {named}; {advice}"
        )
    return next(value for value in counts if value is not None)


def refuse_duplicates(
    rows: Sequence[Row], key: Callable[[Row], Hashable], where: Path, key_name: str
) -> None:
    """Refuse rows that share a key: two judgments of one thing are no narrower interval.

    Raises:
        UnusableAnnotationsError: counts the rows beyond the first of their key.
    """
    refuse_duplicates_of([key(row) for row in rows], str(where), key_name)


def refuse_duplicates_of(keys: Sequence[Hashable], where: str, key_name: str) -> None:
    """`refuse_duplicates` of rows whose keys these are.

    Raises:
        UnusableAnnotationsError: counts the rows beyond the first of their key.
    """
    counts = Counter(keys)
    if extra := len(keys) - len(counts):
        most, times = counts.most_common(1)[0]
        raise UnusableAnnotationsError(
            f"{extra} of {len(keys)} rows of {where} repeat the {key_name} of another, such as "
            f"{shorten(str(most))!r} ({times} times): keep one row for each, or give every "
            "repetition its own file."
        )


def refuse_losses(
    unusable: Mapping[str, int], expected: int, maximum_share: float, where: str
) -> None:
    """Refuse a mean over survivors: more than `maximum_share` of the expected rows give no value.

    Raises:
        UnusableAnnotationsError: says how many rows are lost, for which reasons.
        ValueError: `maximum_share` lies outside 0 to 1.
    """
    if not 0 <= maximum_share <= 1:
        raise ValueError(f"The share of unusable rows is {maximum_share}: give one from 0 to 1.")
    lost = sum(unusable.values())
    if lost and (lost > maximum_share * expected or lost >= expected):
        reasons = ", ".join(f"{count} {reason}" for reason, count in unusable.items() if count)
        raise UnusableAnnotationsError(
            f"{lost} of {expected} judgments of {where} give no value ({reasons}), more than the "
            f"{100 * maximum_share:g} % allowed: judge them again, or allow a larger share if "
            "leaving them out is meant."
        )


def fingerprint(text: str) -> str:
    """Twelve hexadecimal digits of the text's SHA-256, to show where the text is too long."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def shorten(text: str, length: int = 60) -> str:
    """The first characters of a text, for a message."""
    return text if len(text) <= length else text[: length - 4] + " ..."


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnusableAnnotationsError(
            f"{path} is not UTF-8 text (byte {error.start}): is it the right file?"
        ) from error
    except (EOFError, zlib.error) as error:
        raise UnusableAnnotationsError(
            f"{path} is a damaged archive ({error}): fetch it again."
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnusableAnnotationsError(
            f"{path} cannot be read: {reason}; check the path."
        ) from error


def _lines(text: str, path: Path) -> list[Any]:
    first, _, rest = text.strip().partition("\n")
    if rest and not _is_json(first) and _is_json(text):
        raise UnusableAnnotationsError(
            f"{path} holds one object, not rows: give a list of objects, or one object a line."
        )
    lines = enumerate(text.split("\n"), start=1)
    return [_parsed(line, path, f" in line {number}") for number, line in lines if line.strip()]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _parsed(text: str, path: Path, place: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        what = "ends in the middle of a value (truncated?)" if cut else "is not JSON"
        place = place or f" in line {error.lineno}, column {error.colno}"
        reason = error.msg.removesuffix(" starting at")
        raise UnusableAnnotationsError(
            f"{path} {what}: {reason}{place}; fetch or write it again."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UnusableAnnotationsError(f"{path} is not usable JSON{place}: {error}.") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"an object names {shorten(twice)!r} twice")
    return row
