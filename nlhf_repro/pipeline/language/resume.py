"""The whole state of a language run between two updates, on disk and back, without pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from nlhf_repro.interfaces import Ledger, Snapshot
from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy
from nlhf_repro.models.snapshots import DiskParameters, write_parameters
from nlhf_repro.pipeline.collection import SamplingCollector
from nlhf_repro.pipeline.comparisons import PairData, PointData, PreferenceData
from nlhf_repro.pipeline.files import file_digest, write_json
from nlhf_repro.pipeline.language.checkpoints import CheckpointRecorder
from nlhf_repro.pipeline.language.log import TrainingLog
from nlhf_repro.pipeline.language.prompts import PromptDeck
from nlhf_repro.pipeline.sampled import SampledRun

STATE, TENSORS = "resume.json", "resume-{}.safetensors"
Tensors = dict[str, torch.Tensor]


def save_state(
    folder: Path, run: SampledRun, recorder: CheckpointRecorder, log: TrainingLog
) -> None:
    """Replace the state in the folder; a kill leaves the former one or this one, whole.

    The tensors have a file of their own for every update, and the state names it: it is replaced
    last, and the former tensors go after that.
    """
    collector = run.collector
    assert isinstance(collector, SamplingCollector)
    assert isinstance(collector.source, PromptDeck)
    numbered = _numbered(run)
    tensors: Tensors = {}
    snapshots = [_pack_snapshot(f"snapshot/{i}", x, tensors) for i, x in enumerate(numbered)]
    policy = run.trainable
    assert isinstance(policy, CausalLanguageModelPolicy)
    for name, data in run.data.items():
        _pack_data(f"data/{name}", data, tensors)
    for name, tensor in policy.bank.export().items():
        tensors[f"bank/{name}"] = tensor
    file = folder / TENSORS.format(run.updates)
    write_parameters(file, tensors)
    state = {
        "tensors": {"name": file.name, "sha256": file_digest(file)},
        "updates": run.updates,
        "snapshots": snapshots,
        "slots": {name: numbered.index(snapshot) for name, snapshot in run.slots.items()},
        "start": numbered.index(run.start),
        "live": numbered.index(run.trainer.live),
        "data": {name: type(data).__name__ for name, data in run.data.items()},
        "ledger": asdict(collector.ledger),
        "streams": {name: x.bit_generator.state for name, x in collector.streams.items()},
        "source": collector.source.state(),
        "minibatches": run.trainer.generator.bit_generator.state,
        "gradient_steps": run.trainer.gradient_steps,
        "tokens": [policy.sampled_tokens, policy.trained_tokens],
        "recorder": recorder.state(),
        "log": log.lines,
    }
    write_json(folder / STATE, state)
    for path in folder.glob(TENSORS.format("*")):
        if path != file:
            path.unlink()


def load_state(
    folder: Path, run: SampledRun, recorder: CheckpointRecorder, log: TrainingLog
) -> bool:
    """Put a fresh run where the folder's state is; False where none is whole."""
    try:
        state = json.loads((folder / STATE).read_text())
        file = folder / state["tensors"]["name"]
        if file_digest(file) != state["tensors"]["sha256"] or not recorder.holds(state["recorder"]):
            return False
    except (OSError, ValueError, KeyError, TypeError):
        return False
    tensors = DiskParameters(file)
    collector, policy = run.collector, run.trainable
    assert isinstance(collector, SamplingCollector)
    assert isinstance(collector.source, PromptDeck)
    assert isinstance(policy, CausalLanguageModelPolicy)
    snapshots = [
        _unpack_snapshot(f"snapshot/{i}", x, tensors) for i, x in enumerate(state["snapshots"])
    ]
    run.updates = state["updates"]
    run.continue_from(
        snapshots[state["start"]],
        {name: snapshots[i] for name, i in state["slots"].items()},
        snapshots[state["live"]],
    )
    policy.bank.restore(_below("bank", tensors))
    run.data = {name: _unpack_data(f"data/{name}", x, tensors) for name, x in state["data"].items()}
    collector.ledger = Ledger(**state["ledger"])
    for name, generator in collector.streams.items():
        generator.bit_generator.state = state["streams"][name]
    collector.source.restore(state["source"])
    run.trainer.generator.bit_generator.state = state["minibatches"]
    run.trainer.gradient_steps = state["gradient_steps"]
    policy.sampled_tokens, policy.trained_tokens = state["tokens"]
    recorder.restore(state["recorder"])
    log.lines = list(state["log"])
    return True


def _numbered(run: SampledRun) -> list[Snapshot]:
    """Every snapshot that the run still needs, each once."""
    return list(dict.fromkeys([run.start, run.trainer.live, *run.slots.values()]))


def _pack_snapshot(prefix: str, snapshot: Snapshot, tensors: Tensors) -> dict[str, Any]:
    for name, value in snapshot.parameters.items():
        tensors[f"{prefix}/parameter/{name}"] = value
    described: dict[str, Any] = {}
    if snapshot.optimizer_state:
        for index, entries in snapshot.optimizer_state["state"].items():
            for key, value in entries.items():
                tensors[f"{prefix}/optimizer/{index}/{key}"] = value
        described["groups"] = snapshot.optimizer_state["param_groups"]
    return described


def _unpack_snapshot(
    prefix: str, described: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]
) -> Snapshot:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _below(f"{prefix}/optimizer", tensors).items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = value
    groups = described.get("groups")
    optimizer = {"state": state, "param_groups": groups} if groups is not None else {}
    return Snapshot(_below(f"{prefix}/parameter", tensors), optimizer)


def _pack_data(prefix: str, data: PreferenceData, tensors: Tensors) -> None:
    for field in fields(data):
        tensors[f"{prefix}/{field.name}"] = getattr(data, field.name)


def _unpack_data(prefix: str, kind: str, tensors: Mapping[str, torch.Tensor]) -> PreferenceData:
    columns = _below(prefix, tensors)
    return PairData(**columns) if kind == "PairData" else PointData(**columns)


def _below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    def found() -> Iterator[tuple[str, torch.Tensor]]:
        for name in tensors:
            if name.startswith(f"{prefix}/"):
                yield name.removeprefix(f"{prefix}/"), tensors[name]

    return dict(found())
