"""A cell: train once, score with every benchmark, record what happened in a folder."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import subprocess
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from nlhf_repro.pipeline.evaluation_keys import benchmark_version, cell_key, evaluation_key
from nlhf_repro.pipeline.files import exclusive, write_atomically, write_json
from nlhf_repro.pipeline.keys import (
    is_deterministic,
    is_language,
    language_keys,
    seed_factors,
    train_key,
)
from nlhf_repro.pipeline.metrics import metrics_lines
from nlhf_repro.pipeline.parts import build
from nlhf_repro.pipeline.stages import evaluate_stage, load_trajectory, train_stage
from nlhf_repro.pipeline.store import StageStore

Config = Mapping[str, Any]
LIBRARIES = (
    *("nlhf_repro", "hydra-core", "numpy", "omegaconf", "pyarrow", "scipy", "torch"),
    *("transformers", "tokenizers"),
)


@dataclass(frozen=True)
class CellResult:
    """Where a cell's records are; `fresh` says that this call wrote them."""

    key: str
    directory: Path
    fresh: bool


def run_directory(output_dir: Path, key: str) -> Path:
    """The folder of the cell of this key."""
    return output_dir / "runs" / key[:16]


def read_run(directory: Path) -> dict[str, Any]:
    """run.json; empty where there is none, or none that can be read."""
    with contextlib.suppress(OSError, ValueError):
        record = json.loads((directory / "run.json").read_text())
        return record if isinstance(record, dict) else {}
    return {}


def stage_store(output_dir: Path) -> StageStore:
    """The store of the stages that all cells of an output folder share."""
    return StageStore(output_dir / "stages")


def is_complete(output_dir: Path, key: str) -> bool:
    """Whether the cell's record says so and every stage that it names is intact."""
    run = read_run(run_directory(output_dir, key))
    if run.get("status") != "complete" or run.get("key") != key:
        return False
    store = stage_store(output_dir)
    stages = run["stages"]
    named = [("train", stages["train"]), *(("evaluate", x) for x in stages["evaluate"].values())]
    return all(store.fault(stage, stage_key) is None for stage, stage_key in named)


def is_running(run: Mapping[str, Any]) -> bool:
    """Whether the writer of a `running` record still lives; one on another host is taken to."""
    if run.get("status") != "running":
        return False
    if run["host"] != socket.gethostname():
        return True
    try:
        os.kill(run["process"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's process, alive
        return True
    return True


def run_cell(config: Config, overrides: Sequence[str]) -> CellResult:
    """Compute what the cell lacks and record it; a complete cell is left as it is.

    Raises:
        Exception: whatever training or scoring raised, after recording it as the cell's failure.
    """
    output_dir = Path(config["output_dir"])
    key = cell_key(config)
    directory = run_directory(output_dir, key)
    with exclusive(output_dir / "runs" / "locks" / f"{key[:16]}.lock"):
        if is_complete(output_dir, key):
            return CellResult(key, directory, fresh=False)
        write_atomically(directory / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))
        write_atomically(directory / "overrides.txt", "".join(f"{x}\n" for x in overrides))
        record = _opening(config, key)
        with _failures_recorded(directory, record):
            _compute(config, stage_store(output_dir), directory, record)
    return CellResult(key, directory, fresh=True)


def _compute(config: Config, store: StageStore, directory: Path, record: dict[str, Any]) -> None:
    if is_language(config):
        from nlhf_repro.pipeline.language.cell import language_stages as stages
    else:
        stages = game_stages
    training, evaluations = stages(config, store)
    trajectory = load_trajectory(training)
    write_atomically(directory / "metrics.jsonl", metrics_lines(trajectory, evaluations))
    if (training / "training.jsonl").exists():
        write_atomically(directory / "training.jsonl", (training / "training.jsonl").read_text())
    measured = json.loads((training / "measured.json").read_text())
    ledger, judges = asdict(trajectory.ledger), _judges(evaluations)
    complete = {"status": "complete", "ledger": ledger, "measured": measured, "judges": judges}
    write_json(directory / "run.json", {**record, **complete})


def _judges(evaluations: Mapping[str, Path]) -> dict[str, Any]:
    """By judged benchmark who judged, and what was asked, replayed and paid when it was."""
    paths = {name: folder / "judge.json" for name, folder in evaluations.items()}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def game_stages(config: Config, store: StageStore) -> tuple[Path, dict[str, Path]]:
    """The folders of the training and of every evaluation, computed where they lack."""
    policy_key = train_key(config)
    training = store.obtain(
        "train", policy_key, lambda folder: train_stage(config, seed_factors(config), folder)
    )
    evaluations = {
        name: store.obtain(
            "evaluate",
            evaluation_key(config, name),
            partial(
                evaluate_stage, config, name, policy_key, benchmark_version(config, name), training
            ),
        )
        for name in config["benchmark"]
    }
    return training, evaluations


@contextlib.contextmanager
def _failures_recorded(directory: Path, record: Mapping[str, Any]) -> Iterator[None]:
    write_json(directory / "run.json", {**record, "status": "running"})
    try:
        yield
    except Exception as error:
        write_atomically(directory / "traceback.txt", traceback.format_exc())
        line = " ".join(str(error).split()) or "no message"
        message = f"{type(error).__name__}: {line}"
        write_json(directory / "run.json", {**record, "status": "failed", "error": message})
        raise
    (directory / "traceback.txt").unlink(missing_ok=True)


def _opening(config: Config, key: str) -> dict[str, Any]:
    return {
        "key": key,
        "stages": {
            "train": train_key(config),
            "evaluate": {name: evaluation_key(config, name) for name in config["benchmark"]},
            **(language_keys(config) if is_language(config) else {}),
        },
        "experiment": config["name"],
        "row": config["row"],
        "seed": None if is_deterministic(config) else config["seed"],
        "seed_design": config["seeds"]["design"],
        "world": config["world"],
        "regularization": float(build(config["algorithm"]).regularization),
        "versions": {name: version(name) for name in LIBRARIES},
        "python": platform.python_version(),
        "commit": commit(),
        "hardware": {
            "machine": platform.machine(),
            "system": platform.system(),
            "processors": os.cpu_count(),
            "threads": os.environ.get("OMP_NUM_THREADS"),
        },
        "host": socket.gethostname(),
        "process": os.getpid(),
    }


@cache
def commit() -> dict[str, Any] | None:
    """The commit of the checkout that the package runs from, null outside of one."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder)]
    try:
        tracked = subprocess.run([*command, "ls-files", "cell.py"], capture_output=True, text=True)
        if tracked.returncode or not tracked.stdout.strip():
            return None
        head = subprocess.run([*command, "rev-parse", "HEAD"], capture_output=True, text=True)
        changes = subprocess.run([*command, "status", "-s"], capture_output=True, text=True)
    except OSError:
        return None
    return {"hash": head.stdout.strip(), "dirty": bool(changes.stdout.strip())}
