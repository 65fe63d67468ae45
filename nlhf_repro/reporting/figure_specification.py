"""What a figure shows: learning curves, or final values over the points of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.reporting.series import Axis

Panels = Literal["regularization", "iterate", "none"]


@final
@dataclass(frozen=True)
class FigureSpecification:
    """One figure of learning curves, a geometric mean and its band for every row.

    Attributes:
        name: Of the files; lower case.
        title: Above the figure.
        benchmark: On the vertical axis, log scale.
        label: The vertical axis in words.
        iterates: A panel each where panels is `iterate`, else one.
        axis: The horizontal axis.
        panels: A panel for each regularization, for each iterate, or one for all rows. An ending
            of a row's label that repeats the panel's regularization, as ", tau 0.1", is not drawn.
        lines: Horizontal dashed lines, label to height.
        bounds: Theorem bounds to draw as dashed curves over updates.
    """

    name: str
    title: str
    benchmark: str
    label: str
    iterates: tuple[str, ...]
    axis: Axis
    panels: Panels
    lines: dict[str, float]
    bounds: tuple[Literal["inpo_last_iterate_kl"], ...]

    def __post_init__(self) -> None:
        """Refuse settings that contradict one another."""
        _check_panels(self.name, self.iterates, self.panels)
        if self.bounds and self.axis != "updates":
            raise ImpossibleSettingError(
                f"Figure '{self.name}' draws bounds over {self.axis}: they are stated over "
                "updates, so set axis to updates."
            )


@final
@dataclass(frozen=True)
class GridFigureSpecification:
    """One figure of values at the end of training over the points of the experiment's grid.

    A line for every row's own label; bars are the engine's intervals.

    Attributes:
        name: Of the files; lower case.
        title: Above the figure.
        benchmark: On the vertical axis.
        mean: Over seeds and items; geometric needs a benchmark with a floor and draws a log scale.
        label: The vertical axis in words.
        iterates: A panel each where panels is `iterate`, else one.
        axis: `grid`.
        grid_label: The horizontal axis in words.
        scale: Of the horizontal axis; symlog is linear below the smallest positive point.
        panels: As in FigureSpecification.
        lines: Dashed lines through points, label to {point of the grid: height}.
    """

    name: str
    title: str
    benchmark: str
    mean: Literal["geometric", "arithmetic"]
    label: str
    iterates: tuple[str, ...]
    axis: Literal["grid"]
    grid_label: str
    scale: Literal["linear", "log", "symlog"]
    panels: Panels
    lines: dict[str, dict[float, float]]

    def __post_init__(self) -> None:
        """Refuse settings that contradict one another."""
        _check_panels(self.name, self.iterates, self.panels)
        if any(not points for points in self.lines.values()):
            raise ImpossibleSettingError(
                f"Figure '{self.name}' has a line without points: give {{point: height}}."
            )


def _check_panels(name: str, iterates: tuple[str, ...], panels: Panels) -> None:
    if not iterates or (len(iterates) > 1 and panels != "iterate"):
        raise ImpossibleSettingError(
            f"Figure '{name}' has {len(iterates)} iterates with panels: "
            f"{panels}: name one iterate, or set panels to iterate."
        )
