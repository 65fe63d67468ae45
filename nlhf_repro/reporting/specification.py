"""What a table file says: its columns, the comparison declared beforehand, its figures."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Literal, TypeVar, cast, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from nlhf_repro.interfaces import ImpossibleSettingError, ResponderTraining, RoundRobinSettings
from nlhf_repro.reporting.comparison import Column, ComparableColumn, Primary
from nlhf_repro.reporting.figure_specification import (
    FigureSpecification,
    GridFigureSpecification,
)
from nlhf_repro.reporting.published import PredictableColumn, published_header
from nlhf_repro.reporting.published_matrix import PublishedMatrix
from nlhf_repro.reporting.published_specification import PublishedSpecification

T = TypeVar("T")

SIZE = "K x n"
COMPARISON = "comparison"


@dataclass(frozen=True)
class TableSpecification:
    """What a table prints.

    `level` is the confidence of every interval, in (0, 1). `grid_points` says where the points of
    the experiment's grid stand: a line for every row and point, or a line for every row with every
    column once a point. `round_robin` asks for a second table, of the rows against each other, and
    `samples` for a page that shows the rows' answers to so many prompts; both of language models.
    `published` names the printed numbers that stand beside ours, `published_matrix` a printed
    matrix that stands beside the round-robin.
    """

    title: str
    caption: str
    columns: tuple[Column, ...]
    primary: Primary | None
    figures: tuple[FigureSpecification | GridFigureSpecification, ...]
    level: float
    grid_points: Literal["rows", "columns"] = "rows"
    round_robin: RoundRobinSettings | None = None
    samples: int = 0
    published: PublishedSpecification | None = None
    published_matrix: PublishedMatrix | None = None

    def __post_init__(self) -> None:
        """Refuse columns that cannot be told apart and a comparison of a column that is none."""
        if not 0 < self.level < 1:
            raise ImpossibleSettingError(
                f"table.level is {self.level}: give a confidence such as 0.95."
            )
        if self.samples < 0:
            raise ImpossibleSettingError(
                f"table.samples is {self.samples}: give a number of prompts, or 0 for none."
            )
        self._check_published()
        headers = [column.header for column in self.columns]
        headers += [published_header(column.header) for column in self.beside_published]
        for header in headers:
            if [*headers, SIZE, COMPARISON].count(header) > 1:
                raise ImpossibleSettingError(
                    f"Two columns of the table are called '{header}': give each a header of its "
                    f"own ('{SIZE}' and '{COMPARISON}' are taken)."
                )
        if self.primary is not None and self.compared is None:
            raise ImpossibleSettingError(
                f"table.primary.column is '{self.primary.column}', which is no column that can be "
                f"compared: choose among {', '.join(_comparable_headers(self.columns)) or 'none'}."
            )

    def _check_published(self) -> None:
        if self.published_matrix is not None and self.round_robin is None:
            raise ImpossibleSettingError(
                "table.published_matrix stands beside a round-robin: give table.round_robin, or "
                "set it to null."
            )
        if self.published is None:
            return
        if self.grid_points == "columns":
            raise ImpossibleSettingError(
                "table.published needs table.grid_points = rows: a paper's row stands beside one "
                "row of ours."
            )
        beside = [column.header for column in self.columns if isinstance(column, PredictableColumn)]
        for header in self.published.columns:
            if header not in beside:
                raise ImpossibleSettingError(
                    f"table.published.columns names '{header}', which is no column of means: "
                    f"choose among {', '.join(map(repr, beside)) or 'none'}."
                )

    @property
    def beside_published(self) -> tuple[PredictableColumn, ...]:
        """The columns that a paper's numbers stand behind, in the table's order."""
        return tuple(
            column
            for column in self.columns
            if self.published is not None
            and column.header in self.published.columns
            and isinstance(column, PredictableColumn)
        )

    @property
    def compared(self) -> ComparableColumn | None:
        """The column of the primary comparison."""
        for column in self.columns:
            if self.primary and column.header == self.primary.column:
                return column if isinstance(column, ComparableColumn) else None
        return None


def table_specification(node: Mapping[str, Any]) -> TableSpecification:
    """The specification that a resolved `table` node describes.

    Raises:
        ImpossibleSettingError: one sentence naming the key that is wrong and the remedy.
    """
    _check_keys(TableSpecification, node, "table")
    primary = node["primary"]
    return TableSpecification(
        title=_checked(node["title"], str, "table.title"),
        caption=_checked(node["caption"], str, "table.caption"),
        columns=tuple(
            _column(column, f"table.columns[{index}]") for index, column in _items(node, "columns")
        ),
        primary=None if primary is None else _built(Primary, primary, "table.primary"),
        figures=tuple(
            _figure(figure, f"table.figures[{index}]") for index, figure in _items(node, "figures")
        ),
        level=_checked(node["level"], float, "table.level"),
        grid_points=_checked(
            node.get("grid_points", "rows"), Literal["rows", "columns"], "table.grid_points"
        ),
        round_robin=_round_robin(node.get("round_robin")),
        samples=_checked(node.get("samples", 0), int, "table.samples"),
        published=_published(node.get("published")),
        published_matrix=_published_matrix(node.get("published_matrix")),
    )


def _round_robin(node: Any) -> RoundRobinSettings | None:
    where = "table.round_robin"
    if node is None:
        return None
    if not isinstance(node, Mapping):
        raise ImpossibleSettingError(f"{where} is {node!r}: give a mapping, or null.")
    trained = node.get("trained")
    if trained is not None:
        trained = _built(ResponderTraining, trained, f"{where}.trained")
    return _built(RoundRobinSettings, {**node, "trained": trained}, where)


def _published(node: Any) -> PublishedSpecification | None:
    where = "table.published"
    return None if node is None else _built(PublishedSpecification, node, where)


def _published_matrix(node: Any) -> PublishedMatrix | None:
    where = "table.published_matrix"
    return None if node is None else _built(PublishedMatrix, node, where)


def _comparable_headers(columns: Sequence[Column]) -> list[str]:
    return [f"'{column.header}'" for column in columns if isinstance(column, ComparableColumn)]


def _items(node: Mapping[str, Any], key: str) -> list[tuple[int | str, Any]]:
    """The items of a list, or of a mapping, whose names let an experiment change or add some."""
    value = node[key]
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ImpossibleSettingError(f"table.{key} is {value!r}: give a list, or items by name.")
    return list(enumerate(value))


def _figure(node: Any, where: str) -> FigureSpecification | GridFigureSpecification:
    """Over the experiment's grid where that is its axis, else a figure of learning curves."""
    if isinstance(node, Mapping) and node.get("axis") == "grid":
        return _built(GridFigureSpecification, node, where)
    return _built(FigureSpecification, node, where)


def _column(node: Any, where: str) -> Column:
    """The column that a node's `_target_` names, built from its other keys."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise ImpossibleSettingError(
            f"{where} has no _target_: name a column class, such as "
            "nlhf_repro.reporting.columns.GeometricMeanGap."
        )
    target = node["_target_"]
    fields = {key: value for key, value in node.items() if key != "_target_"}
    column = _built(_imported(str(target), where), fields, f"{where} ({target})")
    if not isinstance(column, Column):
        raise ImpossibleSettingError(
            f"{where} names {target}, which is no column: it lacks header or explanation."
        )
    return column


def _imported(target: str, where: str) -> type[Any]:
    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ImpossibleSettingError(
            f"{where} names {target}, which cannot be imported ({error}): check its spelling."
        ) from error
    if not isinstance(found, type) or not callable(getattr(found, "cell", None)):
        raise ImpossibleSettingError(
            f"{where} names {target}, which is no column class: it lacks the method cell."
        )
    return found


def _built(kind: type[T], node: Any, where: str) -> T:
    """An instance of `kind` from a mapping, every key and type checked."""
    if not isinstance(node, Mapping):
        raise ImpossibleSettingError(f"{where} is {node!r}: give a mapping.")
    _check_keys(kind, node, where)
    hints = get_type_hints(cast(Any, kind).__init__)
    values = {
        key: _checked(value, hints.get(key, Any), f"{where}.{key}") for key, value in node.items()
    }
    return kind(**values)


def _check_keys(kind: type[Any], node: Mapping[str, Any], where: str) -> None:
    parameters = inspect.signature(kind).parameters
    for key in node:
        if key not in parameters:
            close = get_close_matches(str(key), parameters, n=1)
            remedy = (
                f"did you mean '{close[0]}'?" if close else f"it takes {', '.join(parameters)}."
            )
            raise ImpossibleSettingError(f"{where} has no key '{key}': {remedy}")
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and name not in node:
            raise ImpossibleSettingError(f"{where} lacks the key '{name}': add it.")


def _checked(value: Any, hint: Any, where: str) -> Any:
    """`value` as the annotated type; numbers are not made from text, nor text from numbers."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = tuple(value)
    try:
        return TypeAdapter(hint, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise ImpossibleSettingError(f"{where} is {value!r}: {reason}.") from error
