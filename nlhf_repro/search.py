"""Searches: the spaces that `nlhf tune` searches, the settings it tries, and where a winner lies.

The settings are a scrambled Sobol sequence, fixed before any of them is run: every row gets the
same number of evenly spread settings, no result decides which one is tried next, and the number of
processes changes nothing.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.seeds import seed_for
from nlhf_repro.validation import check, suggestion

Scalar = bool | int | float | str | None
Parameters = Mapping[str, Scalar]

NODES = ("algorithm", "model", "training")
TRAINING_KEYS = ("groups_per_iteration", "minibatch_size", "learning_rate")
# Of a range, on its scale; with few trials half the distance between them, as none comes nearer.
EDGE = 0.01


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included, evenly spread on a linear or logarithmic scale."""

    low: float
    high: float
    log: bool = False
    integer: bool = False


@dataclass(frozen=True)
class Choices:
    """One of several numbers or booleans."""

    choices: list[Scalar]


@dataclass(frozen=True)
class Metric:
    """What trials are judged by: the arithmetic mean of a gap over games and seeds.

    It is read once, at the end of training: one candidate checkpoint a run. A geometric mean would
    choose settings that take the gap of a few games close to zero and ruin the others.
    """

    benchmark: str
    iterate: Literal["last", "average"]

    def __str__(self) -> str:
        """In the words of a note."""
        return f"mean {self.benchmark} of the {self.iterate} iterate"


Space = Mapping[str, Range | Choices]


@dataclass(frozen=True)
class SearchNode:
    """The keys of an experiment's `search`; what a space holds is checked key by key."""

    trials: int
    seed: int
    metric: Metric
    spaces: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Search:
    """A declared search: the same number of trials for every row that has anything to tune."""

    trials: int
    seed: int
    metric: Metric
    spaces: Mapping[str, Space]


def read_search(node: Any, rows: Iterable[str]) -> Search:
    """The search that an experiment's `search` node declares over these rows.

    Raises:
        ImpossibleSettingError: naming the key that is wrong and the remedy.
    """
    labels = list(rows)
    check("search", node, SearchNode)
    if node["trials"] < 1:
        raise ImpossibleSettingError(f"search.trials = {node['trials']} tries nothing: raise it.")
    for label in node["spaces"]:
        if label not in labels:
            raise ImpossibleSettingError(
                f"search.spaces.{label} is no row: {suggestion(label, labels)}"
            )
    for label in labels:
        if label not in node["spaces"]:
            raise ImpossibleSettingError(
                f"search.spaces lacks the row {label!r}: give it a space, or {{}} where it has "
                "nothing to tune."
            )
    spaces = {
        label: {key: _axis(f"search.spaces.{label}", key, axis) for key, axis in space.items()}
        for label, space in node["spaces"].items()
    }
    return Search(node["trials"], node["seed"], Metric(**node["metric"]), spaces)


def proposals(search: Search, row: str, present: Parameters) -> list[dict[str, Scalar]]:
    """The settings that a row tries: the present ones where they fit, then a Sobol sequence.

    They depend on `search.seed`, the row's label, its space and nothing else; more trials continue
    the same sequence. Empty for an empty space.
    """
    space = search.spaces[row]
    if not space:
        return []
    drawn = _sobol(space, search.trials, seed_for("tuning", search.seed, row) % 2**32)
    tried = [{key: _rounded(axis, point[key]) for key, axis in space.items()} for point in drawn]
    if all(key in present and _contains(axis, present[key]) for key, axis in space.items()):
        return [{key: present[key] for key in space}, *tried[:-1]]
    return tried


def sampler_description() -> str:
    """The sampler and the versions that decide what it draws."""
    from importlib.metadata import version

    return f"optuna {version('optuna')} QMCSampler, scrambled Sobol, scipy {version('scipy')}"


def edges(space: Space, parameters: Parameters, trials: int) -> list[str]:
    """The keys whose value lies on the edge of its space: the best may lie beyond."""
    edge = max(EDGE, 1 / (2 * trials))
    return [key for key, axis in space.items() if _on_edge(axis, parameters[key], edge)]


def as_override(key: str, value: Scalar) -> str:
    """A setting as an override of the command line."""
    if value is None or isinstance(value, bool):
        return f"{key}={'null' if value is None else str(value).lower()}"
    if isinstance(value, str) and not value.isidentifier():
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"{key}='{escaped}'"
    return f"{key}={value}"


def _axis(row: str, key: str, node: Any) -> Range | Choices:
    path = f"{row}.{key}"
    _check_tunable(path, key)
    if isinstance(node, Mapping) and "choices" in node:
        check(path, node, Choices)
        choices = list(node["choices"])
        if len(choices) < 2 or len({repr(x) for x in choices}) < len(choices):
            raise ImpossibleSettingError(
                f"{path}.choices = {choices} must hold two values or more that differ: fix it."
            )
        _check_choices(path, choices)
        return Choices(choices)
    check(path, node, Range)
    axis = Range(**node)
    if not (math.isfinite(axis.low) and math.isfinite(axis.high) and axis.low < axis.high):
        raise ImpossibleSettingError(
            f"{path} goes from {axis.low:g} to {axis.high:g}: low must lie below high."
        )
    if axis.log and axis.low <= 0:
        raise ImpossibleSettingError(
            f"{path}.low = {axis.low:g} has no logarithm: raise it, or set log to false."
        )
    if axis.integer and (axis.low % 1 or axis.high % 1):
        raise ImpossibleSettingError(
            f"{path} goes from {axis.low:g} to {axis.high:g}: give integers, or drop integer."
        )
    return axis


def _check_choices(path: str, choices: Sequence[Scalar]) -> None:
    """A name, or null, chooses another method or other data, which numbers and booleans refine."""
    named = [x for x in choices if not isinstance(x, bool | int | float)]
    if named:
        raise ImpossibleSettingError(
            f"{path}.choices = {list(choices)} holds {', '.join(map(repr, named))}: a choice that "
            "is no number or boolean can change what a row pays or sees, so that its trials would "
            "not be of one method; give each value a row of its own."
        )


def _check_tunable(path: str, key: str) -> None:
    """What rows are compared on, and what they pay for it, is the same for all and not tuned."""
    node, _, rest = key.partition(".")
    if node not in NODES or not rest or rest in ("labels", "_target_"):
        raise ImpossibleSettingError(
            f"{path} cannot be tuned, since it would change what rows are compared on: tune the "
            f"algorithm's, the model's or the training's own keys."
        )
    if node == "training" and rest not in TRAINING_KEYS:
        raise ImpossibleSettingError(
            f"{path} cannot be tuned: of training, tune {', '.join(TRAINING_KEYS)}."
        )


def _sobol(space: Space, trials: int, seed: int) -> list[dict[str, Any]]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.QMCSampler(scramble=True, seed=seed)
    study = optuna.create_study(sampler=sampler)
    # Sobol's dimensions are the keys in this order, whatever order a file has.
    axes = {key: _distribution(axis) for key, axis in sorted(space.items())}
    # The first point only tells the sampler the space, and is drawn by chance.
    return [study.ask(axes).params for _ in range(trials + 1)][1:]


def _distribution(axis: Range | Choices) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(axis, Choices):
        return CategoricalDistribution(axis.choices)
    if axis.integer:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def _rounded(axis: Range | Choices, value: Scalar) -> Scalar:
    """Four significant digits of a number, or four of its range on a linear scale."""
    if isinstance(axis, Choices) or axis.integer or not isinstance(value, float):
        return value
    if axis.log:
        rounded = float(f"{value:.3e}")
    else:
        rounded = round(value, 4 - math.ceil(math.log10(axis.high - axis.low)))
    return min(max(rounded, float(axis.low)), float(axis.high))


def _contains(axis: Range | Choices, value: Scalar) -> bool:
    if isinstance(axis, Choices):
        return repr(value) in {repr(choice) for choice in axis.choices}
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return axis.low <= value <= axis.high and not (axis.integer and value % 1)


def _on_edge(axis: Range | Choices, value: Scalar, edge: float) -> bool:
    """Within this share of a range's end, or the smallest or largest of more than two numbers."""
    if isinstance(axis, Choices):
        numbers = [x for x in axis.choices if _is_number(x)]
        return len(numbers) > 2 and value in (min(numbers), max(numbers))  # type: ignore[type-var]
    assert isinstance(value, int | float)
    scale = math.log if axis.log else float
    low, high = scale(axis.low), scale(axis.high)
    share = (scale(value) - low) / (high - low)
    return share <= edge or share >= 1 - edge


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def column_names(spaces: Iterable[Space]) -> Sequence[str]:
    """Every key that some space has, each once, in the order of their first mention."""
    return list(dict.fromkeys(key for space in spaces for key in space))
