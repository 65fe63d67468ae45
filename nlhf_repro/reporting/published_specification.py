"""What a table file says about the numbers of a paper that stand beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.reporting.comparison import SeedDesign
from nlhf_repro.reporting.published_numbers import PublishedNumber, published_numbers

WHERE = "table.published"


@final
@dataclass(frozen=True)
class PublishedSpecification:
    """Which printed numbers stand behind which of our columns.

    Attributes:
        paper: arXiv identifier, a text.
        table: Its table, as the files of published numbers name it.
        rows: Our row's label: the paper's row.
        columns: Our column's header: the paper's column. Both have the same sense, in that larger
            is better in both or in neither.
        comparable: Whether our setting and unit are the paper's, so that its number is one more
            run. Otherwise only the order of its rows is set against ours.
        reason: Why it is not comparable, or what may still differ where it is.
        seeds: The experiment's seed design, which decides the variance of a difference.
        not_run: The paper's row: why it is not run. Every row of the table that has a number in
            one of the columns is either run or named here.
    """

    paper: str
    table: str
    rows: Mapping[str, str]
    columns: Mapping[str, str]
    comparable: bool
    reason: str
    seeds: SeedDesign
    not_run: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse rows and columns that the paper's table has not, and rows that are passed over."""
        numbers = self.numbers
        if not self.comparable and not self.reason.strip():
            raise ImpossibleSettingError(f"{WHERE}.reason is empty: say why it is not comparable.")
        if not self.rows or not self.columns:
            raise ImpossibleSettingError(f"{WHERE} names no rows or no columns: give both.")
        rows = list(dict.fromkeys(x.row for x in numbers))
        _refuse_unknown(self.rows.values(), rows, f"{WHERE}.rows", f"row of table {self.table}")
        _refuse_unknown(self.not_run, rows, f"{WHERE}.not_run", f"row of table {self.table}")
        columns = list(dict.fromkeys(x.column for x in numbers))
        where = f"{WHERE}.columns"
        _refuse_unknown(self.columns.values(), columns, where, f"column of table {self.table}")
        for row in self.not_run:
            if row in self.rows.values():
                raise ImpossibleSettingError(
                    f"{WHERE} says both that '{row}' is run and that it is not: keep one."
                )
        shown = {x.row for x in numbers if x.column in self.columns.values()}
        passed = [x for x in rows if x in shown - {*self.rows.values(), *self.not_run}]
        if passed:
            raise ImpossibleSettingError(
                f"{WHERE} passes over {'; '.join(passed)} of table {self.table}: map each in rows, "
                "or say in not_run why it is not run."
            )

    @property
    def numbers(self) -> tuple[PublishedNumber, ...]:
        """The numbers of the paper's table.

        Raises:
            ImpossibleSettingError: an unknown paper or table.
        """
        of_paper = published_numbers(self.paper)
        tables = list(dict.fromkeys(x.table for x in of_paper))
        _refuse_unknown([self.table], tables, f"{WHERE}.table", f"table of arXiv {self.paper}")
        return tuple(x for x in of_paper if x.table == self.table)

    def number(self, row: str, header: str) -> PublishedNumber | None:
        """What the paper prints for its row in the column beside ours; None where nothing."""
        for x in self.numbers:
            if (x.row, x.column) == (row, self.columns[header]):
                return x
        return None

    @property
    def source(self) -> str:
        """Table and paper in words."""
        named = self.table if not self.table[0].isdigit() else f"Table {self.table}"
        return f"{named} of arXiv:{self.paper}"


def check_published_rows(
    specification: PublishedSpecification | None, labels: Sequence[str]
) -> None:
    """Refuse rows of ours that the experiment has not.

    Raises:
        ImpossibleSettingError: names the row.
    """
    if specification is not None:
        ours = list(dict.fromkeys(labels))
        _refuse_unknown(specification.rows, ours, f"{WHERE}.rows", "row of the experiment")


def _refuse_unknown(names: Iterable[str], known: Sequence[str], where: str, what: str) -> None:
    for name in names:
        if name not in known:
            raise ImpossibleSettingError(
                f"{where} names '{name}', which is no {what}: choose among {'; '.join(known)}."
            )
