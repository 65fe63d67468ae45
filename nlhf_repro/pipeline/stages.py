"""The two stages of a cell: train, and score the trained policies with one benchmark."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nlhf_repro.interfaces import (
    Array,
    Game,
    Ledger,
    TrainingSettings,
    Trajectory,
)
from nlhf_repro.pipeline.measured import PeakMemory
from nlhf_repro.pipeline.parts import build
from nlhf_repro.pipeline.training import train
from nlhf_repro.seeds import generator_for

Config = Mapping[str, Any]
ITERATES = ("last", "average")


def train_stage(config: Config, factors: tuple[str | int, ...], folder: Path) -> None:
    """Train as configured; write trajectory.npz, ledger.json and the measured measured.json."""
    settings = TrainingSettings(**config["training"])
    game = game_of(config)
    start = time.perf_counter()
    with PeakMemory() as memory:
        trajectory = train(
            build(config["algorithm"]),
            build(config["model"]),
            game,
            [build(node) for node in config["oracle_wrapper"].values()],
            settings,
            config["budget"]["comparisons"],
            generators(factors),
        )
    measured = {"seconds": time.perf_counter() - start, "peak_memory_mib": memory.mebibytes}
    save_trajectory(folder, trajectory)
    (folder / "measured.json").write_text(json.dumps(measured))


def evaluate_stage(
    config: Config, name: str, policy_key: str, benchmark_version: str, training: Path, folder: Path
) -> None:
    """Score every recorded policy with one benchmark; write scores.parquet, benchmark.json."""
    benchmark = build(config["benchmark"][name])
    trajectory = load_trajectory(training)
    game = game_of(config)
    scores = {}
    for iterate in ITERATES:
        log_policy = getattr(trajectory, iterate)
        if log_policy is not None:
            values = np.asarray(benchmark.score(game, log_policy), dtype=np.float64)
            check_scores(values, name, iterate, trajectory.updates)
            scores[iterate] = values
    write_scores(folder, scores, trajectory.updates, policy_key, name, benchmark_version)
    description = {"benchmark": name, "version": benchmark_version, "floor": float(benchmark.floor)}
    (folder / "benchmark.json").write_text(json.dumps(description, sort_keys=True))


def generators(factors: tuple[str | int, ...]) -> Callable[[str], np.random.Generator]:
    """One random stream a name, all derived from the factors."""
    return lambda stream: generator_for(stream, *factors)


def game_of(config: Config) -> Game:
    """The batch of games of the configured world."""
    game: Game = build(config["oracle"]).game(config["world"])
    return game


def check_scores(
    values: Array, name: str, iterate: str, updates: Array, item_noun: str = "game"
) -> None:
    """Refuse scores that are not finite.

    Raises:
        FloatingPointError: naming the first update and item whose score is no number.
    """
    broken = np.argwhere(~np.isfinite(values))
    if broken.size:
        point, item = (int(index) for index in broken[0])
        raise FloatingPointError(
            f"{name} of the {iterate} iterate is {values[point, item]} at update "
            f"{updates[point]:g} of {item_noun} {item}: the policy diverged or lost actions; "
            "lower the step size."
        )


def save_trajectory(folder: Path, trajectory: Trajectory) -> None:
    """Write trajectory.npz and ledger.json; equal trajectories give equal bytes."""
    arrays = {
        field.name: getattr(trajectory, field.name)
        for field in dataclasses.fields(trajectory)
        if field.name != "ledger" and getattr(trajectory, field.name) is not None
    }
    np.savez(folder / "trajectory.npz", **arrays)
    ledger = json.dumps(dataclasses.asdict(trajectory.ledger), indent=2)
    (folder / "ledger.json").write_text(ledger)


def load_trajectory(folder: Path) -> Trajectory:
    """The trajectory that `save_trajectory` wrote."""
    ledger = Ledger(**json.loads((folder / "ledger.json").read_text()))
    with np.load(folder / "trajectory.npz") as arrays:
        return Trajectory(**{"average": None, **arrays}, ledger=ledger)


def at_last(values: Array, points: int) -> Array:
    """[points, ...]: what was scored at the last recorded update alone, NaN elsewhere."""
    padded = np.full((points, *values.shape), np.nan)
    padded[-1] = values
    return padded


def write_judge_draws(folder: Path, draws: Mapping[str, Array]) -> None:
    """Write judge_draws.npz: by iterate the scores by every draw, [points, draws, items].

    Their means over draws are the scores of `write_scores`, with NaN at the same points; the same
    draw (a member of a panel, or a number of a re-run) has the same place in every run. Written for
    one draw too: a table then says that it is one. Equal arrays give equal bytes.

    Raises:
        ValueError: an array has another number of dimensions.
    """
    for iterate, values in draws.items():
        if np.ndim(values) != 3:
            raise ValueError(
                f"The judge's draws of the {iterate} iterate have shape {np.shape(values)}: give "
                "[points, draws, items]."
            )
    arrays: dict[str, Any] = {x: np.asarray(each, np.float64) for x, each in draws.items()}
    np.savez(folder / "judge_draws.npz", **arrays)


def write_scores(
    folder: Path, scores: Mapping[str, Array], updates: Array, policy: str, name: str, version: str
) -> None:
    """One line an iterate, update and item; a game or a prompt is an item and its own cluster."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    points, items = next(iter(scores.values())).shape
    rows = len(scores) * points * items
    item = np.tile(np.arange(items), len(scores) * points)
    columns = {
        "policy": pa.array([policy] * rows).dictionary_encode(),
        "benchmark": pa.array([name] * rows).dictionary_encode(),
        "benchmark_version": pa.array([version] * rows).dictionary_encode(),
        "item": item,
        "cluster": item,
        "iterate": pa.array(np.repeat(list(scores), points * items)).dictionary_encode(),
        "update": np.tile(np.repeat(updates, items), len(scores)),
        "value": np.concatenate([values.ravel() for values in scores.values()]),
    }
    pq.write_table(pa.table(columns), folder / "scores.parquet", compression="zstd")
