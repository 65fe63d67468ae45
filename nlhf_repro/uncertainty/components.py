"""Sums of squares behind the variance engine, over all clusters or within fixed strata."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlhf_repro.interfaces import Array

Blocks = tuple[NDArray[np.intp], ...]  # the columns of every stratum


@dataclass(frozen=True)
class Runs:
    """One random side: K row means (means over strata of the stratum means) and their noise."""

    seeds: int
    row_variance: float
    row_noise: float  # variance of a row mean by noise: sum over strata of MS_int / n_c, over C^2
    interaction: float  # mean over strata of MS_int


@dataclass(frozen=True)
class Columns:
    """The column means: their mean over strata, its variance V_prompt and degrees of freedom."""

    clusters: int
    strata: int
    mean: float
    variance: float  # V_prompt; NaN where a stratum has a single cluster
    freedom: float
    spread: float  # mean over strata of the variance of column means


def blocks_of(strata: Sequence[Hashable] | None, clusters: int) -> Blocks:
    """The columns of every stratum, in order of first appearance; None: all are one stratum.

    Raises:
        ValueError: there is not one label for every cluster.
    """
    if strata is None:
        return (np.arange(clusters),)
    if len(strata) != clusters:
        raise ValueError(
            f"strata has {len(strata)} labels for {clusters} clusters: name the stratum of every "
            "cluster, in the order of the columns."
        )
    columns: dict[Hashable, list[int]] = {}
    for column, label in enumerate(strata):
        columns.setdefault(label, []).append(column)
    return tuple(np.array(each) for each in columns.values())


def column_moments(columns: Array, blocks: Blocks) -> Columns:
    """Moments of column means [clusters]; Satterthwaite's degrees of freedom over strata."""
    parts = [columns[block] for block in blocks]
    estimable = all(len(part) > 1 for part in parts)
    spreads = [float(part.var(ddof=1)) if estimable else float("nan") for part in parts]
    shares = [
        spread / len(part) / len(parts) ** 2 for spread, part in zip(spreads, parts, strict=True)
    ]
    variance = sum(shares)
    freedom = len(columns) - float(len(parts)) if estimable else float("nan")
    if len(parts) > 1 and variance > 0:
        ratios = [(s / variance) ** 2 / (len(p) - 1) for s, p in zip(shares, parts, strict=True)]
        freedom = 1 / sum(ratios)
    return Columns(
        clusters=len(columns),
        strata=len(parts),
        mean=float(np.mean([part.mean() for part in parts])),
        variance=variance,
        freedom=freedom,
        spread=float(np.mean(spreads)),
    )


def row_means(values: Array, blocks: Blocks) -> Array:
    """Mean over strata of every row's stratum means, [seeds]."""
    means = [values[:, block].mean(axis=1) for block in blocks]
    return np.asarray(np.mean(means, axis=0), dtype=np.float64)


def residuals(values: Array) -> Array:
    """Z - row mean - column mean + grand mean, [seeds, clusters]."""
    rows, columns = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    return np.asarray(values - rows - columns + values.mean(), dtype=np.float64)


def run_moments(values: Array, blocks: Blocks) -> Runs:
    """NaN moments where there is one seed, or one cluster in a stratum."""
    seeds = len(values)
    if seeds == 1 or any(len(block) == 1 for block in blocks):
        return Runs(seeds, float("nan"), float("nan"), float("nan"))
    squares = [
        float((residuals(values[:, block]) ** 2).sum()) / ((seeds - 1) * (len(block) - 1))
        for block in blocks
    ]
    noise = sum(s / len(b) for s, b in zip(squares, blocks, strict=True)) / len(blocks) ** 2
    variance = float(row_means(values, blocks).var(ddof=1))
    return Runs(seeds, variance, noise, float(np.mean(squares)))
