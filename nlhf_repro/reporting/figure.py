"""Figures as PNG and SVG; the same records give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from math import ceil
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.axes import INK, QUARTILED, Look, draw_panel, marked, quartiled
from nlhf_repro.reporting.curves import AnyFigure, Panel, figure_panels
from nlhf_repro.reporting.figure_specification import GridFigureSpecification
from nlhf_repro.reporting.series import axis_label, cluster_noun
from nlhf_repro.reporting.specification import TableSpecification

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Okabe and Ito's palette, without the yellow that is too light for a line.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", (0, (4, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
PANEL_INCHES = (4.3, 3.9)
LEGEND_LINE_INCHES = 0.21
LETTER_INCHES = 0.064  # of the small print
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


def figure_style() -> AbstractContextManager[None]:
    """Matplotlib's settings for all figures, whatever a user's own are."""
    import matplotlib as mpl

    return mpl.rc_context({**mpl.rcParamsDefault, **STYLE, "backend": "agg"})


def draw_figures(
    rows: Sequence[RowRecord], specification: TableSpecification, folder: Path
) -> list[Path]:
    """Every figure of the specification as folder/NAME.png and .svg; the paths written."""
    paths = []
    for figure in specification.figures:
        panels = figure_panels(rows, figure, specification.level)
        reading = how_to_read(panels, figure, specification.level, cluster_noun(rows))
        paths += _draw(panels, figure, reading, folder)
    return paths


def _draw(
    panels: Sequence[Panel], specification: AnyFigure, reading: str, folder: Path
) -> list[Path]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with figure_style():
        looks = _looks(panels)
        width, height = PANEL_INCHES[0] * max(len(panels), 1.6), PANEL_INCHES[1]
        lines = wrap(reading, int(width / LETTER_INCHES))
        height += 0.5 + LEGEND_LINE_INCHES * (
            ceil(len(looks) / _legend_columns(looks, width)) + len(lines) - 1
        )
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for index, (panel, ax) in enumerate(zip(panels, axes, strict=True)):
            draw_panel(ax, panel, looks, specification)
            ax.set_xlabel(_horizontal(specification))
            if index == 0:
                ax.set_ylabel(specification.label)
        figure.suptitle(specification.title, x=0.01, ha="left", fontsize=13, weight="bold")
        _legend(
            figure,
            "\n".join(lines),
            looks,
            _marked_names(panels, specification),
        )
        return saved(figure, folder, specification.name)


def _looks(panels: Sequence[Panel]) -> dict[str, Look]:
    """One color, dash and marker for each name, the same in all panels."""
    names = dict.fromkeys(curve.name for panel in panels for curve in panel.curves)
    return {
        name: {
            "color": COLORS[index % len(COLORS)],
            "linestyle": DASHES[index // len(COLORS) % len(DASHES)],
            "marker": MARKERS[(index + index // len(COLORS)) % len(MARKERS)],
        }
        for index, name in enumerate(names)
    }


def _marked_names(panels: Sequence[Panel], specification: AnyFigure) -> set[str]:
    """The names of curves whose points are marked."""
    grid = isinstance(specification, GridFigureSpecification)
    return {curve.name for panel in panels for curve in panel.curves if grid or marked(curve)}


def _horizontal(specification: AnyFigure) -> str:
    if isinstance(specification, GridFigureSpecification):
        return specification.grid_label
    return axis_label(specification.axis)


def how_to_read(
    panels: Sequence[Panel], specification: AnyFigure, confidence: float, clusters: str
) -> str:
    """What the lines, bands and markers are, as far as they are drawn."""
    grid = isinstance(specification, GridFigureSpecification)
    mean = "geometric" if all(panel.logarithmic for panel in panels) else "arithmetic"
    line = f"{'point' if grid else 'line'}: {mean} mean of the runs"
    points = (
        "" if grid or not _marked_names(panels, specification) else "; markers: recorded points"
    )
    if not any(np.isfinite(curve.lower).any() for panel in panels for curve in panel.curves):
        return f"{line}{points}; no interval is estimable"
    band = f"{'bar' if grid else 'band'}: {confidence:.0%} interval, {clusters} as clusters"
    return f"{line}; {band}" if grid else f"{line}{points}; {band}{_thin_lines(panels)}"


def _thin_lines(panels: Sequence[Panel]) -> str:
    drawn = [quartiled(panel) for panel in panels if panel.curves]
    if not any(drawn):
        return ""
    where = "" if all(drawn) else f" (where there are at most {QUARTILED} curves)"
    return f"; thin lines: quartiles{where}"


def _legend(figure: Figure, reading: str, looks: dict[str, Look], with_markers: set[str]) -> None:
    """One legend for all panels, and how to read them."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            linewidth=2.0,
            label=name,
            color=look["color"],
            linestyle=look["linestyle"],
            marker=look["marker"] if name in with_markers else None,
        )
        for name, look in looks.items()
    ]
    if handles:
        figure.legend(
            handles=handles,
            loc="outside lower left",
            title=reading,
            title_fontsize=8.5,
            fontsize=9.5,
            alignment="left",
            ncols=_legend_columns(looks, figure.get_figwidth()),
            frameon=False,
            handlelength=2.6,
        )


def _legend_columns(names: Iterable[str], inches: float) -> int:
    """As many as fit at the longest name's width: a character takes about 0.08 inch, a line 0.7."""
    return max(int(inches / (0.08 * max(map(len, names), default=1) + 0.7)), 1)


def saved(figure: Figure, folder: Path, name: str) -> list[Path]:
    """NAME.png and NAME.svg, without the date and the library's version: they change the bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    figure.savefig(png, dpi=150, metadata={"Software": None})
    figure.savefig(svg, metadata={"Date": None, "Creator": None})
    return [png, svg]
