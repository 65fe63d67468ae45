"""Every algorithm against every other: one family, ranks that cover, groups not told apart."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty.engine import difference
from nlhf_repro.uncertainty.max_t import contrast_correlation, max_t
from nlhf_repro.uncertainty.multiplicity import holm
from nlhf_repro.uncertainty.records import Difference

MOST_FOR_MAX_T = 20  # algorithms: 190 tests


@final
@dataclass(frozen=True)
class Pairwise:
    """All differences, first minus second, with p-values adjusted over all of them.

    `ranks` are simultaneous: 1 + the algorithms shown to be better, to the number of algorithms -
    those shown to be worse. All true ranks lie in them wherever no difference is shown in the wrong
    direction, which max-T's simultaneous intervals make sure of with the confidence. Above 20
    algorithms Holm stands in for max-T; it controls false differences, and that it controls their
    direction too is our assumption. `groups` are the largest sets of which no two are told apart,
    () above 20 algorithms.
    """

    pairs: tuple[tuple[int, int], ...]
    differences: tuple[Difference, ...]
    holm: Array  # [pairs], NaN where not estimable
    max_t: Array | None  # [pairs]; None above 20 algorithms
    ranks: tuple[tuple[int, int], ...]  # [algorithms], 1 for the largest mean
    groups: tuple[tuple[int, ...], ...]
    confidence: float

    @property
    def adjusted(self) -> Array:
        """The p-values behind ranks and groups, [pairs]."""
        return self.holm if self.max_t is None else self.max_t


def pairwise(
    matrices: Sequence[ArrayLike],
    rng: np.random.Generator,
    confidence: float = 0.95,
    strata: Sequence[Hashable] | None = None,
) -> Pairwise:
    """Compare all pairs of two or more algorithms with independent seeds.

    Two that differ by the same number on every cluster have no p-value: their spread is unknown.

    Args:
        matrices: Z [seeds, clusters] of every algorithm, on the same clusters, larger being better.
        rng: For the simulation of max-T.
        confidence: Of the intervals, and of all ranks at once, in (0, 1).
        strata: As in `estimate`.

    Raises:
        ValueError: as in `difference` and `contrast_correlation`.
    """
    tables = [np.asarray(each, dtype=np.float64) for each in matrices]
    pairs = tuple(combinations(range(len(tables)), 2))
    found = tuple(
        difference(tables[i], tables[j], confidence=confidence, strata=strata) for i, j in pairs
    )
    raw = [one.p_value if one.has_interval else float("nan") for one in found]
    simulated = None
    if len(tables) <= MOST_FOR_MAX_T and not np.isnan(raw).all():
        contrasts = np.zeros((len(pairs), len(tables)))
        for row, (i, j) in enumerate(pairs):
            contrasts[row, i], contrasts[row, j] = 1, -1
        correlation = contrast_correlation(tables, contrasts, strata=strata)
        simulated = max_t(raw, correlation, rng, confidence).p_values
    stepwise = holm(raw)
    shown = (stepwise if simulated is None else simulated) < 1 - confidence
    worse = np.zeros((len(tables), len(tables)), dtype=bool)  # [winner, loser]
    for (i, j), one, significant in zip(pairs, found, shown, strict=True):
        if significant:
            worse[(i, j) if one.estimate > 0 else (j, i)] = True
    below, above = worse.sum(axis=1), worse.sum(axis=0)
    return Pairwise(
        pairs=pairs,
        differences=found,
        holm=stepwise,
        max_t=simulated,
        ranks=tuple(
            (1 + int(up), len(tables) - int(down)) for up, down in zip(above, below, strict=True)
        ),
        groups=() if simulated is None else _groups(worse | worse.T),
        confidence=confidence,
    )


def _groups(told_apart: NDArray[np.bool_]) -> tuple[tuple[int, ...], ...]:
    """Largest sets without a pair that is told apart (insert and absorb, Piepho 2004)."""
    size = len(told_apart)
    sets = [frozenset(range(size))]
    for i, j in combinations(range(size), 2):
        if told_apart[i, j]:
            split = [part for each in sets for part in _without(each, i, j)]
            sets = [each for each in set(split) if not any(each < other for other in split)]
    return tuple(sorted(tuple(sorted(each)) for each in sets))


def _without(group: frozenset[int], i: int, j: int) -> list[frozenset[int]]:
    return [group - {i}, group - {j}] if i in group and j in group else [group]
