"""Cells: the rows of an experiment times its seeds, each with its own resolved configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from nlhf_repro.config import (
    Config,
    Grid,
    compose_config,
    override_key,
    resolved_config,
    search_folders,
)
from nlhf_repro.interfaces import ImpossibleSettingError, Tuning
from nlhf_repro.pipeline.evaluation_keys import cell_key
from nlhf_repro.pipeline.keys import is_deterministic
from nlhf_repro.pipeline.records import grid_label, grid_point
from nlhf_repro.tuned import overrides_of_row, read_winners, tuning_of_row
from nlhf_repro.validation import check, suggestion


@dataclass(frozen=True)
class Cell:
    """One row of an experiment at one seed; the row is null outside of experiments with rows."""

    row: str | None
    seed: int
    config: Config
    overrides: tuple[str, ...]
    tuning: Tuning | None = None  # where a search chose the row's settings

    @property
    def world(self) -> int:
        """Of the oracle."""
        return int(self.config["world"])

    @cached_property
    def key(self) -> str:
        """The key of everything that the cell computes."""
        return cell_key(self.config)


def row_overrides(overrides: Sequence[str], row: str, rows: dict[str, list[str]]) -> list[str]:
    """The command line with the row's own overrides after the experiment.

    Raises:
        ImpossibleSettingError: no such row, or the row sets a key that the command line sets too.
    """
    if row not in rows:
        raise ImpossibleSettingError(f"row={row} is no row: {suggestion(row, rows)}")
    given = [each for each in overrides if override_key(each) not in ("row", "seed")]
    taken = {override_key(each) for each in rows[row]}
    for override in given:
        if override_key(override) in taken:
            raise ImpossibleSettingError(
                f"{override} on the command line meets row {row!r}, which sets "
                f"{override_key(override)} itself: drop the override, or write a row of its own."
            )
    first = [each for each in given if override_key(each) in ("experiment", "hydra.searchpath")]
    return [*first, *rows[row], *(each for each in given if each not in first)]


def declared_rows(config: DictConfig, overrides: Sequence[str]) -> dict[str, list[str]]:
    """The rows of a composed experiment at every point of its grid, with their tuned settings.

    Empty where the experiment declares none. Of a label and a point of the grid, "LABEL, NAME
    VALUE" is the row. What `trial` holds comes last, so that a trial changes any of it.
    """
    plain = plain_rows(config)
    expanded = dict(_on_grid(plain, config))
    trial = list(config.trial)
    if config.tuning is None:
        return {label: [*values, *trial] for label, (_, values) in expanded.items()}
    winners = read_winners(config.tuning, search_folders(overrides))
    return {
        label: [*values, *trial]
        if base in config.untuned
        else [*values, *overrides_of_row(winners, label, base, plain[base]), *trial]
        for label, (base, values) in expanded.items()
    }


def plain_rows(config: DictConfig) -> dict[str, list[str]]:
    """The rows of a composed experiment as they are declared, without grid and tuning."""
    rows = OmegaConf.to_container(config.rows, resolve=True)
    check("rows", rows, dict[str, list[str]])
    assert isinstance(rows, dict)
    return {str(label): list(values) for label, values in rows.items()}


def _on_grid(
    rows: dict[str, list[str]], config: DictConfig
) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """(label, (the row's own label, overrides)) for every row, or for every point of it."""
    grid = OmegaConf.to_container(config.grid, resolve=True) if config.grid else None
    check("grid", grid, Grid | None)
    if not isinstance(grid, dict):
        yield from ((label, (label, values)) for label, values in rows.items())
        return
    for label, values in rows.items():
        for value, own in grid["values"].items():
            yield grid_label(label, grid["name"], value), (label, [*values, *own])


def single_cell(overrides: Sequence[str]) -> Cell:
    """The one cell that a command line without sweeps names.

    Raises:
        ImpossibleSettingError: where the experiment has rows and none is chosen, or the
            configuration is not sound.
    """
    config = compose_config(overrides)
    rows = declared_rows(config, overrides)
    row = config.row
    if rows and row is None:
        raise ImpossibleSettingError(
            f"The experiment {config.name} has {len(rows)} rows: choose one with row=LABEL "
            f"({'; '.join(rows)}), or run all of them with -m."
        )
    if row is None and config.tuning is not None:
        raise ImpossibleSettingError(
            f"tuning = {config.tuning} holds winners of rows, and there are none here: choose an "
            "experiment, or set tuning to null."
        )
    if row is None:
        return _cell(config, None, config.seed, overrides)
    row_config = compose_config(row_overrides(overrides, row, rows))
    cell = _cell(row_config, row, config.seed, overrides)
    return replace(cell, tuning=_tuning(cell, [config.seed]))


def experiment_cells(overrides: Sequence[str]) -> list[Cell]:
    """Every cell of an experiment, row by row; one a row where training draws nothing at random.

    Raises:
        ImpossibleSettingError: where the experiment has no rows, or a row is not sound.
    """
    config = compose_config(overrides)
    if config.fit is not None:
        raise ImpossibleSettingError(
            f"The experiment {config.name} trains policies, and pipeline=fit_oracle learns an "
            "oracle: run it alone with nlhf run."
        )
    rows = declared_rows(config, overrides)
    if not rows:
        raise ImpossibleSettingError(
            f"The experiment {config.name} declares no rows: run it with nlhf run."
        )
    return [cell for label in rows for cell in row_cells(overrides, label, rows)]


def row_cells(overrides: Sequence[str], label: str, rows: dict[str, list[str]]) -> Iterator[Cell]:
    """The cells of one row: one a seed, or one where training draws nothing at random."""
    composed = compose_config(row_overrides(overrides, label, rows))
    seeds = OmegaConf.to_container(composed.seeds.get("values", []))
    check(f"seeds.values of row {label!r}", seeds, list[int])
    assert isinstance(seeds, list)
    if not seeds or len(set(seeds)) < len(seeds):
        raise ImpossibleSettingError(f"seeds.values = {seeds} must hold seeds that differ: fix it.")
    for world in _worlds(composed):
        tuning = _tuning(_cell(composed, label, seeds[0], overrides, world), seeds)
        for seed in seeds:
            cell = replace(_cell(composed, label, seed, overrides, world), tuning=tuning)
            yield cell
            if is_deterministic(cell.config):
                break


def _worlds(composed: DictConfig) -> list[int]:
    """The worlds that the rows of an experiment are run in; its one world where it lists none."""
    if composed.worlds is None:
        return [composed.world]
    worlds = OmegaConf.to_container(composed.worlds)
    check("worlds", worlds, list[int])
    assert isinstance(worlds, list)
    if not worlds or len(set(worlds)) < len(worlds):
        raise ImpossibleSettingError(f"worlds = {worlds} must hold worlds that differ: fix it.")
    return worlds


def _tuning(cell: Cell, seeds: Sequence[int]) -> Tuning | None:
    """Where the cell's settings come from, its world and seeds none that the search has seen."""
    name = cell.config["tuning"]
    if name is None:
        return None
    base, _ = grid_point(cell.config)
    if base in cell.config["untuned"]:
        return None
    winners = read_winners(name, search_folders(cell.overrides))
    return tuning_of_row(winners, cell.row or "", base, cell.config, seeds)


def _cell(
    config: DictConfig,
    row: str | None,
    seed: Any,
    overrides: Sequence[str],
    world: int | None = None,
) -> Cell:
    with open_dict(config):
        config.seed = seed
        if world is not None:
            config.world = world
        config.row = row
    return Cell(row, seed, resolved_config(config), tuple(overrides))
