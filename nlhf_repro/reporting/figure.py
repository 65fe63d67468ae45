"""Learning curves as PNG and SVG; the same records give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.curves import Curve, Line, Panel, figure_panels
from nlhf_repro.reporting.series import axis_label
from nlhf_repro.reporting.specification import FigureSpecification, TableSpecification

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Look(TypedDict):
    """How one name is drawn in every panel."""

    color: str
    linestyle: Literal["-", "--", "-."]


# Okabe and Ito's palette, without the yellow that is too light for a line.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Literal["-", "--", "-."], ...] = ("-", "--", "-.")
INK = "#555555"
PANEL_INCHES = (4.3, 3.9)
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 11.0,
    "axes.titlesize": 12.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.hashsalt": "nlhf_repro",
    "svg.fonttype": "none",
    "path.simplify": True,
}


def draw_figures(
    rows: Sequence[RowRecord], specification: TableSpecification, folder: Path
) -> list[Path]:
    """Every figure of the specification as folder/NAME.png and .svg; the paths written."""
    paths = []
    for figure in specification.figures:
        panels = figure_panels(rows, figure, specification.level)
        paths += _draw(panels, figure, specification.level, folder)
    return paths


def _draw(
    panels: Sequence[Panel], specification: FigureSpecification, confidence: float, folder: Path
) -> list[Path]:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context({**mpl.rcParamsDefault, **STYLE, "backend": "agg"}):
        width, height = PANEL_INCHES
        figure = Figure(figsize=(width * max(len(panels), 1.6), height + 0.9), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        looks = _looks(panels)
        for index, (panel, ax) in enumerate(zip(panels, axes, strict=True)):
            _draw_panel(ax, panel, looks)
            ax.set_xlabel(axis_label(specification.axis))
            if index == 0:
                ax.set_ylabel(specification.label)
        figure.suptitle(specification.title, x=0.01, ha="left", fontsize=13, weight="bold")
        _legend(figure, panels, looks, confidence)
        return _saved(figure, folder, specification.name)


def _looks(panels: Sequence[Panel]) -> dict[str, Look]:
    """One color and dash for each name, the same in all panels."""
    names = dict.fromkeys(curve.name for panel in panels for curve in panel.curves)
    return {
        name: {
            "color": COLORS[index % len(COLORS)],
            "linestyle": DASHES[index // len(COLORS) % len(DASHES)],
        }
        for index, name in enumerate(names)
    }


def _draw_panel(ax: Axes, panel: Panel, looks: dict[str, Look]) -> None:
    ax.set_title(panel.title, loc="left")
    ax.set_yscale("log")
    ax.grid(True, color="#E6E6E6", linewidth=0.6)
    ax.set_axisbelow(True)
    for curve in panel.curves:
        _draw_curve(ax, curve, looks[curve.name])
    counts = np.concatenate([curve.counts for curve in panel.curves] or [np.ones(1)])
    positive = counts[counts > 0]
    if positive.size and positive.max() > positive.min():
        # Zero has no logarithm: it stands at the left end, a linear step before the first count.
        ax.set_xscale("symlog", linthresh=float(positive.min()), linscale=0.35)
        ax.set_xlim(0 if counts.min() == 0 else positive.min(), positive.max() * 1.02)
    for line in panel.lines:
        _draw_line(ax, line)
    if panel.floor > 0 and panel.curves:
        _draw_floor(ax, panel)
    if panel.left_out:
        text = "not drawn\n" + "\n".join(panel.left_out)
        ax.text(0.03, 0.08, text, transform=ax.transAxes, fontsize=9, color=INK)


def _draw_curve(ax: Axes, curve: Curve, look: Look) -> None:
    color = look["color"]
    if curve.counts[0] == curve.counts[-1]:
        # A row that spends nothing on this axis, such as a fixed policy, is a level.
        ax.axhline(float(curve.middle[-1]), linewidth=1.8, zorder=3, **look)
        return
    ax.plot(curve.counts, curve.middle, linewidth=1.8, zorder=3, **look)
    ax.fill_between(curve.counts, curve.lower, curve.upper, color=color, alpha=0.2, linewidth=0)
    if curve.runs > 1:
        for quartile in curve.quartiles:
            ax.plot(curve.counts, quartile, color=color, linewidth=0.6, alpha=0.35, zorder=2)


def _draw_line(ax: Axes, line: Line) -> None:
    if line.counts.size:
        ax.plot(line.counts, line.heights, color=INK, linestyle="--", linewidth=1.1)
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


def _legend(
    figure: Figure,
    panels: Sequence[Panel],
    looks: dict[str, Look],
    confidence: float,
) -> None:
    """One legend for all panels, and what the lines and bands are."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], linewidth=2.4, label=name, **look) for name, look in looks.items()]
    if any(np.isfinite(curve.lower).any() for panel in panels for curve in panel.curves):
        band = f"band: {confidence:.0%} t interval, games as clusters"
        reading = f"line: geometric mean of the runs; {band}; thin lines: quartiles"
    else:
        reading = "line: geometric mean of the runs; no interval is estimable"
    if handles:
        figure.legend(
            handles=handles,
            loc="outside lower left",
            title=reading,
            title_fontsize=8.5,
            alignment="left",
            ncols=_legend_columns(looks, figure.get_figwidth()),
            frameon=False,
            handlelength=1.8,
        )


def _legend_columns(names: Iterable[str], inches: float) -> int:
    """As many as fit at the longest name's width: a character takes about 0.1 inch, a line 0.7."""
    return max(int(inches / (0.1 * max(map(len, names)) + 0.7)), 1)


def _saved(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Written without the date and the library's version, which would change the bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    figure.savefig(png, dpi=150, metadata={"Software": None})
    figure.savefig(svg, metadata={"Date": None, "Creator": None})
    return [png, svg]
