"""The rows of a plan: what a cell of each asks and trains, and what is known of its time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nlhf_repro.cells import Cell
from nlhf_repro.pipeline.cell import is_complete
from nlhf_repro.pipeline.lacking import lacking, planned_cell_key
from nlhf_repro.pipeline.measured_runs import MeasuredRun, Speed, speed_of
from nlhf_repro.pipeline.planned import (
    PlannedJudging,
    PlannedTraining,
    planned_judgings,
    planned_training,
)
from nlhf_repro.verbs.experiment import Experiment

UNKNOWN = "unknown"


@dataclass(frozen=True)
class RowPlan:
    """One row: a training's counts, and the cells that have a key of their own."""

    label: str
    keys: tuple[str, ...]  # provisional ones where something is lacking
    complete: frozenset[str]
    training: PlannedTraining
    judgings: Mapping[str, tuple[PlannedJudging, ...]]  # by key of a cell
    speed: Speed | None
    device: str  # of the model
    lacking: tuple[str, ...] = ()  # a sentence each

    @property
    def left(self) -> int:
        """Cells to run."""
        return len(set(self.keys) - self.complete)


def row_plans(experiment: Experiment, runs: Sequence[MeasuredRun]) -> list[RowPlan]:
    """One a row, in their order."""
    return [_row_plan(label, cells, experiment, runs) for label, cells in _rows(experiment)]


def _rows(experiment: Experiment) -> Iterator[tuple[str, list[Cell]]]:
    rows: dict[str, list[Cell]] = {}
    for cell in experiment.cells:
        rows.setdefault(cell.row or "", []).append(cell)
    yield from rows.items()


def _row_plan(
    label: str,
    cells: Sequence[Cell],
    experiment: Experiment,
    runs: Sequence[MeasuredRun],
) -> RowPlan:
    config = cells[0].config
    lacks = lacking(config)
    keyed = {planned_cell_key(cell.config): cell for cell in cells}
    keys = tuple(keyed)
    training = planned_training(config)
    return RowPlan(
        label=label,
        keys=keys,
        complete=frozenset(key for key in keys if is_complete(experiment.output_dir, key)),
        training=training,
        judgings={key: tuple(planned_judgings(cell.config)) for key, cell in keyed.items()},
        speed=speed_of(config, keys, training, runs),
        device=str(config["model"].get("device", "cpu")),
        lacking=lacks,
    )


def judgings(cells: Mapping[str, RowPlan]) -> dict[str, PlannedJudging]:
    """The judgings of cells, by their keys; cells share some."""
    return {x.key: x for key, row in cells.items() for x in row.judgings[key]}


def calls_of(planned: Iterable[PlannedJudging]) -> int | None:
    """Calls together; None where those of one are not known."""
    calls = [judging.calls for judging in planned]
    return None if None in calls else sum(x or 0 for x in calls)


def count(number: float) -> str:
    """A count with its thousands apart."""
    return f"{number:,.0f}"
