"""What complete runs of this machine spent: the only source of a plan's times."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import InstantiationException

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.cell import read_run
from nlhf_repro.pipeline.keys import is_language
from nlhf_repro.pipeline.planned import PlannedTraining, planned_training

Config = Mapping[str, Any]
OWN, SIMILAR = "runs of this row", "other runs of this model"


@dataclass(frozen=True)
class MeasuredRun:
    """One complete run of this machine; its configuration as it was written."""

    key: str
    config: Config
    record: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """Of training."""
        return float(self.record["measured"]["seconds"])

    @property
    def mebibytes(self) -> float:
        """At the peak of training."""
        return float(self.record["measured"]["peak_memory_mib"])


@dataclass(frozen=True)
class Speed:
    """What a training is expected to take, from `runs` runs; `source` says which.

    least and most are seconds, one number where the row itself was run: the mean. Of other rows,
    those between which the time lies if it is so much a sampled response and so much a trained one.
    """

    least: float
    most: float
    mebibytes: float  # the largest peak
    tokens: tuple[float, float] | None  # sampled and trained, of a training; None: not known
    runs: int
    source: str


def measured_runs(output_dir: Path) -> list[MeasuredRun]:
    """The complete runs below the folder that this machine computed."""
    found = []
    for path in sorted(output_dir.glob("runs/*/run.json")):
        record = read_run(path.parent)
        if record.get("status") != "complete" or record.get("host") != socket.gethostname():
            continue
        # A run that cannot be read gives no time; the plan says how many runs a time rests on.
        with contextlib.suppress(OSError, yaml.YAMLError, KeyError):
            config = yaml.load((path.parent / "config.yaml").read_text(), _loader())
            found.append(MeasuredRun(record["key"], config, record))
    return found


def _loader() -> Any:
    """PyYAML's safe loader in C, ten times as fast, where it was built."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def speed_of(
    config: Config, keys: Sequence[str], planned: PlannedTraining, runs: Sequence[MeasuredRun]
) -> Speed | None:
    """What a training of the row takes, whose cells have these keys; None: nobody has measured it.

    Runs of the row itself go before those of other rows with the same model and generation, whose
    times are scaled by responses sampled and by responses trained.
    """
    own = [run for run in runs if run.key in keys]
    if own:
        seconds = sum(run.seconds for run in own) / len(own)
        most = max(run.mebibytes for run in own)
        return Speed(seconds, seconds, most, _tokens(own), len(own), OWN)
    similar = [run for run in runs if _is_similar(config, run.config)]
    bounds = [x for run in similar if (x := _bounds(planned, run)) is not None]
    if not bounds:
        return None
    return Speed(
        sum(low for low, _ in bounds) / len(bounds),
        sum(high for _, high in bounds) / len(bounds),
        max(run.mebibytes for run in similar),
        None,
        len(bounds),
        SIMILAR,
    )


def _tokens(runs: Sequence[MeasuredRun]) -> tuple[float, float]:
    ledgers = [run.record["ledger"] for run in runs]
    sampled, trained = (
        sum(ledger[name] for ledger in ledgers) / len(runs)
        for name in ("sampled_tokens", "trained_tokens")
    )
    return sampled, trained


def _is_similar(config: Config, other: Config) -> bool:
    """Whether times of a response, sampled or trained, carry over: of language models alone."""
    if not is_language(config) or not other.get("language"):
        return False
    names = ("max_new_tokens", "backend", "microbatch", "sampling_batch")
    language, theirs = config["language"], other["language"]
    same = all(language[name] == theirs.get(name) for name in names)
    oracles = config["oracle"] == other["oracle"]
    return bool(same and oracles and config["model"] == other["model"])


def _bounds(planned: PlannedTraining, run: MeasuredRun) -> tuple[float, float] | None:
    """The run's seconds scaled by responses sampled and by responses trained, the smaller first.

    None where either has none, or the run is of a version whose settings mean nothing here.
    """
    try:
        done = planned_training(run.config)
    except (ImpossibleSettingError, InstantiationException, KeyError, TypeError):
        return None
    pairs = [
        (planned.responses, done.responses),
        (planned.trained_responses, done.trained_responses),
    ]
    if any(not here or not there for here, there in pairs):
        return None
    scaled = [run.seconds * here / there for here, there in pairs if here and there]
    return min(scaled), max(scaled)


def judge_tokens(
    identity: Mapping[str, Any], runs: Sequence[MeasuredRun]
) -> tuple[float, float] | None:
    """Mean tokens of a call and of its reply by the same judge; None where nobody was charged."""
    wanted = json.loads(json.dumps(identity))
    usages = [
        judged["usage"]
        for run in runs
        for judged in (run.record.get("judges") or {}).values()
        if judged["identity"] == wanted
    ]
    calls = sum(usage["calls"] for usage in usages)
    if not calls:
        return None
    prompt, completion = (
        sum(usage[name] for usage in usages) / calls
        for name in ("prompt_tokens", "completion_tokens")
    )
    return (prompt, completion) if prompt else None
