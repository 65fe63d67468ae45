"""Ticks of logarithmic axes whose labels do not run into each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELLED = 5  # ticks, at most
PLAIN_FROM, PLAIN_BELOW = 1e-3, 1e6  # without an exponent
DECADES = 2  # from which the powers of ten are ticks enough


def label_few_ticks(ax: Axes) -> None:
    """Few labels on a logarithmic horizontal axis: 0.2 and 0.5 where few decades are shown."""
    from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

    low, high = ax.get_xlim()
    ax.xaxis.set_minor_formatter(NullFormatter())
    if np.log10(high / low) >= DECADES:
        ax.xaxis.set_major_locator(LogLocator(numticks=LABELLED))
        return
    places = narrow_ticks(low, high)
    ax.xaxis.set_major_locator(FixedLocator(places))
    ax.xaxis.set_major_formatter(lambda value, _: _label(value))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(low, high)


def narrow_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between the ends; evenly spaced where too few of them fit."""
    from matplotlib.ticker import MaxNLocator

    exponents = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    written = [f"{factor}e{exponent}" for exponent in exponents for factor in (1, 2, 5)]
    inside = [float(text) for text in written if low <= float(text) <= high]
    if len(inside) < 2:
        even = MaxNLocator(LABELLED - 1, steps=[1, 2, 5, 10]).tick_values(low, high)
        return [float(x) for x in even if low <= x <= high]
    return inside if len(inside) <= LABELLED else inside[:: len(inside) // LABELLED + 1]


def _label(value: float) -> str:
    if PLAIN_FROM <= value < PLAIN_BELOW:
        return f"{value:.6g}"
    mantissa, exponent = f"{value:.5e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
