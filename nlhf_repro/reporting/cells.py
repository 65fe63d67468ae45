"""What a table is made of: cells with their text and the numbers behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import nan
from typing import Literal

INCOMPLETE = "†"
CHECKPOINT = "‡"

Level = Literal["", "algorithm", "checkpoint", "exact"]


class RefusedCell(ValueError):
    """A cell, or a comparison, that would say more than the records do; the message is its text."""


@dataclass(frozen=True)
class Cell:
    """One printed value and the numbers behind it; NaN and 0 where there is none.

    `lower` and `upper` bound the interval at the table's confidence; `p_value` is adjusted.
    `seeds` (K) and `clusters` (n) count what the estimate averages over; `note` is what has to be
    said below the table about this cell alone. `best` sets it in bold where the form has bold face:
    not shown to be worse than another of its column.
    """

    text: str
    estimate: float = nan
    lower: float = nan
    upper: float = nan
    p_value: float = nan
    seeds: int = 0
    clusters: int = 0
    level: Level = ""
    note: str = ""
    best: bool = False

    def marked(self, mark: str) -> Cell:
        """The same cell with a mark behind its text."""
        return replace(self, text=self.text + mark)


def joined(*notes: str) -> str:
    """The notes of a cell that are not empty, each once."""
    return "; ".join(dict.fromkeys(note for note in notes if note))


@dataclass(frozen=True)
class TableRow:
    """A label and one cell a column of the table's header.

    `published` where it repeats a row of a paper that was not run.
    """

    label: str
    cells: tuple[Cell, ...]
    published: bool = False


@dataclass(frozen=True)
class Table:
    """A finished table: everything that a renderer prints, in printing order.

    `header` names the label column first, so it is one longer than the cells of a row. `reach` are
    those of the notes without which a number looks surer than it is: a terminal shows them alone.
    """

    title: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...]
    reach: tuple[str, ...] = ()
