"""The official files of the benchmarks: what `nlhf fetch` gets, and where it lies once fetched.

The catalogue is data, `sources/BENCHMARK.yaml`: a file's address at a fixed revision, its SHA-256
(null where nobody published one that we could check), its size and its licence. Nothing here
touches the network.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import yaml

from nlhf_repro.interfaces import ImpossibleSettingError

CATALOGUE = Path(__file__).parent / "sources"
RECORD = "recorded_sha256.json"

State = Literal["absent", "verified", "differs", "unrecorded"]


@final
@dataclass(frozen=True)
class SourceFile:
    """One official file.

    Attributes:
        benchmark: the catalogue that names it.
        name: its own in the cache, `CACHE/benchmark/name`.
        purpose: what it is for, in a few words.
        url: its address, with the revision in it.
        revision: the commit that the address is fixed to.
        sha256: of its bytes, 64 hexadecimal digits; null: the first download records it.
        bytes: its size; null where it is not known.
        licence: of its content.
    """

    benchmark: str
    name: str
    purpose: str
    url: str
    revision: str
    sha256: str | None
    bytes: int | None
    licence: str

    def path(self, cache: Path) -> Path:
        """Where it lies, or would lie."""
        return cache / self.benchmark / self.name

    @property
    def key(self) -> str:
        """Its name in the record of SHA-256, where another revision is another file."""
        return f"{self.benchmark}/{self.name}@{self.revision}"


def benchmarks() -> dict[str, str]:
    """Every benchmark with official files, and the first line of its catalogue."""
    paths = sorted(CATALOGUE.glob("*.yaml"))
    return {path.stem: path.read_text().partition("\n")[0].lstrip("# ") for path in paths}


def source_files(benchmark: str) -> tuple[SourceFile, ...]:
    """The official files of one benchmark.

    Raises:
        ImpossibleSettingError: there is no such benchmark.
    """
    if benchmark not in benchmarks():
        raise ImpossibleSettingError(
            f"{benchmark} has no official files to fetch: choose one of {', '.join(benchmarks())}."
        )
    entries = yaml.safe_load((CATALOGUE / f"{benchmark}.yaml").read_text())["files"]
    return tuple(
        SourceFile(benchmark, **{**entry, "url": entry["url"].format(revision=entry["revision"])})
        for entry in entries
    )


def cache_directory(given: str | None = None) -> Path:
    """Where fetched files lie: `given`, or else NLHF_CACHE, or else the user's cache directory."""
    chosen = given or os.environ.get("NLHF_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import pooch

    return Path(pooch.os_cache("nlhf_repro")).absolute()


def recorded_sha256(cache: Path) -> dict[str, str]:
    """Key to the SHA-256 that the first download recorded, of files that are not pinned.

    Raises:
        ImpossibleSettingError: the record cannot be read.
    """
    path = cache / RECORD
    if not path.exists():
        return {}
    try:
        return {str(key): str(value) for key, value in json.loads(path.read_text()).items()}
    except (ValueError, AttributeError, OSError) as error:
        raise ImpossibleSettingError(
            f"{path}, the SHA-256 of first downloads, cannot be read ({error}): restore it, or "
            "delete it to trust the next downloads anew."
        ) from error


def expected_sha256(file: SourceFile, cache: Path) -> str | None:
    """What the file's bytes must hash to: the pinned value, else the recorded one, else null."""
    return file.sha256 or recorded_sha256(cache).get(file.key)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def state(file: SourceFile, cache: Path) -> State:
    """Whether the file lies in the cache with the right bytes.

    `unrecorded`: it is there, but was put by hand and has no SHA-256 to be compared with.
    """
    path = file.path(cache)
    if not path.is_file():
        return "absent"
    expected = expected_sha256(file, cache)
    if expected is None:
        return "unrecorded"
    return "verified" if sha256_of(path) == expected else "differs"


def fetched(benchmark: str, name: str) -> Path:
    """The path of an official file whose bytes were just verified.

    Raises:
        ImpossibleSettingError: no such file is known, or it is absent, changed or never verified;
            the sentence has the command that gets it.
    """
    cache = cache_directory()
    files = {file.name: file for file in source_files(benchmark)}
    if name not in files:
        raise ImpossibleSettingError(
            f"{name} is no official file of {benchmark}: choose one of {', '.join(files)}."
        )
    path, found = files[name].path(cache), state(files[name], cache)
    if found != "verified":
        raise ImpossibleSettingError(f"{path} {FAULTS[found]}: run nlhf fetch {benchmark}.")
    return path


FAULTS: dict[State, str] = {
    "absent": "is not there",
    "differs": "differs from its SHA-256",
    "unrecorded": "was put there by hand and is not verified yet",
}
