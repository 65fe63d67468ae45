"""Drawing one panel of a figure: curves or a grid's points, dashed lines, the numerical floor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from nlhf_repro.reporting.curves import AnyFigure, Curve, Line, Panel
from nlhf_repro.reporting.figure_specification import GridFigureSpecification

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#555555"
QUARTILED = 4  # curves of a panel, above which quartiles hide the means and are not drawn
MARKED = 8  # points of a curve, up to which they are marked: lines between them are no measurement


class Look(TypedDict):
    """How one name is drawn in every panel."""

    color: str
    linestyle: Any  # a name, or (offset, (on, off, ...))
    marker: str


def quartiled(panel: Panel) -> bool:
    """Whether the quartiles of a panel's curves are drawn."""
    return len(panel.curves) <= QUARTILED and any(curve.runs > 1 for curve in panel.curves)


def marked(curve: Curve) -> bool:
    """Whether the points of a learning curve are marked."""
    return len(curve.counts) <= MARKED and not _is_level(curve)


def _is_level(curve: Curve) -> bool:
    """Whether a row spends nothing on the axis, as a fixed policy."""
    return bool(curve.counts[0] == curve.counts[-1])


def draw_panel(ax: Axes, panel: Panel, looks: dict[str, Look], specification: AnyFigure) -> None:
    """One set of axes with its curves, its lines, its floor and what is not drawn."""
    ax.set_title(panel.title, loc="left")
    ax.set_yscale("log" if panel.logarithmic else "linear")
    ax.grid(True, color="#E6E6E6", linewidth=0.6)
    ax.set_axisbelow(True)
    if isinstance(specification, GridFigureSpecification):
        for curve in panel.curves:
            _draw_points(ax, curve, looks[curve.name])
        _scale_grid(ax, panel, specification.scale)
    else:
        for curve in panel.curves:
            _draw_curve(ax, curve, looks[curve.name], quartiles=quartiled(panel))
        _scale_counts(ax, panel)
    for line in panel.lines:
        _draw_line(ax, line)
    if panel.floor > 0 and panel.curves:
        _draw_floor(ax, panel)
    if panel.left_out:
        text = "not drawn\n" + "\n".join(panel.left_out)
        ax.text(0.03, 0.08, text, transform=ax.transAxes, fontsize=9, color=INK)


def _scale_counts(ax: Axes, panel: Panel) -> None:
    counts = np.concatenate([curve.counts for curve in panel.curves] or [np.ones(1)])
    positive = counts[counts > 0]
    if not panel.logarithmic:
        ax.set_xlim(0, counts.max() * 1.02)
    elif positive.size and positive.max() > positive.min():
        # Zero has no logarithm: it stands at the left end, a linear step before the first count.
        ax.set_xscale("symlog", linthresh=float(positive.min()), linscale=0.35)
        ax.set_xlim(0 if counts.min() == 0 else positive.min(), positive.max() * 1.02)


def _scale_grid(ax: Axes, panel: Panel, scale: Literal["linear", "log", "symlog"]) -> None:
    """The points themselves are the ticks, as far as they can be read."""
    from matplotlib.ticker import NullLocator

    counts = np.unique(np.concatenate([curve.counts for curve in panel.curves] or [np.ones(1)]))
    if scale == "symlog":
        smallest = np.abs(counts[counts != 0]).min(initial=np.inf)
        ax.set_xscale("symlog", linthresh=float(smallest) if np.isfinite(smallest) else 1.0)
    else:
        ax.set_xscale(scale)
    places = counts if scale == "linear" else np.log(np.maximum(np.abs(counts), 1e-300))
    crowded = np.diff(places).min(initial=np.inf) < np.ptp(places) / 25
    if len(counts) <= 9 and not crowded:
        ax.set_xticks(counts, [f"{count:g}" for count in counts])
        ax.xaxis.set_minor_locator(NullLocator())


def _draw_points(ax: Axes, curve: Curve, look: Look) -> None:
    """A grid's points, joined, with their intervals as bars."""
    bars = np.stack([curve.middle - curve.lower, curve.upper - curve.middle])
    ax.plot(curve.counts, curve.middle, linewidth=1.5, markersize=4.5, zorder=3, **look)
    known = np.isfinite(bars).all(axis=0)
    ax.errorbar(
        curve.counts[known],
        curve.middle[known],
        yerr=np.maximum(bars[:, known], 0.0),
        fmt="none",
        ecolor=look["color"],
        elinewidth=1.2,
        capsize=2.5,
        zorder=2,
    )


def _draw_curve(ax: Axes, curve: Curve, look: Look, *, quartiles: bool) -> None:
    color = look["color"]
    if _is_level(curve):
        ax.axhline(float(curve.middle[-1]), color=color, linestyle=look["linestyle"], zorder=3)
        return
    ax.plot(
        curve.counts,
        curve.middle,
        color=color,
        linestyle=look["linestyle"],
        marker=look["marker"] if marked(curve) else None,
        markersize=4.5,
        linewidth=1.8,
        zorder=3,
    )
    ax.fill_between(curve.counts, curve.lower, curve.upper, color=color, alpha=0.2, linewidth=0)
    if quartiles and curve.runs > 1:
        for quartile in curve.quartiles:
            ax.plot(curve.counts, quartile, color=color, linewidth=0.6, alpha=0.35, zorder=2)


def _draw_line(ax: Axes, line: Line) -> None:
    if line.counts.size:
        ax.plot(line.counts, line.heights, color=INK, linestyle="--", linewidth=1.1, zorder=4)
        place = (float(line.counts[0]), float(line.heights[0]))
    else:
        ax.axhline(float(line.heights[0]), color=INK, linestyle="--", linewidth=1.1)
        place = (ax.get_xlim()[0], float(line.heights[0]))
    ax.annotate(
        line.name, place, (4, 3), textcoords="offset points", fontsize=9, color=INK, va="bottom"
    )


def _draw_floor(ax: Axes, panel: Panel) -> None:
    """The floor, where a curve comes within two decades of it."""
    lowest = min(float(np.nanmin(curve.quartiles)) for curve in panel.curves)
    if lowest > 100 * panel.floor:
        return
    ax.axhline(panel.floor, color=INK, linestyle=":", linewidth=1.0)
    place = (ax.get_xlim()[0], panel.floor)
    ax.annotate(
        "numerical floor: lower values count as it",
        place,
        (4, -3),
        textcoords="offset points",
        fontsize=9,
        color=INK,
        va="top",
    )
    ax.set_ylim(bottom=panel.floor / 30)
