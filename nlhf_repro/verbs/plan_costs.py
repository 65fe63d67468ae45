"""What the runs of a plan would cost, by runs that are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlhf_repro.interfaces import ImpossibleSettingError, RowRecord
from nlhf_repro.validation import suggestion

_MINUTE, _HOUR = 60.0, 3600.0


@dataclass(frozen=True)
class RunCosts:
    """Means of one training run, measured; counts are of a training problem."""

    source: str  # EXPERIMENT:ROW
    runs: int
    seconds: float
    comparisons: float
    preference_evaluations: float

    def note(self, seeds: Sequence[int]) -> str:
        """One run's cost, and that of a comparison of two algorithms with K runs each."""
        counts = [
            f"{value:.0f} {what}"
            for value, what in (
                (self.comparisons, "comparisons"),
                (self.preference_evaluations, "preference evaluations"),
            )
            if value
        ]
        each = ", ".join([duration(self.seconds), *counts])
        plans = "; ".join(f"K = {k}: {duration(2 * k * self.seconds)}" for k in seeds)
        problem = " (counts: of a training problem)" if counts else ""
        return (
            f"A run as {self.source} costs {each}{problem}, the mean of {self.runs} runs on their "
            f"machines, training only; both algorithms together: {plans}."
        )


def measured_costs(row: str, config_dir: str | None) -> RunCosts:
    """The costs of EXPERIMENT:ROW's complete runs.

    Raises:
        ImpossibleSettingError: no such experiment or row, or none of its runs is complete.
    """
    from nlhf_repro.verbs.experiment import load_experiment

    experiment, colon, label = row.partition(":")
    if not (experiment and colon and label):
        raise ImpossibleSettingError(f"--costs-of {row!r} is no EXPERIMENT:ROW: write it so.")
    records = {each.label: each for each in load_experiment(experiment, [], config_dir).records()}
    if label not in records:
        raise ImpossibleSettingError(
            f"{experiment} has no row {label!r}: {suggestion(label, records)}"
        )
    return costs_of(row, records[label])


def costs_of(source: str, record: RowRecord) -> RunCosts:
    """Means over the row's complete runs.

    Raises:
        ImpossibleSettingError: there is none.
    """
    if not record.seeds:
        raise ImpossibleSettingError(
            f"{source} has no complete run, so its costs are not known: run nlhf reproduce "
            f"{source.partition(':')[0]}, or drop --costs-of."
        )
    return RunCosts(
        source=source,
        runs=len(record.seeds),
        seconds=float(np.mean(record.measured["seconds"])),
        comparisons=float(record.comparisons[-1]),
        preference_evaluations=float(record.preference_evaluations[-1]),
    )


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, to two or three digits."""
    if seconds < 2 * _MINUTE:
        return f"{_digits(seconds)} s"
    if seconds < 2 * _HOUR:
        return f"{_digits(seconds / _MINUTE)} minutes"
    return f"{seconds / _HOUR:.3g} hours"


def _digits(number: float) -> str:
    """Two digits, and all of those before the point."""
    return f"{number:.2g}" if number < 99.5 else f"{number:.0f}"
