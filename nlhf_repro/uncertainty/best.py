"""Which algorithms a table may set in bold: the best, and all that are not shown to be worse."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty.engine import difference, estimate
from nlhf_repro.uncertainty.max_t import contrast_correlation, max_t
from nlhf_repro.uncertainty.records import Difference, Level


@final
@dataclass(frozen=True)
class BestSet:
    """Algorithms that are not shown to be worse than another one, in the order given."""

    best: int  # largest estimate
    members: tuple[bool, ...]
    p_values: tuple[float, ...]  # adjusted, of being as good as all others; 1 for the best
    confidence: float
    level: Level  # checkpoint: some algorithm has one seed, so bold says nothing of algorithms
    note: str  # what a table has to print beside the bold face


def best_set(
    matrices: Sequence[ArrayLike],
    rng: np.random.Generator,
    matched: bool = False,
    deterministic: bool | Sequence[bool] = False,
    confidence: float = 0.95,
    nested: bool = False,
    strata: Sequence[Hashable] | None = None,
) -> BestSet:
    """Compare all pairs of algorithms, larger being better, and adjust by max-T.

    An algorithm is left out if some other one is better with an adjusted p-value below 1 -
    confidence. The probability that any algorithm as good as the best is left out is at most 1 -
    confidence; Hsu's one-sided comparison with the best has smaller critical values, but keeps
    only one given algorithm of several equal ones with that certainty. A difference that is not
    estimable leaves nobody out.

    Args:
        matrices: Z [seeds, clusters] of every algorithm, on the same clusters; give minus Z where
            smaller is better.
        rng: For the simulation of max-T.
        matched: As in `difference`.
        deterministic: As in `estimate`, one flag for all or one for each algorithm.
        confidence: In (0, 1).
        nested: As in `estimate`.
        strata: As in `estimate`.

    Raises:
        ValueError: fewer than two algorithms, or as in `difference` and `contrast_correlation`.
    """
    tables = [np.asarray(each, dtype=np.float64) for each in matrices]
    if len(tables) < 2:
        raise ValueError("Give the matrices of at least two algorithms: one alone is the best.")
    flags = [deterministic] * len(tables) if isinstance(deterministic, bool) else deterministic
    pairs = list(combinations(range(len(tables)), 2))
    found = [
        difference(tables[i], tables[j], matched, (flags[i], flags[j]), confidence, nested, strata)
        for i, j in pairs
    ]
    adjusted = np.full(len(pairs), np.nan)
    if not all(np.isnan(one.p_value) for one in found):
        contrasts = np.zeros((len(pairs), len(tables)))
        for row, (i, j) in enumerate(pairs):
            contrasts[row, i], contrasts[row, j] = 1, -1
        correlation = contrast_correlation(tables, contrasts, matched, nested, strata)
        family = [one.p_value for one in found]
        adjusted = max_t(family, correlation, rng, confidence).p_values
    best = int(np.argmax([estimate(table, strata=strata).estimate for table in tables]))
    return _set(best, len(tables), pairs, found, adjusted, confidence)


def _set(
    best: int,
    algorithms: int,
    pairs: Sequence[tuple[int, int]],
    found: Sequence[Difference],
    adjusted: Array,
    confidence: float,
) -> BestSet:
    worse = np.ones(algorithms)
    for (i, j), one, p_value in zip(pairs, found, adjusted, strict=True):
        loser = j if one.estimate > 0 else i
        worse[loser] = np.fmin(worse[loser], p_value)
    level: Level = "algorithm" if all(one.level == "algorithm" for one in found) else "checkpoint"
    unknown = any(np.isnan(one.standard_error) for one in found)
    notes = [one.note for one in found if one.note]
    note = "not estimable: nobody is left out" if unknown else (notes[0] if notes else "")
    return BestSet(
        best=best,
        members=tuple(bool(p >= 1 - confidence) for p in worse),
        p_values=tuple(float(p) for p in worse),
        confidence=confidence,
        level=level,
        note=note,
    )
