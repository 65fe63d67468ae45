"""A forest plot: every model's estimate and interval, one line each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.reporting.axes import INK
from nlhf_repro.reporting.cells import CHECKPOINT
from nlhf_repro.reporting.figure import COLORS, STYLE
from nlhf_repro.reporting.scores.entries import Score

SUFFIXES = (".png", ".svg", ".pdf")
_LINE_INCHES = 0.3
_METADATA = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def check_suffix(path: Path) -> None:
    """Refuse what is no figure's name.

    Raises:
        ImpossibleSettingError: another suffix than .png, .svg or .pdf.
    """
    if path.suffix not in SUFFIXES:
        raise ImpossibleSettingError(
            f"--figure {path} is no figure: end it in one of {', '.join(SUFFIXES)}."
        )


def draw_forest(
    path: Path, title: str, label: str, names: Sequence[str], scores: Sequence[Score]
) -> None:
    """Estimates with their intervals from top to bottom; hollow where it is a single checkpoint.

    Args:
        path: Written to, .png, .svg or .pdf; the same scores give the same bytes.
        title: Of the figure.
        label: Of the axis.
        names: One a score.
        scores: In printing order.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check_suffix(path)
    with mpl.rc_context({**mpl.rcParamsDefault, **STYLE, "backend": "agg"}):
        figure = Figure(figsize=(7.0, 1.5 + _LINE_INCHES * len(scores)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        for place, score in enumerate(scores):
            if np.isfinite(score.lower):
                axes.plot([score.lower, score.upper], [place] * 2, color=COLORS[0], linewidth=2.0)
            filled = COLORS[0] if score.level == "algorithm" else "white"
            axes.plot(score.estimate, place, "o", color=COLORS[0], markerfacecolor=filled)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(left=False, colors=INK)
        axes.set_xlabel(label)
        reading = "95 % intervals, questions as clusters"
        if any(score.level == "checkpoint" for score in scores):
            reading += f"; hollow {CHECKPOINT}: one training run, no training variance"
        axes.set_title(f"{title}\n", loc="left", weight="bold")
        axes.text(0, 1.01, reading, transform=axes.transAxes, fontsize=8.5, color=INK)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150, metadata=_METADATA[path.suffix])
