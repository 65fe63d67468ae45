"""Adjustment of p-values for a family of tests."""

from __future__ import annotations

from collections.abc import Callable

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
    return _stepwise(p_values, _holm)


def benjamini_hochberg(p_values: ArrayLike) -> Array:
    """Benjamini-Hochberg adjusted p-values of one family [tests], in the order given.

    Those at or below q have an expected share of false discoveries of at most q, if the tests are
    independent or positively dependent (Benjamini and Hochberg 1995): for families labelled
    exploratory. NaN (not estimable) stays NaN and is not counted in the family.

    Raises:
        ValueError: not one-dimensional, or a p-value outside [0, 1].
    """
    return _stepwise(p_values, _benjamini_hochberg)


def checked_family(p_values: ArrayLike) -> Array:
    """`p_values` as a float list [tests], NaN allowed.

    Raises:
        ValueError: not one-dimensional, or a p-value outside [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(
            f"p_values has shape {values.shape}: give the family as one list of numbers."
        )
    outside = ~np.isnan(values) & ~((values >= 0) & (values <= 1))
    if outside.any():
        index = int(outside.argmax())
        raise ValueError(f"p_values[{index}] is {values[index]}: a p-value lies between 0 and 1.")
    return values


def _stepwise(p_values: ArrayLike, adjust: Callable[[Array], Array]) -> Array:
    """`adjust` of the known p-values in ascending order, put back in the order given."""
    values = checked_family(p_values)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    adjusted = np.full(values.shape, np.nan)
    if len(order):
        adjusted[order] = np.minimum(adjust(values[order]), 1.0)
    return adjusted


def _holm(ascending: Array) -> Array:
    tests = len(ascending)
    return np.asarray(np.maximum.accumulate(ascending * np.arange(tests, 0, -1)))


def _benjamini_hochberg(ascending: Array) -> Array:
    tests = len(ascending)
    scaled = ascending * (tests / np.arange(1, tests + 1))
    return np.asarray(np.minimum.accumulate(scaled[::-1])[::-1])
