"""Reading what papers printed, one CSV file a paper."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from functools import cache
from math import isfinite
from pathlib import Path
from typing import final

from nlhf_repro.interfaces import ImpossibleSettingError

TRUST = ("read in the paper", "read in its released code", "second-hand", "derived by us")


@final
@dataclass(frozen=True)
class PublishedNumber:
    """Somebody else's measurement; a text is empty where nothing is known.

    `value` is the number as printed, so that its digits say how it was rounded; `uncertainty` is
    printed beside it, with what it is; `trust` is one of TRUST.
    """

    paper: str  # arXiv identifier
    version: str
    table: str  # its number, or what else it is in words
    row: str
    column: str
    value: str
    unit: str
    uncertainty: str
    judge: str
    trust: str
    note: str

    @property
    def number(self) -> float:
        """The printed value."""
        return float(self.value)

    @property
    def half_digit(self) -> float:
        """Half a unit of the last printed digit: the value lies within so much of what is printed.

        0 for integers, which may be counts, and for numbers printed with an exponent.
        """
        _, point, decimals = self.value.partition(".")
        return 0.5 * 10.0 ** -len(decimals) if point and decimals.isdigit() else 0.0


def published_folder() -> Path:
    """The folder of the files: in the package, or in `benchmarks/published` of a checkout.

    Raises:
        ImpossibleSettingError: neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "published", package.parent / "benchmarks" / "published"):
        if folder.is_dir():
            return folder
    raise ImpossibleSettingError(
        f"No published numbers lie in or beside {package}: install nlhf_repro again."
    )


def published_numbers(paper: str) -> tuple[PublishedNumber, ...]:
    """Every number that we have of a paper, in the order of its file.

    Raises:
        ImpossibleSettingError: no file has numbers of this arXiv identifier, or a file is broken.
    """
    papers = _papers(published_folder())
    if paper not in papers:
        raise ImpossibleSettingError(
            f"There are no published numbers of arXiv {paper}: choose among {', '.join(papers)}, "
            "in quotation marks."
        )
    return papers[paper]


def read_published(path: Path) -> tuple[PublishedNumber, ...]:
    """The numbers of one file.

    Raises:
        ImpossibleSettingError: naming the file, and the line that is no number.
    """
    columns = [field.name for field in fields(PublishedNumber)]
    with path.open(encoding="utf-8", newline="") as stream:
        header, *lines = list(csv.reader(stream)) or [[]]
    if header != columns:
        raise ImpossibleSettingError(f"{path} has other columns than {', '.join(columns)}.")
    found: dict[tuple[str, ...], PublishedNumber] = {}
    for number, line in enumerate(lines, start=2):
        where = f"Line {number} of {path}"
        if len(line) != len(columns):
            raise ImpossibleSettingError(f"{where} has {len(line)} entries: give {len(columns)}.")
        record = PublishedNumber(*line)
        _check(record, where)
        place = (record.paper, record.table, record.row, record.column)
        if place in found:
            raise ImpossibleSettingError(f"{where} gives a second value of {', '.join(place)}.")
        found[place] = record
    return tuple(found.values())


def _check(record: PublishedNumber, where: str) -> None:
    for name in ("paper", "table", "row", "column", "unit"):
        if not getattr(record, name):
            raise ImpossibleSettingError(f"{where} has no {name}: give one.")
    if record.trust not in TRUST:
        raise ImpossibleSettingError(
            f"{where} has trust {record.trust!r}: take {', '.join(TRUST)}."
        )
    try:
        finite = isfinite(record.number)
    except ValueError:
        finite = False
    if not finite:
        raise ImpossibleSettingError(f"{where} has the value {record.value!r}: give a number.")


@cache
def _papers(folder: Path) -> dict[str, tuple[PublishedNumber, ...]]:
    papers: dict[str, tuple[PublishedNumber, ...]] = {}
    for path in sorted(folder.glob("*.csv")):
        for record in read_published(path):
            papers[record.paper] = (*papers.get(record.paper, ()), record)
    return papers
