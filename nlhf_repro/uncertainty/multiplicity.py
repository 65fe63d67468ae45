"""Adjustment of p-values for a family of tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nlhf_repro.interfaces import Array


def holm(p_values: ArrayLike) -> Array:
    """Holm's adjusted p-values of one family [tests], in the order given.

    Controls the family-wise error under any dependence (Holm 1979). NaN (not estimable) stays NaN
    and is not counted in the family.

    Raises:
        ValueError: not one-dimensional, or a p-value outside [0, 1].
    """
    from statsmodels.stats.multitest import multipletests

    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(
            f"p_values has shape {values.shape}: give the family as one list of numbers."
        )
    known = ~np.isnan(values)
    outside = known & ~((values >= 0) & (values <= 1))
    if outside.any():
        index = int(outside.argmax())
        raise ValueError(f"p_values[{index}] is {values[index]}: a p-value lies between 0 and 1.")
    adjusted = np.full(values.shape, np.nan)
    if known.any():
        adjusted[known] = multipletests(values[known], method="holm")[1]
    return adjusted
