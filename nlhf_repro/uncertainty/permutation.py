"""An exact test of small paired problems: the signs of the differences are exchangeable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty.engine import checked_matrix


@final
@dataclass(frozen=True)
class SignFlips:
    """Two-sided test that the differences are symmetric about 0."""

    p_value: float  # NaN for a single cluster
    smallest_p_value: float  # that this many clusters and flips can give
    exact: bool  # all sign patterns were counted
    clusters: int
    note: str  # what a table has to print beside the number


def sign_flip_test(
    differences: ArrayLike, rng: np.random.Generator, permutations: int = 9999
) -> SignFlips:
    """Share of sign patterns whose mean is at least as far from 0 as the one observed.

    Exact where all 2^clusters patterns number at most `permutations`, otherwise over that many
    random ones. Differences must be independent clusters of one checkpoint each, or games; it says
    nothing about further training seeds.

    Args:
        differences: [clusters], first minus second.
        rng: Draws patterns where they are too many to count.
        permutations: At least 1.

    Raises:
        ValueError: differences are no non-empty list of finite numbers, or permutations below 1.
    """
    from scipy import stats

    values = checked_matrix(np.asarray(differences, dtype=np.float64)[None], "differences")[0]
    if permutations < 1:
        raise ValueError(f"permutations is {permutations}: draw at least one pattern.")
    clusters = len(values)
    patterns = 2.0**clusters
    exact = patterns <= permutations
    if clusters == 1:
        return SignFlips(float("nan"), 1.0, exact, 1, "not estimable: a single cluster")
    found = stats.permutation_test(
        (values,),
        _mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=permutations,
        batch=max(1, 10_000_000 // clusters),
        rng=rng,
    )
    smallest = min(2 / (patterns if exact else permutations + 1), 1.0)
    impossible = smallest > 0.05
    return SignFlips(
        p_value=float(found.pvalue),
        smallest_p_value=smallest,
        exact=exact,
        clusters=clusters,
        note=f"{clusters} clusters cannot reach p = .05" if impossible else "",
    )


def _mean(values: Array, axis: int) -> Array:
    return np.asarray(values.mean(axis=axis))
