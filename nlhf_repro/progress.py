"""Progress of many cells, read from their records: a live line, or plain ones."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from nlhf_repro.pipeline.cell import is_running, read_run, run_directory

POLL_SECONDS = 0.25
PLAIN_SECONDS = 5.0


@dataclass(frozen=True)
class Progress:
    """How many cells are in which state after some seconds."""

    cells: int
    complete: int
    failed: int
    running: int
    seconds: float

    @property
    def ended(self) -> int:
        """Cells that are complete or failed."""
        return self.complete + self.failed

    @property
    def seconds_left(self) -> float | None:
        """At the mean pace so far; null before the first cell has ended."""
        return self.seconds / self.ended * (self.cells - self.ended) if self.ended else None

    def __str__(self) -> str:
        """One line."""
        left = self.seconds_left
        about = "" if left is None or not self.cells - self.ended else f", about {left:.0f} s left"
        return (
            f"{self.complete} of {self.cells} cells done, {self.running} running, "
            f"{self.failed} failed{about}"
        )


@final
@dataclass
class Watch:
    """The cells of these keys, whose earlier failures do not count as theirs."""

    output_dir: Path
    keys: Sequence[str]
    started: float = field(default_factory=time.time)
    _ended: dict[str, str] = field(default_factory=dict)

    def progress(self) -> Progress:
        """Read every record that has not ended."""
        running = 0
        for key in self.keys:
            if key not in self._ended:
                path = run_directory(self.output_dir, key)
                run = read_run(path)
                if self._is_news(path) and run.get("status") in ("complete", "failed"):
                    self._ended[key] = run["status"]
                running += is_running(run)
        states = list(self._ended.values())
        seconds = time.time() - self.started
        return Progress(
            len(self.keys), states.count("complete"), states.count("failed"), running, seconds
        )

    def _is_news(self, folder: Path) -> bool:
        # A file system may keep coarser times than the clock; a second is wide enough.
        record = folder / "run.json"
        return record.exists() and record.stat().st_mtime >= self.started - 1


def follow(watch: Watch, alive: Callable[[], bool]) -> Progress:
    """Show progress until `alive()` is false; what came of the cells."""
    return _live(watch, alive) if sys.stdout.isatty() else _plain(watch, alive)


def _plain(watch: Watch, alive: Callable[[], bool]) -> Progress:
    shown, last = -PLAIN_SECONDS, ""
    while alive():
        progress = watch.progress()
        if progress.seconds - shown >= PLAIN_SECONDS and str(progress) != last:
            shown, last = progress.seconds, str(progress)
            sys.stderr.write(f"{last}\n")
        time.sleep(POLL_SECONDS)
    progress = watch.progress()
    if str(progress) != last:
        sys.stderr.write(f"{progress}\n")
    return progress


def _live(watch: Watch, alive: Callable[[], bool]) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Display

    columns: Mapping[str, Any] = {"console": Console(stderr=True), "transient": True}
    with Display(
        BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), **columns
    ) as display:
        task = display.add_task("starting", total=len(watch.keys))
        while alive():
            progress = watch.progress()
            display.update(task, completed=progress.ended, description=str(progress))
            time.sleep(POLL_SECONDS)
    progress = watch.progress()
    sys.stderr.write(f"{progress}\n")
    return progress
