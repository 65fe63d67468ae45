"""MT-Bench as FastChat's `show_result.py` prints it: for parity, never for a claim.

Means over rows, whatever they are: ratings out of range count, repeated rows count twice, missing
ones not at all, and there is no interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nlhf_repro.benchmarks.mt_bench.ratings import Rating, models_of


@final
@dataclass(frozen=True)
class UpstreamMeans:
    """The three means that upstream prints, NaN where it prints no line, and their row counts."""

    model: str
    judge: str
    first_turn: float
    second_turn: float
    average: float  # of all rows left, not of the two turns' means
    rows: int


def upstream_means(ratings: Sequence[Rating]) -> tuple[UpstreamMeans, ...]:
    """Upstream's table by model; rows with -1 or without a number are dropped, as there."""
    table = []
    for model in models_of(ratings):
        rows = [each for each in ratings if each.model == model]
        kept = [(x.turn, x.recorded) for x in rows if x.recorded is not None and x.recorded != -1]
        first, second = ([score for turn, score in kept if turn == want] for want in (1, 2))
        table.append(
            UpstreamMeans(
                model=model,
                judge=rows[0].judge,
                first_turn=_mean(first),
                second_turn=_mean(second),
                average=_mean(first + second),
                rows=len(kept),
            )
        )
    return tuple(table)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
