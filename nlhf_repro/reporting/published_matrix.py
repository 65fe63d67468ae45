"""What a table file says about a paper's matrix of preferences that stands beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import final

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.reporting.published_numbers import PublishedNumber, published_numbers
from nlhf_repro.reporting.round_robin_family import REFERENCE

WHERE = "table.published_matrix"
PERCENT, PROBABILITY = "%", "probability"


@final
@dataclass(frozen=True)
class PublishedMatrix:
    """Which entrants of a paper's matrix stand beside which rows of ours.

    Only the order is compared: which of two is preferred to the other.

    Attributes:
        paper: arXiv identifier, a text.
        table: Its table, as the files of published numbers name it.
        rows: Our row's label, or `the reference`: the paper's names of it. Several are checkpoints
            of one method, or a row and a column that are called differently.
        reason: Why the numbers are not comparable.
        not_run: The paper's name: why it is not run. Every row and column of the table is either
            run or named here.
        half_width: Of the paper's own intervals, as a probability: what it prints within so much of
            1/2 orders nothing.
    """

    paper: str
    table: str
    rows: Mapping[str, Sequence[str]]
    reason: str
    not_run: Mapping[str, str] = field(default_factory=dict)
    half_width: float = 0.0

    def __post_init__(self) -> None:
        """Refuse names that the paper's table has not, and those that are passed over."""
        known = list(dict.fromkeys(name for x in self.numbers for name in (x.row, x.column)))
        named = [name for names in self.rows.values() for name in names]
        for key, names in (("rows", named), ("not_run", self.not_run)):
            for name in names:
                if name not in known:
                    raise ImpossibleSettingError(
                        f"{WHERE}.{key} names '{name}', which is no row or column of table "
                        f"{self.table}: choose among {'; '.join(known)}."
                    )
        twice = [x for x in known if [*named, *self.not_run].count(x) > 1]
        if twice:
            raise ImpossibleSettingError(f"{WHERE} names '{twice[0]}' twice: keep one.")
        passed = [x for x in known if x not in named and x not in self.not_run]
        if passed:
            raise ImpossibleSettingError(
                f"{WHERE} passes over {'; '.join(passed)} of table {self.table}: map each in rows, "
                "or say in not_run why it is not run."
            )
        if len(self.rows) < 2 or not self.reason.strip() or not 0 <= self.half_width < 0.5:
            raise ImpossibleSettingError(
                f"{WHERE} needs two rows, a reason why it is not comparable, and a half_width from "
                "0 to below 0.5: give them."
            )

    @property
    def numbers(self) -> tuple[PublishedNumber, ...]:
        """The numbers of the paper's table.

        Raises:
            ImpossibleSettingError: an unknown paper or table.
        """
        of_paper = published_numbers(self.paper)
        found = tuple(x for x in of_paper if x.table == self.table)
        if not found:
            tables = "; ".join(dict.fromkeys(x.table for x in of_paper))
            raise ImpossibleSettingError(
                f"{WHERE}.table names '{self.table}', which is no table of arXiv {self.paper}: "
                f"choose among {tables}."
            )
        return found

    def printed(self, first: str, second: str) -> tuple[list[PublishedNumber], list[Decimal]]:
        """What the paper prints of our first label against the second.

        Returns:
            Its numbers, those of the first over the second before those the other way round, and
            the probabilities that the first is preferred which they say.

        Raises:
            ImpossibleSettingError: a number is neither a percentage nor a probability.
        """
        one, other = self.rows[first], self.rows[second]
        forward = [x for x in self.numbers if x.row in one and x.column in other]
        backward = [x for x in self.numbers if x.row in other and x.column in one]
        said = [_probability(x) for x in forward] + [1 - _probability(x) for x in backward]
        return [*forward, *backward], said


def _probability(number: PublishedNumber) -> Decimal:
    value = Decimal(number.value)
    if number.unit == PERCENT:
        return value.scaleb(-2)
    if number.unit.startswith(PROBABILITY):
        return value
    raise ImpossibleSettingError(
        f"{WHERE}: '{number.row}' against '{number.column}' is in {number.unit}, which is no "
        "preference: give a table of probabilities or percentages."
    )


def check_published_matrix(matrix: PublishedMatrix | None, labels: Sequence[str]) -> None:
    """Refuse rows of ours that the experiment has not.

    Raises:
        ImpossibleSettingError: names the row.
    """
    if matrix is None:
        return
    known = [*dict.fromkeys(labels), REFERENCE]
    for label in matrix.rows:
        if label not in known:
            raise ImpossibleSettingError(
                f"{WHERE}.rows names '{label}', which is no row of the experiment: choose among "
                f"{'; '.join(known)}."
            )
