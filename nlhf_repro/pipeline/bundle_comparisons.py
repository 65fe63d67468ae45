"""Rows against each other in a bundle: what they did at a seed and world, beside the scores."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlhf_repro.interfaces import RoundRobinSettings
from nlhf_repro.pipeline.records import DeclaredCell
from nlhf_repro.pipeline.store import StageStore

if TYPE_CHECKING:
    from nlhf_repro.pipeline.language.comparison import SeedComparison

_ARRAYS = ("wins", "bound", "half", "trained", "truth")


@dataclass(frozen=True)
class Unit:
    """What the complete rows did against each other at a seed and world.

    Attributes:
        at: the seed and the world.
        keys: by label of a row the key of its cell here.
        settings: what the table's `round_robin` asked for.
        found: what they did.
        stages: keys of the stages `compare` that this was read from.
    """

    at: tuple[int, int]
    keys: Mapping[str, str]
    settings: Mapping[str, Any]
    found: SeedComparison
    stages: tuple[str, ...]

    @property
    def file(self) -> str:
        """Its arrays, in a bundle."""
        return "comparisons/seed-{}-world-{}.npz".format(*self.at)

    def arrays(self) -> dict[str, Any]:
        """By name the arrays that were asked for."""
        named = {name: getattr(self.found, name) for name in _ARRAYS}
        return {name: x for name, x in named.items() if x is not None}

    def packed(self) -> bytes:
        """The arrays as .npz; equal ones give equal bytes."""
        written = io.BytesIO()
        np.savez(written, **self.arrays())
        return written.getvalue()

    def described(self) -> dict[str, Any]:
        """All but the arrays, as JSON."""
        return {
            "at": list(self.at),
            "keys": dict(self.keys),
            "settings": dict(self.settings),
            "chosen": {label: dict(counts) for label, counts in self.found.chosen.items()},
            "stages": list(self.stages),
            "file": self.file,
        }


def stored_units(
    cells: Sequence[DeclaredCell],
    complete: Sequence[DeclaredCell],
    settings: RoundRobinSettings | None,
    store: StageStore,
) -> list[Unit]:
    """What the store has of the rows whose cells are all complete, at every seed and world."""
    if settings is None:
        return []
    from nlhf_repro.pipeline.language.comparison import (
        NotComparedError,
        comparison_stages,
        read_comparison,
    )
    from nlhf_repro.pipeline.language.round_robins import units

    whole = {cell.key for cell in complete}
    lacking = {cell.row for cell in cells if cell.key not in whole}
    labels = list(dict.fromkeys(cell.row for cell in cells if cell.row not in lacking))
    keys = {(cell.row, cell.seed, cell.world): cell.key for cell in cells}
    stored = []
    for at, rows in units(cells, labels).items():
        try:
            found = read_comparison(rows, settings, store)
        except NotComparedError:
            continue
        own = {label: keys[label, *at] for label in rows}
        stages = tuple(comparison_stages(rows, settings))
        stored.append(Unit(at, own, asdict(settings), found, stages))
    return stored


def read_unit(folder: Path, described: Mapping[str, Any]) -> Unit:
    """The unit that `described` and its file in the folder say."""
    from nlhf_repro.pipeline.language.comparison import SeedComparison

    with np.load(folder / described["file"]) as stored:
        arrays: dict[str, Any] = {name: stored.get(name) for name in _ARRAYS}
    chosen = {label: Counter(counts) for label, counts in described["chosen"].items()}
    seed, world = described["at"]
    return Unit(
        (int(seed), int(world)),
        described["keys"],
        described["settings"],
        SeedComparison(**arrays, chosen=chosen),
        tuple(described["stages"]),
    )
