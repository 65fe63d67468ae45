"""The store of stages: each result is computed once, kept under its key, checked when read."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nlhf_repro.pipeline.files import (
    exclusive,
    file_digest,
    flush_to_disk,
    write_json,
)

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class StageStore:
    """Folders `root/<stage>-<first 16 digits of the key>`, each whole or absent.

    A folder's manifest names its full key and the SHA-256 of every file; it is written last, and
    the folder takes its final name only then.
    """

    root: Path

    def folder(self, stage: str, key: str) -> Path:
        """Where the stage of this key lies, or would lie."""
        return self.root / f"{stage}-{key[:16]}"

    def fault(self, stage: str, key: str) -> str | None:
        """What is wrong with the stored stage: nothing (None), that it is `absent`, or a fault."""
        folder = self.folder(stage, key)
        if not folder.exists():
            return "absent"
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            if manifest["key"] != key:
                return f"it holds another key, {manifest['key']}"
            for name, expected in manifest["files"].items():
                if file_digest(folder / name) != expected:
                    return f"{name} differs from its recorded SHA-256"
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"it cannot be read ({error})"
        return None

    def obtain(self, stage: str, key: str, compute: Callable[[Path], None]) -> Path:
        """The stage's folder; `compute(folder)` fills it if it is absent or broken.

        Processes that ask for the same key at once wait for the first, which computes it for all.
        """
        folder = self.folder(stage, key)
        with exclusive(self.root / "locks" / f"{folder.name}.lock"):
            fault = self.fault(stage, key)
            if fault is None:
                return folder
            if fault != "absent":
                warnings.warn(f"{folder} is computed again: {fault}.", stacklevel=2)
                shutil.rmtree(folder)
            partial = folder.with_name(f".{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            compute(partial)
            self._seal(partial, stage, key)
            partial.rename(folder)
            flush_to_disk(self.root)
            shutil.rmtree(self.scratch(stage, key), ignore_errors=True)
        return folder

    def scratch(self, stage: str, key: str) -> Path:
        """Where an unfinished computation of this stage keeps what lets it go on after a kill.

        It lies outside of the stage's folder and is removed when the stage is whole.
        """
        return self.root / "unfinished" / f"{stage}-{key[:16]}"

    def _seal(self, partial: Path, stage: str, key: str) -> None:
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        for path in files:
            flush_to_disk(path)
        digests = {path.relative_to(partial).as_posix(): file_digest(path) for path in files}
        write_json(partial / MANIFEST, {"stage": stage, "key": key, "files": digests})
