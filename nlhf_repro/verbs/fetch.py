"""`nlhf fetch`: the official files of a benchmark, verified; without one, what can be fetched."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nlhf_repro.benchmarks.source_files import (
    SourceFile,
    benchmarks,
    cache_directory,
    source_files,
    state,
)
from nlhf_repro.interfaces import ImpossibleSettingError

SHOWN = {
    "absent": "absent",
    "verified": "verified",
    "differs": "differs from its SHA-256",
    "unrecorded": "not verified yet",
}


def fetch(benchmark: str | None, cache: str | None, source: str | None) -> int:
    """Get what lacks; exit status 1 where a file could not be got.

    Args:
        benchmark: whose files; null lists what can be fetched.
        cache: where they go; null: NLHF_CACHE, or the user's cache directory.
        source: a mirror that serves SOURCE/BENCHMARK/NAME, as a copy of a cache does.

    Raises:
        ImpossibleSettingError: no such benchmark, or the source is no address.
    """
    directory = cache_directory(cache)
    if benchmark is None:
        list_files(directory)
        return 0
    if source is not None and not source.startswith(("http://", "https://")):
        raise ImpossibleSettingError(
            f"--source {source} is no address: begin it with https:// or http://."
        )
    files = source_files(benchmark)
    say_licences(files)
    lacking = get(files, directory, source)
    if cache is not None and directory != cache_directory():
        sys.stdout.write(f"set NLHF_CACHE={directory} for the commands that read these files\n")
    return 1 if lacking else 0


def list_files(cache: Path) -> None:
    """Print every file that can be fetched: size, state, licence and what it is for."""
    for benchmark, line in benchmarks().items():
        sys.stdout.write(f"{benchmark}  {line}\n")
        rows = [
            (file.name, size(file.bytes), SHOWN[state(file, cache)], file.licence, file.purpose)
            for file in source_files(benchmark)
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
            sys.stdout.write(f"  {'  '.join(cells)}".rstrip() + "\n")
        sys.stdout.write(f"  in {cache / benchmark}; get them with: nlhf fetch {benchmark}\n")


def say_licences(files: Sequence[SourceFile]) -> None:
    """Print each licence and the files under it, before any of them is downloaded."""
    for licence in dict.fromkeys(file.licence for file in files):
        names = ", ".join(file.name for file in files if file.licence == licence)
        sys.stdout.write(f"licence {licence}: {names}\n")
    sys.stdout.flush()


def get(files: Sequence[SourceFile], cache: Path, source: str | None) -> int:
    """Get every file, and say what came of it; how many lack."""
    from nlhf_repro.verbs.download import Fetcher, FetchError

    fetcher, lacking = Fetcher(cache, source), 0
    for file in files:
        if state(file, cache) == "differs":
            sys.stderr.write(f"nlhf: {file.path(cache)} differs from its SHA-256: fetched anew\n")
        try:
            with bar(file) as progress:
                outcome = fetcher.obtain(file, progress)
        except FetchError as error:
            lacking += 1
            sys.stderr.write(f"nlhf: {error}\n")
        else:
            path = file.path(cache)
            sys.stdout.write(f"{outcome}: {path} ({size(path.stat().st_size)})\n")
        sys.stdout.flush()
    return lacking


@contextmanager
def bar(file: SourceFile) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on a terminal, else nothing: what takes the bytes so far and their total."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn(file.name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task("", total=file.bytes)
        yield lambda done, total: display.update(task, completed=done, total=total or file.bytes)


def size(count: int | None) -> str:
    """Bytes for people, in powers of a thousand."""
    if count is None:
        return "size unknown"
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"
