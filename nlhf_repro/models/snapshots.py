"""Weights of a policy on disk: safetensors, loaded when they are used; nothing is pickled."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from nlhf_repro.interfaces import ImpossibleSettingError, Snapshot

PARAMETERS, OPTIMIZER = "parameters/", "optimizer/"


@final
class DiskParameters(Mapping[str, torch.Tensor]):
    """The tensors of a safetensors file by name, each read when it is asked for.

    With a prefix, only the names that begin with it, without it. `metadata` are the file's texts.

    Raises:
        ImpossibleSettingError: The file is missing, truncated, or of another kind.
    """

    def __init__(self, path: Path, prefix: str = "") -> None:
        self.path, self.prefix = Path(path), prefix
        if not self.path.is_file():
            raise ImpossibleSettingError(
                f"{self.path} is missing: run the command that wrote it again."
            )
        with self._opened() as file:
            self.metadata: dict[str, str] = dict(file.metadata() or {})
            names: list[str] = file.keys()
        self._names = {x.removeprefix(prefix): None for x in names if x.startswith(prefix)}

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in self._names:
            raise KeyError(name)
        with self._opened() as file:
            tensor: torch.Tensor = file.get_tensor(self.prefix + name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            with safe_open(self.path, framework="pt") as file:
                yield file
        except (SafetensorError, OSError) as error:
            raise _damaged(self.path, str(error)) from error


def _damaged(path: Path, reason: str) -> ImpossibleSettingError:
    return ImpossibleSettingError(
        f"{path} is no whole file of weights ({reason}): delete it and run the command that wrote "
        "it again."
    )


def write_parameters(
    path: Path, parameters: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors by name, and texts; the file is there whole, or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        save_file(_apart(parameters), partial, dict(metadata or {}))
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors on the CPU, copied where they are parts of others: the format shares nothing."""
    found: dict[str, torch.Tensor] = {}
    storages: set[int] = set()
    for name in tensors:
        value = tensors[name].detach().cpu().contiguous()
        storage = value.untyped_storage()
        if storage.nbytes() != value.nbytes or storage.data_ptr() in storages:
            value = value.clone()
        storages.add(value.untyped_storage().data_ptr())
        found[name] = value
    return found


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write a policy's weights and its optimizer's state, which holds numbers, texts and tensors.

    Raises:
        TypeError: The optimizer's state holds something else.
    """
    tensors = {PARAMETERS + name: snapshot.parameters[name] for name in snapshot.parameters}
    state = _packed(dict(snapshot.optimizer_state), tensors)
    write_parameters(path, tensors, {OPTIMIZER: json.dumps(state)})


def read_snapshot(path: Path) -> Snapshot:
    """The snapshot that was written: weights read when they are used, the state at once.

    Raises:
        ImpossibleSettingError: The file is missing, truncated, or of another kind.
    """
    held = DiskParameters(path, OPTIMIZER)
    if OPTIMIZER not in held.metadata:
        raise _damaged(Path(path), "it holds no optimizer's state")
    state = _unpacked(json.loads(held.metadata[OPTIMIZER]), held)
    return Snapshot(DiskParameters(path, PARAMETERS), state)


@final
class DiskOptimizerState(Mapping[str, Any]):
    """The optimizer's state of a snapshot's file, read whenever a part of it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def __getitem__(self, name: str) -> Any:
        return read_snapshot(self.path).optimizer_state[name]

    def __iter__(self) -> Iterator[str]:
        return iter(read_snapshot(self.path).optimizer_state)

    def __len__(self) -> int:
        return len(read_snapshot(self.path).optimizer_state)


def _packed(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The value as JSON, its tensors set aside under new names."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[OPTIMIZER + name] = value
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"items": [[key, _packed(child, tensors)] for key, child in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_packed(child, tensors) for child in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"an optimizer's state of {type(value).__name__} cannot be written.")


def _unpacked(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    [(kind, held)] = value.items()
    if kind == "tensor":
        return tensors[held]
    if kind == "items":
        return {key: _unpacked(child, tensors) for key, child in held}
    children = [_unpacked(child, tensors) for child in held]
    return tuple(children) if kind == "tuple" else children
