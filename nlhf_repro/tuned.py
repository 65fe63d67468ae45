"""The frozen winners of a tuning: conf/tuned/NAME.yaml, written by `nlhf tune`, used by rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from nlhf_repro.interfaces import ImpossibleSettingError, Tuning
from nlhf_repro.pipeline.files import digest
from nlhf_repro.validation import suggestion

Settings = Mapping[str, Any]

PROBLEM = ("oracle", "oracle_wrapper", "model", "training", "budget", "algorithm")
# How many games are drawn, and what is recorded of a run, leave its problem as it is.
NO_PROBLEM = (
    *("oracle.games", "training.record_points", "training.average_iterate"),
    *("language.evaluation_split", "language.evaluation_samples", "language.selection"),
    *("language.resume_every", "language.snapshots", "language.sampling_batch"),
)
LANGUAGE_PROBLEM = ("prompts", "language")


@dataclass(frozen=True)
class Winner:
    """What a search found for one row, at one point of its grid; file: conf/tuned/NAME.yaml.

    Gaps are means over games and seeds on the tuning worlds. The winner's is the least of many and
    therefore lower than it will be elsewhere; None where there is none.
    """

    overrides: list[str]  # the winning settings; empty where nothing is tuned
    row: list[str]  # the row's own overrides when it was tuned
    problem: dict[str, Any]  # what it was tuned on, see `problem_of`
    gap: float | None
    interval: list[float] | None  # 95 %, over games
    untuned_gap: float | None  # of the row's own settings, where the space holds them
    second_gap: float | None
    trials: int
    distinct: int  # settings among them that differ
    failed: int
    edges: list[str]  # tuned keys on the edge of their space
    comparisons: int  # a game, on all trials and seeds
    budget: int | None  # comparisons a game of one run

    def tuned_keys(self) -> set[str]:
        """The keys that the search chose."""
        return {_key(override) for override in self.overrides}


@dataclass(frozen=True)
class Winners:
    """The winners of one tuning, and what decided them."""

    name: str
    experiment: str  # under conf/experiment
    changes: list[str]  # overrides of nlhf tune's command line
    digest: str  # of the declared search
    sampler: str
    worlds: list[int]
    seeds: list[int]
    metric: str
    rows: Mapping[str, Winner]

    def of(self, label: str, base: str) -> tuple[str, Winner]:
        """The winner of a row at a point of the grid, else of the row at all points.

        Raises:
            ImpossibleSettingError: the tuning has neither, or no trial of the row succeeded.
        """
        for name in (label, base):
            if name in self.rows:
                return name, self._usable(name)
        raise ImpossibleSettingError(
            f"tuning = {self.name} has no winner for row {label!r}: {suggestion(label, self.rows)}"
        )

    def _usable(self, name: str) -> Winner:
        winner = self.rows[name]
        if winner.trials and winner.failed == winner.trials:
            raise ImpossibleSettingError(
                f"tuning = {self.name} has no winner for row {name!r}, of which all "
                f"{winner.trials} trials failed: change its space and run nlhf tune again."
            )
        return winner


def overrides_of_row(winners: Winners, label: str, base: str, row: Sequence[str]) -> list[str]:
    """The winning settings of a row, which must be the row that was tuned.

    Raises:
        ImpossibleSettingError: there is none, or the row sets what the tuned one did not.
    """
    name, winner = winners.of(label, base)
    chosen = winner.tuned_keys()
    own, tuned = ({x for x in some if _key(x) not in chosen} for some in (row, winner.row))
    if own != tuned:
        differing = ", ".join(sorted(own ^ tuned))
        raise ImpossibleSettingError(
            f"row {label!r} is not the row {name!r} that tuning = {winners.name} tuned: they "
            f"differ in {differing}; make them equal in both experiments, then run nlhf tune again."
        )
    return list(winner.overrides)


def tuning_of_row(
    winners: Winners, label: str, base: str, config: Settings, seeds: Sequence[int]
) -> Tuning:
    """What a table says about a tuned row, reported in the world of `config` at these seeds.

    Raises:
        ImpossibleSettingError: the search saw the world, or one of the seeds, or tuned the row on
            another problem.
    """
    name, winner = winners.of(label, base)
    if config["world"] in winners.worlds:
        raise ImpossibleSettingError(
            f"world = {config['world']} is a world that tuning = {winners.name} searched on: "
            "report on another one."
        )
    seen = sorted(set(seeds) & set(winners.seeds))
    if seen:
        raise ImpossibleSettingError(
            f"seeds {seen} are seeds that tuning = {winners.name} searched with: report others."
        )
    _check_problem(winners, name, label, config)
    return Tuning(
        name=winners.name,
        row=name,
        trials=winner.trials,
        failed=winner.failed,
        edges=tuple(winner.edges),
        comparisons=winner.comparisons,
        worlds=tuple(winners.worlds),
        seeds=tuple(winners.seeds),
        metric=winners.metric,
    )


def problem_of(config: Settings, tuned: Iterable[str]) -> dict[str, Any]:
    """What a row's settings are tuned for: dotted keys and values of its resolved configuration.

    Its oracle but for the number of games, wrappers, model, training but for what is recorded,
    budget and algorithm, without the `tuned` keys. World, seed and benchmarks are no part of it.
    """
    left_out = {*NO_PROBLEM, *tuned}
    groups = (*PROBLEM, *(x for x in LANGUAGE_PROBLEM if config.get(x) is not None))
    return {
        key: value
        for group in groups
        for key, value in _dotted(config[group], group)
        if key not in left_out
    }


def _check_problem(winners: Winners, name: str, label: str, config: Settings) -> None:
    """Refuse another problem.

    Keys that the algorithm has got since keep what it was by default, and a setting that is null,
    as one that came later is where nobody sets it, is one that was not there.
    """
    winner = winners.rows[name]
    was, now = winner.problem, problem_of(config, winner.tuned_keys())
    differing = [
        f"{key} ({_shown(now, key)} here, {_shown(was, key)} there)"
        for key in {**was, **now}
        if (key in was or not key.startswith("algorithm.")) and was.get(key) != now.get(key)
    ]
    if differing:
        raise ImpossibleSettingError(
            f"row {label!r} is not on the problem that tuning = {winners.name} tuned {name!r} on: "
            f"they differ in {', '.join(differing)}; make them equal, or run "
            f"nlhf tune {winners.experiment.removeprefix('tune/')} with the values here and name "
            "the winners that it writes, or set tuning to null."
        )


def _shown(problem: Settings, key: str) -> str:
    return json.dumps(problem[key]) if key in problem else "absent"


def _dotted(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(node, Mapping):
        yield path, node
        return
    for key, child in node.items():
        yield from _dotted(child, f"{path}.{key}")


def read_winners(name: str, folders: Sequence[Path]) -> Winners:
    """The winners that lie in tuned/NAME.yaml of the last of the folders that has one.

    Raises:
        ImpossibleSettingError: no such file, none that nlhf tune wrote, or the search has changed
            since.
    """
    paths = [path for folder in folders if (path := folder / "tuned" / f"{name}.yaml").is_file()]
    if not paths:
        known = {path.stem for folder in folders for path in (folder / "tuned").glob("*.yaml")}
        raise ImpossibleSettingError(f"tuning = {name} is no tuning: {suggestion(name, known)}")
    try:
        node = yaml.safe_load(paths[-1].read_text())
        rows = {str(label): Winner(**row) for label, row in node.pop("rows").items()}
        winners = Winners(name=name, rows=rows, **node)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ImpossibleSettingError(
            f"{paths[-1]} cannot be read ({error}): write it again with nlhf tune {name}."
        ) from error
    if winners.digest != declared_digest(winners.experiment, folders, winners.changes):
        again = " ".join([winners.experiment.removeprefix("tune/"), *winners.changes])
        raise ImpossibleSettingError(
            f"conf/experiment/{winners.experiment}.yaml has changed since tuning = {name} was run: "
            f"run nlhf tune {again} again, or take the change back."
        )
    return winners


def declared_digest(experiment: str, folders: Sequence[Path], changes: Sequence[str]) -> str:
    """SHA-256 of what declares a search: its file without comments, and overrides given to it.

    The source and the defaults of the groups that the file chooses are no part of it.

    Raises:
        ImpossibleSettingError: there is no such file, or it builds on another experiment, whose
            changes would go unseen.
    """
    paths = [path for x in folders if (path := x / "experiment" / f"{experiment}.yaml").is_file()]
    if not paths:
        raise ImpossibleSettingError(
            f"conf/experiment/{experiment}.yaml, which declares a search, is gone: restore it."
        )
    declared = paths[0]  # Hydra takes the first of equal names
    node = cast(dict[str, Any], yaml.safe_load(declared.read_text()))
    if any("experiment" in str(choice) for choice in node.get("defaults", [])):
        raise ImpossibleSettingError(
            f"{declared} builds on another experiment: write out what it takes from there, so "
            "that a change of it is seen."
        )
    return digest({"declared": _plain(node), "changes": sorted(changes)})


def _plain(node: Any) -> Any:
    """Keys as text, since JSON's are."""
    if isinstance(node, dict):
        return {str(key): _plain(child) for key, child in node.items()}
    return [_plain(child) for child in node] if isinstance(node, list) else node


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~").partition("@")[0]
