"""Weights of a policy on disk: safetensors, loaded when they are used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from nlhf_repro.interfaces import ImpossibleSettingError


@final
class DiskParameters(Mapping[str, torch.Tensor]):
    """The tensors of a safetensors file by name, each read when it is asked for.

    Raises:
        ImpossibleSettingError: The file is missing, truncated, or of another kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise ImpossibleSettingError(
                f"{self.path} is missing: run the command that wrote it again."
            )
        self._names = self._read(None)

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in self._names:
            raise KeyError(name)
        return self._read(name)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _read(self, name: str | None) -> dict[str, torch.Tensor]:
        """The named tensor, or all names with empty tensors."""
        try:
            with safe_open(self.path, framework="pt") as file:
                if name is None:
                    return {key: torch.empty(0) for key in file.keys()}  # noqa: SIM118
                return {name: file.get_tensor(name)}
        except (SafetensorError, OSError) as error:
            raise ImpossibleSettingError(
                f"{self.path} is no whole safetensors file ({error}): delete it and run the "
                "command that wrote it again."
            ) from error


def write_parameters(path: Path, parameters: Mapping[str, torch.Tensor]) -> None:
    """Write tensors by name; the file is there whole, or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        save_file(_apart(parameters), partial)
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
