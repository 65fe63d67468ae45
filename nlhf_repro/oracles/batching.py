"""Rows of tokens through a model: each different row once, rows of a length together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import final

import numpy as np
import torch

from nlhf_repro.interfaces import Array

Row = tuple[int, ...]
Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Takes tokens and mask, both [rows, columns], padded on the right; returns a number a row."""


def in_batches(
    rows: Sequence[Row], batch_size: int, pad: int, device: str, forward: Forward
) -> Array:
    """The model's numbers of the rows, [rows], in their order.

    Equal sets of rows are computed in equal batches, the longest first, so that the order in which
    they are asked about changes no bit. Another batch changes a number by a rounding of the
    model's, which is all that its neighbors do; `batch_size` 1 takes that away too.

    Raises:
        ValueError: a number is not finite.
    """
    different = sorted(set(rows), key=lambda row: (-len(row), row))
    found: dict[Row, float] = {}
    with torch.inference_mode():
        for start in range(0, len(different), batch_size):
            batch = different[start : start + batch_size]
            values = forward(*padded(batch, pad, device))
            found.update(zip(batch, values.double().cpu().tolist(), strict=True))
    numbers = np.array([found[row] for row in rows], dtype=np.float64)
    if not np.isfinite(numbers).all():
        bad = int((~np.isfinite(numbers)).sum())
        raise ValueError(
            f"the model of oracle.name_or_path gives {bad} of {len(numbers)} texts a number that "
            "is not finite: its weights are damaged, or oracle.dtype is too coarse for them."
        )
    return numbers


@final
class RowNumbers:
    """`in_batches` with a memory: a row that comes again is not computed again.

    So that P and that of the exchanged responses sum to 1 whatever else is asked with them. Beyond
    `kept` rows those that are not asked about are forgotten.
    """

    def __init__(self, batch_size: int, pad: int, device: str, forward: Forward, kept: int) -> None:
        self._computed: Callable[[Sequence[Row]], Array] = partial(
            in_batches, batch_size=batch_size, pad=pad, device=device, forward=forward
        )
        self._kept = kept
        self._known: dict[bytes, float] = {}

    def __call__(self, rows: Sequence[Row]) -> Array:
        """The model's numbers of the rows, [rows].

        Raises:
            ValueError: a number is not finite.
        """
        keys = [hashlib.blake2b(np.array(row).tobytes(), digest_size=16).digest() for row in rows]
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in self._known}
        if len(self._known) + len(new) > self._kept:
            self._known = {key: self._known[key] for key in keys if key in self._known}
        if new:
            values = self._computed(list(new.values()))
            self._known.update(zip(new, values.tolist(), strict=True))
        return np.array([self._known[key] for key in keys], dtype=np.float64)


def padded(rows: Sequence[Row], pad: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and mask of the rows, [rows, columns], padded on the right."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    mask = (torch.arange(width) < lengths[:, None]).long()
    return ids.to(device), mask.to(device)


def sigmoid(value: Array) -> Array:
    """1 / (1 + exp(-value)), as 1/2 plus an odd function: P(x) + P(-x) is 1 to a rounding."""
    return np.asarray(0.5 + 0.5 * np.tanh(value / 2), dtype=np.float64)
