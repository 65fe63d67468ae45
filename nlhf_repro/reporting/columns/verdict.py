"""Whether runs converge, stall or cycle, by a stated rule."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import final

import numpy as np
from numpy.typing import NDArray

from nlhf_repro.interfaces import Array, ImpossibleSettingError, RowRecord
from nlhf_repro.reporting.cells import Cell
from nlhf_repro.reporting.series import series

VERDICTS = ("converges", "stalls", "still falls", "rises", "cycles")


@final
@dataclass(frozen=True)
class Verdict:
    """Counts of the runs (seeds x games) that converge, stall, still fall, rise or cycle.

    The rule reads the last `window` share of the recorded points. A run converges if it ends at or
    below `threshold` and has stayed there since it got there. Otherwise let `rise` and `fall` be
    the largest factors by which a later value of the window exceeds an earlier one and the
    reverse: it cycles if both exceed `factor`, rises or still falls if one does, stalls if none.
    Sampling noise can look like a cycle.

    Attributes:
        header: The column's title.
        benchmark: A benchmark of nonnegative values; those below its floor count as the floor.
        iterate: last or average.
        window: Share of the recorded points, in (0, 1].
        threshold: In the benchmark's unit.
        factor: Above 1.
    """

    header: str
    benchmark: str
    iterate: str
    window: float
    threshold: float
    factor: float

    def __post_init__(self) -> None:
        """Refuse a rule that decides nothing."""
        if not 0 < self.window <= 1 or not self.factor > 1:
            raise ImpossibleSettingError(
                f"Column '{self.header}' has window {self.window} and factor {self.factor}: give a "
                "window above 0 and at most 1, and a factor above 1."
            )

    def cell(self, row: RowRecord, confidence: float) -> Cell:
        """Such as: converges 97/100, cycles 3/100."""
        values = series(row, self.benchmark, self.iterate)
        points = max(ceil(self.window * values.shape[-1]), 2)
        floor = max(row.floors.get(self.benchmark, 0.0), float(np.finfo(np.float64).tiny))
        kinds = classify(np.maximum(values[..., -points:], floor), self.threshold, self.factor)
        counts = {name: int((kinds == index).sum()) for index, name in enumerate(VERDICTS)}
        found = {name: count for name, count in counts.items() if count}
        text = ", ".join(f"{name} {count}/{kinds.size}" for name, count in found.items())
        return Cell(text, seeds=values.shape[0], clusters=values.shape[1])

    def explanation(self, confidence: float, clusters: str = "games") -> str:
        """The rule."""
        return (
            f"{self.benchmark} ({self.iterate} iterate) of each run over the last "
            f"{self.window:.0%} of the recorded points: converges if it ends at or below "
            f"{self.threshold:g} and stayed there once there; else cycles if it both rises and "
            f"falls by more than a factor {self.factor:g}, rises or still falls if only one, "
            "stalls if neither; sampling noise can look like a cycle"
        )


def classify(values: Array, threshold: float, factor: float) -> NDArray[np.int64]:
    """Index into VERDICTS of each run's window of positive values, [seeds, games, points]."""
    below = values <= threshold
    settled = below[..., -1] & ~(below[..., :-1] & ~below[..., 1:]).any(axis=-1)
    rises = (values / np.minimum.accumulate(values, axis=-1)).max(axis=-1) > factor
    falls = (np.maximum.accumulate(values, axis=-1) / values).max(axis=-1) > factor
    kinds = np.select([settled, rises & falls, rises, falls], [0, 4, 3, 2], default=1)
    return np.asarray(kinds, dtype=np.int64)
