"""The recorded policies of a language run: one file of weights a recorded update."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

import numpy as np

from nlhf_repro.interfaces import Ledger, Snapshot, Trajectory
from nlhf_repro.models.snapshots import (
    PARAMETERS,
    DiskOptimizerState,
    DiskParameters,
    write_parameters,
    write_snapshot,
)
from nlhf_repro.pipeline.files import file_digest
from nlhf_repro.pipeline.sampled import SampledRun


@final
class CheckpointRecorder:
    """Writes the policy that is reported as `checkpoint-<update>.safetensors` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.updates: list[int] = []
        self.ledgers: list[Ledger] = []
        self.digests: list[str] = []

    def record(self, update: int, run: SampledRun) -> None:
        """Keep the present policy.

        Raises:
            FloatingPointError: a weight is not finite.
        """
        parameters = run.slots["current"].parameters
        for name, value in parameters.items():
            if not bool(value.isfinite().all()):
                raise FloatingPointError(
                    f"the weights {name} are no longer finite by update {update}: lower "
                    "training.learning_rate or algorithm.step_size."
                )
        path = checkpoint_path(self.folder, update)
        write_parameters(path, parameters)
        self.digests.append(file_digest(path))
        self.updates.append(update)
        self.ledgers.append(run.count())

    def trajectory(self, ledger: Ledger) -> Trajectory:
        """What was recorded; the policies are in the folder."""
        return Trajectory(
            updates=np.array(self.updates, dtype=np.float64),
            comparisons=np.array([each.comparisons for each in self.ledgers], dtype=np.float64),
            preference_evaluations=np.zeros(len(self.updates)),
            last=np.empty((len(self.updates), 0, 0)),
            average=None,
            ledger=ledger,
            sampled_tokens=np.array([x.sampled_tokens for x in self.ledgers], dtype=np.float64),
            trained_tokens=np.array([x.trained_tokens for x in self.ledgers], dtype=np.float64),
        )

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        return {
            "updates": self.updates,
            "ledgers": [asdict(each) for each in self.ledgers],
            "digests": self.digests,
        }

    def holds(self, state: dict[str, Any]) -> bool:
        """Whether the folder has every checkpoint that a state names, as it was written."""
        paths = [checkpoint_path(self.folder, update) for update in state["updates"]]
        return all(path.is_file() for path in paths) and state["digests"] == [
            file_digest(path) for path in paths
        ]

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state; later checkpoints in the folder are written again."""
        self.updates = list(state["updates"])
        self.ledgers = [Ledger(**each) for each in state["ledgers"]]
        self.digests = list(state["digests"])


@final
class SnapshotFiles:
    """Fitted policies in files of their own, as many as are still needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[Snapshot, Path] = {}
        self._count = 0

    def keep(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with its weights and its optimizer's state in a file, read when needed."""
        path = self.folder / f"snapshot-{self._count}.safetensors"
        self._count += 1
        write_snapshot(path, snapshot)
        kept = Snapshot(DiskParameters(path, PARAMETERS), DiskOptimizerState(path))
        self._written[kept] = path
        return kept

    def prune(self, needed: Iterable[Snapshot]) -> None:
        """Delete the files of all other snapshots."""
        kept = set(needed)
        for snapshot in [each for each in self._written if each not in kept]:
            self._written.pop(snapshot).unlink(missing_ok=True)


def checkpoint_path(folder: Path, update: int) -> Path:
    """Where the policy of this update lies."""
    return folder / f"checkpoint-{update}.safetensors"


def checkpoint(folder: Path, update: int) -> Snapshot:
    """The recorded policy of this update, read when its weights are."""
    return Snapshot(DiskParameters(checkpoint_path(folder, update)), {})
