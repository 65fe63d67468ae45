"""How far a judge agrees with the oracle that policies were trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def agreement(judged: ArrayLike, true: ArrayLike) -> float:
    """The share of pairs on which both prefer the same answer; NaN without pairs.

    Both are shares of the first answer in [0, 1], [pairs]. Where one of them is 1/2 the pair counts
    half.

    Raises:
        ValueError: the arguments differ in length, or one holds something else than such shares.
    """
    one, other = (np.asarray(each, dtype=np.float64) for each in (judged, true))
    if one.shape != other.shape or one.ndim != 1:
        raise ValueError(
            f"{one.shape} verdicts are compared with {other.shape} answers: give one a pair."
        )
    if not all(((each >= 0) & (each <= 1)).all() for each in (one, other)):
        raise ValueError(
            "a share of the first answer is no number from 0 to 1: leave the pair out."
        )
    same = np.sign(one - 0.5) * np.sign(other - 0.5)
    return float((1 + same).mean() / 2) if len(same) else float("nan")
