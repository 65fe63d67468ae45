"""Get an official file: resumed, verified, whole or absent, by one process at a time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, final
from urllib.parse import urlsplit

import pooch
import requests

from nlhf_repro.benchmarks.source_files import (
    RECORD,
    SourceFile,
    expected_sha256,
    recorded_sha256,
    sha256_of,
    state,
)
from nlhf_repro.pipeline.files import exclusive, flush_to_disk, write_json

TIMEOUT_SECONDS = 30.0
# What an answer that breaks off can lose: requests hands over whole chunks only.
CHUNK_BYTES = 1 << 13

Progress = Callable[[int, int | None], None]
Outcome = Literal["fetched", "fetched and recorded", "already there", "recorded"]


class FetchError(Exception):
    """A file was not got; what was there before is as it was."""


class UnreachableError(FetchError):
    """No answer came from the server."""


@final
@dataclass(frozen=True)
class Fetcher:
    """Gets files into a cache.

    Attributes:
        cache: the directory.
        source: a mirror, which serves `source/benchmark/name`; null: each file's own address.
    """

    cache: Path
    source: str | None
    _unreachable: set[str] = field(default_factory=set)

    def address(self, file: SourceFile) -> str:
        """Where the file is downloaded from."""
        if self.source is None:
            return file.url
        return f"{self.source.rstrip('/')}/{file.benchmark}/{file.name}"

    def obtain(self, file: SourceFile, progress: Progress) -> Outcome:
        """Make the file lie in the cache, verified and read-only.

        Processes that ask for the same file at once wait for the first, which gets it for all.

        Args:
            file: which.
            progress: called with the bytes so far and their expected total, null if unknown.

        Raises:
            FetchError: it could not be got, or has other bytes than it must.
        """
        target = file.path(self.cache)
        if state(file, self.cache) == "verified":
            _protect(target)
            return "already there"
        try:
            with exclusive(self._lock(f"{file.benchmark}-{file.name}")):
                return self._obtain(file, target, progress)
        except OSError as error:
            raise FetchError(
                f"{self.cache} cannot be written ({error}): choose another with --cache."
            ) from error

    def _obtain(self, file: SourceFile, target: Path, progress: Progress) -> Outcome:
        if state(file, self.cache) in ("verified", "unrecorded"):
            _protect(target)
            return "recorded" if self._record(file, sha256_of(target)) else "already there"
        staging = self.cache / "staging" / f"{file.benchmark}-{file.name}-{file.revision}"
        staging.mkdir(parents=True, exist_ok=True)
        got = self._download(file, staging, progress)
        recorded = self._record(file, sha256_of(got))
        _protect(got)
        flush_to_disk(got)
        target.parent.mkdir(parents=True, exist_ok=True)
        got.replace(target)
        flush_to_disk(target.parent)
        shutil.rmtree(staging)
        return "fetched and recorded" if recorded else "fetched"

    def _download(self, file: SourceFile, staging: Path, progress: Progress) -> Path:
        url, expected = self.address(file), expected_sha256(file, self.cache)
        host = urlsplit(url).netloc
        downloader = ResumingDownloader(staging / "partial", expected, progress)
        try:
            if host in self._unreachable:
                raise UnreachableError(f"{host} cannot be reached")
            return _verified(url, staging, downloader)
        except UnreachableError as error:
            self._unreachable.add(host)
            raise UnreachableError(
                f"{error}: get {file.url} elsewhere, put it at {file.path(self.cache)}, and run "
                f"nlhf fetch {file.benchmark} again, which verifies it."
            ) from error
        except ValueError as error:
            shutil.rmtree(staging)
            recorded = f", recorded in {self.cache / RECORD}" if file.sha256 is None else ""
            raise FetchError(
                f"{url} has SHA-256 {downloader.sha256}, not {expected}{recorded}, and was not "
                "kept: try again, or get it from elsewhere with --source."
            ) from error

    def _record(self, file: SourceFile, sha256: str) -> bool:
        """Whether this was the first download of a file that is not pinned."""
        with exclusive(self._lock("record")):
            known = recorded_sha256(self.cache)
            if file.sha256 is not None or file.key in known:
                return False
            write_json(self.cache / RECORD, {**known, file.key: sha256})
        return True

    def _lock(self, name: str) -> Path:
        return self.cache / "locks" / f"{name}.lock"


def _protect(path: Path) -> None:
    """Make a verified file read-only, where it is ours."""
    with suppress(PermissionError):
        path.chmod(0o444)


def _verified(url: str, staging: Path, downloader: ResumingDownloader) -> Path:
    """Let pooch download and verify; ValueError where the bytes are wrong, which it deletes."""
    pooch.get_logger().setLevel("ERROR")
    known = None if downloader.expected is None else f"sha256:{downloader.expected}"
    if known is None:
        (staging / "whole").unlink(missing_ok=True)
    try:
        return Path(pooch.retrieve(url, known, "whole", staging, downloader=downloader))
    except ValueError:
        # What an earlier download left may have been of other bytes: once more from the start.
        if not downloader.resumed:
            raise
        return Path(pooch.retrieve(url, known, "whole", staging, downloader=downloader))


@final
@dataclass
class ResumingDownloader:
    """A downloader for pooch that keeps what it got, and goes on from there where servers allow it.

    Attributes:
        partial: what was got so far; it becomes pooch's file once it is whole.
        expected: the SHA-256 that the whole must have; null: unknown, then nothing is resumed, as
            nobody would notice halves of different files.
        progress: called with the bytes so far and their expected total.
        resumed: whether the last download went on from an earlier one.
        sha256: of what the last download got.
    """

    partial: Path
    expected: str | None
    progress: Progress
    resumed: bool = False
    sha256: str = ""

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Download `url` to `output_file`; `pooch` belongs to the interface and is not used.

        Raises:
            FetchError: no answer, an answer without the file, or one that broke off.
        """
        there = self.expected is not None and self.partial.exists()
        offset = self.partial.stat().st_size if there else 0
        with _answer(url, offset) as response:
            self.resumed = response.status_code == requests.codes.partial_content
            self._write(response, offset if self.resumed else 0)
        self.sha256 = sha256_of(self.partial)
        os.replace(self.partial, output_file)

    def _write(self, response: requests.Response, done: int) -> None:
        headers = response.headers
        length = "" if "Content-Encoding" in headers else headers.get("Content-Length", "")
        total = done + int(length) if length.isdigit() else None
        if (
            total is None
            and self.expected is None
            and headers.get("Transfer-Encoding") != "chunked"
        ):
            raise FetchError(
                f"{response.url} comes without its length and with no SHA-256 to compare: whether "
                "it is whole cannot be known, so get it from elsewhere with --source."
            )
        with self.partial.open("ab" if done else "wb") as file:
            try:
                for chunk in response.iter_content(CHUNK_BYTES):
                    file.write(chunk)
                    done += len(chunk)
                    self.progress(done, total)
            except requests.RequestException as error:
                raise self._broke_off(response.url, done, total) from error
        if total is not None and done != total:
            raise self._broke_off(response.url, done, total)

    def _broke_off(self, url: str, done: int, total: int | None) -> FetchError:
        of = "" if total is None else f" of {total}"
        again = "begins anew" if self.expected is None else "goes on from there"
        return FetchError(f"{url} broke off after {done}{of} bytes: the same command {again}.")


def _answer(url: str, offset: int) -> requests.Response:
    """The server's answer with the file's bytes from `offset` (status 206), or with all of them."""
    # A range of a compressed answer would be one of other bytes.
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise UnreachableError(
            f"{urlsplit(url).netloc} cannot be reached ({type(error).__name__})"
        ) from error
    except (requests.RequestException, ValueError) as error:
        raise FetchError(f"{url} cannot be fetched: {error}.") from error
    if offset and response.status_code not in (requests.codes.ok, requests.codes.partial_content):
        response.close()
        return _answer(url, 0)
    if not offset and response.status_code != requests.codes.ok:
        response.close()
        raise FetchError(
            f"{url} answers {response.status_code} {response.reason} instead of the file."
        )
    if response.headers.get("Content-Type", "").startswith("text/html"):
        response.close()
        raise FetchError(
            f"{url} answers with a web page instead of the file: log in to the network, or get it "
            "from elsewhere with --source."
        )
    return response
