"""The Nash mixture of an experiment's rows, and how far the records determine it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from typing import final

import numpy as np

from nlhf_repro.games import (
    equilibrium_share_bounds,
    exploitability_upper_bound,
    nash_equilibrium,
)
from nlhf_repro.interfaces import Array, RoundRobinRecord
from nlhf_repro.reporting.cells import CHECKPOINT, Cell
from nlhf_repro.reporting.numbers import share_text
from nlhf_repro.reporting.round_robin_family import Family, lower_bounds


@final
@dataclass(frozen=True)
class NashMixture:
    """The symmetric equilibrium of the rows' mean preferences; the reference has no share.

    `least` and `most` bound the shares of every equilibrium of every matrix of preferences within
    the simultaneous intervals; NaN where there are no such intervals. `gain` bounds by how much
    more than 1/2 a row, or the reference, is preferred to the mixture `shares`.
    """

    shares: Array  # [rows], an estimate
    least: Array  # [rows]
    most: Array  # [rows]
    gain: float
    checkpoint: bool  # of these policies, without training variance


def nash_mixture(record: RoundRobinRecord, family: Family, level: float) -> NashMixture:
    """The mixture of a record, with what its family's intervals say of it.

    No resampling: equilibria jump where preferences pass 1/2, where a bootstrap does not cover, and
    few seeds bear none. Bounds follow from the intervals of the preferences alone, so that they
    hold, all at once, whenever these do: whichever equilibrium is meant, if there are several, and
    whatever has been chosen on the same data. Measured on a cycle with edges of .05 and on a game
    with two equilibria (100 simulations; 60 prompts, SD of .1 between prompts and .02 between
    seeds): they hold in 98 % or more with 3 and with 5 seeds, where a share's bounds are .8 to 1
    and .5 to .8 apart.
    """
    shares, rows = nash_shares(record), len(record.labels)
    lower = lower_bounds(record, family, level)
    checkpoint = len(record.seeds) == 1 and record.clusters == "prompts"
    if lower is None:
        unknown = np.full(rows, nan)
        return NashMixture(shares, unknown, unknown, nan, checkpoint)
    least, most = equilibrium_share_bounds(lower[:rows, :rows])
    gain = exploitability_upper_bound(lower, np.append(shares, 0.0))
    return NashMixture(
        shares, np.minimum(least, shares), np.maximum(most, shares), gain, checkpoint
    )


def nash_shares(record: RoundRobinRecord) -> Array:
    """The Nash equilibrium of the rows' mean preferences, [rows]; the reference is left out."""
    rows = len(record.labels)
    mean = record.wins[:, :rows, :rows].mean(axis=(0, -1))
    if rows == 1:
        return np.ones(1)
    return nash_equilibrium((mean + 1 - mean.T) / 2)


def share_cell(mixture: NashMixture, row: int) -> Cell:
    """A row's share with its bounds."""
    if row >= len(mixture.shares):
        return Cell("-")
    share, low, high = (float(x[row]) for x in (mixture.shares, mixture.least, mixture.most))
    if np.isnan(low):
        return Cell(_text(share), share)
    cell = Cell(f"{_text(share)} [{_text(low)}, {_text(high)}]", share, low, high)
    return cell.marked(CHECKPOINT) if mixture.checkpoint else cell


def _text(share: float) -> str:
    return share_text(round(share, 6))


def mixture_notes(mixture: NashMixture, level: float) -> Iterator[str]:
    """What the mixture is, how sure its shares are, and how far a row may beat it."""
    said = (
        "The Nash mixture is that of the rows' mean preferences as they are printed: no row is "
        "preferred to it on average. It need not be the only one, and says nothing about opponents "
        "that are no rows."
    )
    if np.isnan(mixture.least).any():
        yield f"{said} It is a point estimate: no simultaneous intervals, so none of its shares."
        return
    yield (
        f"{said} Its shares are an estimate. In brackets the least and the largest share of any "
        "Nash mixture of any preferences within the simultaneous intervals: they hold all at once "
        f"where those do ({level:.0%}), for each mixture where there are several, and err on the "
        "wide side."
    )
    yield (
        "Exploitability of the mixture as printed among the rows and the reference: at most "
        f"{mixture.gain:.2g} by the same intervals, though it was chosen on the same answers."
    )
