"""Any entry of the ledger, and estimates that are sums of entries with stated weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import final

from nlhf_repro.interfaces import Array, ImpossibleSettingError, Ledger, RowRecord
from nlhf_repro.reporting.cells import Cell, RefusedCell
from nlhf_repro.reporting.numbers import plain, rounded_count
from nlhf_repro.reporting.series import training_noun

ENTRIES = tuple(field.name for field in fields(Ledger))


@final
@dataclass(frozen=True)
class LedgerEntry:
    """One entry of the ledger at the end of training: the mean over seeds, and their range.

    Attributes:
        header: The column's title.
        entry: A field of `Ledger`, such as sampled_tokens.
    """

    header: str
    entry: str

    def __post_init__(self) -> None:
        """Refuse what no ledger has."""
        _check_entries(self.header, [self.entry])

    def cell(self, row: RowRecord, confidence: float) -> Cell:
        """6,912 where all seeds agree, else 812,346 (810,000 to 814,000)."""
        counts = _entry(row, self.entry)
        mean, low, high = float(counts.mean()), float(counts.min()), float(counts.max())
        text = rounded_count(mean)
        if low != high:
            text += f" ({rounded_count(low)} to {rounded_count(high)})"
        return Cell(text, mean, seeds=len(counts))

    def explanation(self, confidence: float, clusters: str = "games") -> str:
        """What the number is."""
        return (
            f"{self.entry.replace('_', ' ')} of a training {training_noun(clusters)} at the end of "
            "training, counted; where runs differ the mean over runs, to a whole number, and range"
        )


@final
@dataclass(frozen=True)
class LedgerEstimate:
    """The sum of entries of the ledger times stated weights: an estimate of FLOPs, or of money.

    The counts are exact, the weights are the table's: what they leave out, the number leaves out.

    Attributes:
        header: The column's title.
        weights: By entry of `Ledger`, what one of it counts for; at least 0.
        unit: What the sum is, such as FLOPs.
    """

    header: str
    weights: Mapping[str, float]
    unit: str

    def __post_init__(self) -> None:
        """Refuse what no ledger has, and weights that would subtract."""
        _check_entries(self.header, self.weights)
        if not self.weights or min(self.weights.values()) < 0:
            raise ImpossibleSettingError(
                f"Column '{self.header}' has weights {dict(self.weights)}: give one at least, none "
                "of them below 0."
            )

    def cell(self, row: RowRecord, confidence: float) -> Cell:
        """5.31e12, the mean over seeds."""
        total = sum(weight * _entry(row, name).mean() for name, weight in self.weights.items())
        return Cell(plain(float(total), 3), float(total), seeds=len(row.seeds))

    def explanation(self, confidence: float, clusters: str = "games") -> str:
        """The sum."""
        terms = " + ".join(
            f"{weight:g} x {name.replace('_', ' ')}" for name, weight in self.weights.items()
        )
        return f"estimated {self.unit} of a training {training_noun(clusters)}: {terms}"


def _entry(row: RowRecord, name: str) -> Array:
    """The entry of every finished seed, [seeds]."""
    if name not in row.ledger or not len(row.ledger[name]):
        raise RefusedCell("not recorded")
    return row.ledger[name]


def _check_entries(header: str, names: Iterable[str]) -> None:
    unknown = [name for name in names if name not in ENTRIES]
    if unknown:
        raise ImpossibleSettingError(
            f"Column '{header}' reads {unknown[0]}, which no ledger has: choose from "
            f"{', '.join(ENTRIES)}."
        )
