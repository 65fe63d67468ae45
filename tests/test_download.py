"""Downloads from a local server: whole, verified and read-only, or not there at all."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from command import REPOSITORY
from file_server import BODY, serving

from nlhf_repro.benchmarks.source_files import RECORD, SourceFile, state
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.verbs import download
from nlhf_repro.verbs.download import Fetcher, FetchError, UnreachableError

PATH = "/toy/questions.jsonl"
PINNED = SourceFile(
    benchmark="toy",
    name="questions.jsonl",
    purpose="a test",
    url="http://127.0.0.1:1/toy/questions.jsonl",
    revision="a" * 40,
    sha256=hashlib.sha256(BODY).hexdigest(),
    bytes=len(BODY),
    licence="none",
)
UNPINNED = replace(PINNED, sha256=None, bytes=None)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 10.0)
    with serving() as running:
        yield running


def obtain(server, cache, file=PINNED):
    return Fetcher(cache, server.url).obtain(file, lambda done, total: None)


def partial(cache: Path, content: bytes) -> Path:
    """What a killed download leaves."""
    path = cache / "staging" / f"toy-questions.jsonl-{PINNED.revision}" / "partial"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def assert_whole(cache: Path) -> None:
    path = PINNED.path(cache)
    assert path.read_bytes() == BODY
    assert path.stat().st_mode & 0o777 == 0o444
    assert list((cache / "staging").glob("*")) == []


def test_a_good_file_is_fetched_once_verified_and_read_only(server, tmp_path):
    seen = []
    got = Fetcher(tmp_path, server.url).obtain(PINNED, lambda *progress: seen.append(progress))
    assert got == "fetched"
    assert_whole(tmp_path)
    assert seen[-1] == (len(BODY), len(BODY))
    assert obtain(server, tmp_path) == "already there"
    assert server.asked == [(PATH, None)]
    assert not (tmp_path / RECORD).exists()


def test_its_own_address_is_asked_without_a_mirror(server, tmp_path):
    file = replace(PINNED, url=f"{server.url}/some/where")
    assert Fetcher(tmp_path, None).obtain(file, lambda done, total: None) == "fetched"
    assert server.asked == [("/some/where", None)]


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.behaviors[PATH] = "truncated"
    kept = 50_000 // download.CHUNK_BYTES * download.CHUNK_BYTES
    with pytest.raises(FetchError, match=rf"broke off after {kept} of {len(BODY)} bytes: the same"):
        obtain(server, tmp_path)
    assert state(PINNED, tmp_path) == "absent"
    server.behaviors[PATH] = "good"
    seen = []
    Fetcher(tmp_path, server.url).obtain(PINNED, lambda *progress: seen.append(progress))
    assert server.asked[-1] == (PATH, f"bytes={kept}-")
    assert seen[0][0] > kept and seen[-1] == (len(BODY), len(BODY))
    assert_whole(tmp_path)


def test_a_short_answer_is_noticed_whether_or_not_the_library_does(server, tmp_path, monkeypatch):
    short = [BODY[:8192]]
    monkeypatch.setattr(download.requests.Response, "iter_content", lambda *_: iter(short))
    with pytest.raises(FetchError, match="broke off after 8192 of"):
        obtain(server, tmp_path, UNPINNED)
    assert not (tmp_path / RECORD).exists()


@pytest.mark.parametrize(
    ("left", "behavior", "requests"),
    [
        (BODY[:700], "no ranges", 1),
        (b"other bytes", "good", 2),
        (BODY, "good", 2),
        (BODY + b"more", "good", 2),
    ],
    ids=["server without ranges", "of another file", "whole already", "too long"],
)
def test_what_cannot_be_resumed_is_fetched_from_the_start(
    server, tmp_path, left, behavior, requests
):
    partial(tmp_path, left)
    server.behaviors[PATH] = behavior
    assert obtain(server, tmp_path) == "fetched"
    assert server.asked[0] == (PATH, f"bytes={len(left)}-")
    assert len(server.asked) == requests
    assert_whole(tmp_path)


def test_wrong_bytes_are_not_kept(server, tmp_path):
    server.bodies[PATH] = b"tampered"
    wrong = hashlib.sha256(b"tampered").hexdigest()
    with pytest.raises(FetchError, match=f"has SHA-256 {wrong}, not {PINNED.sha256}, and was not"):
        obtain(server, tmp_path)
    assert b"tampered" not in [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not PINNED.path(tmp_path).exists()


def test_a_good_file_survives_a_bad_server_and_a_changed_one_is_replaced(server, tmp_path):
    obtain(server, tmp_path)
    server.bodies[PATH] = b"tampered"
    assert obtain(server, tmp_path) == "already there"
    path = PINNED.path(tmp_path)
    path.chmod(0o644)
    path.write_bytes(b"edited by hand")
    assert state(PINNED, tmp_path) == "differs"
    with pytest.raises(FetchError, match="was not kept"):
        obtain(server, tmp_path)
    assert path.read_bytes() == b"edited by hand"
    del server.bodies[PATH]
    assert obtain(server, tmp_path) == "fetched"
    assert_whole(tmp_path)


def test_redirects_are_followed(server, tmp_path):
    server.behaviors[PATH] = "redirect"
    assert obtain(server, tmp_path) == "fetched"
    assert [path for path, _ in server.asked] == [PATH, f"/elsewhere{PATH}"]
    assert_whole(tmp_path)


@pytest.mark.parametrize("file", [PINNED, UNPINNED], ids=["pinned", "unpinned"])
@pytest.mark.parametrize(
    ("behavior", "sentence"),
    [
        ("missing", "answers 404 Not Found instead of the file"),
        ("web page", "answers with a web page instead of the file"),
    ],
)
def test_answers_without_the_file_leave_nothing(server, tmp_path, file, behavior, sentence):
    server.behaviors[PATH] = behavior
    with pytest.raises(FetchError, match=sentence):
        obtain(server, tmp_path, file)
    assert state(file, tmp_path) == "absent"
    assert not (tmp_path / RECORD).exists()


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_offline_says_which_file_goes_where_and_verifies_what_was_put(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    fetcher = Fetcher(tmp_path, closed_port())
    path = PINNED.path(tmp_path)
    sentence = f"get {PINNED.url} elsewhere, put it at {path}, and run nlhf fetch toy again"
    with pytest.raises(UnreachableError, match=sentence):
        fetcher.obtain(PINNED, lambda done, total: None)
    path.parent.mkdir()
    path.write_bytes(b"half of i")
    with pytest.raises(UnreachableError, match="put it at"):
        fetcher.obtain(PINNED, lambda done, total: None)
    path.write_bytes(BODY)
    assert fetcher.obtain(PINNED, lambda done, total: None) == "already there"
    assert path.stat().st_mode & 0o777 == 0o444


def test_a_server_that_does_not_answer_is_asked_once(tmp_path, monkeypatch):
    asked = []

    def no_answer(url, **settings):
        asked.append(url)
        raise download.requests.ConnectTimeout

    monkeypatch.setattr(download.requests, "get", no_answer)
    fetcher = Fetcher(tmp_path, None)
    for name in ("one", "two"):
        with pytest.raises(UnreachableError, match="cannot be reached"):
            fetcher.obtain(replace(PINNED, name=name), lambda done, total: None)
    assert len(asked) == 1


def test_the_first_download_is_recorded_and_later_ones_must_agree(server, tmp_path):
    assert obtain(server, tmp_path, UNPINNED) == "fetched and recorded"
    recorded = json.loads((tmp_path / RECORD).read_text())
    assert recorded == {f"toy/questions.jsonl@{'a' * 40}": PINNED.sha256}
    UNPINNED.path(tmp_path).unlink()
    server.bodies[PATH] = BODY + b"changed"
    with pytest.raises(FetchError, match=f"not {PINNED.sha256}, recorded in {tmp_path / RECORD}"):
        obtain(server, tmp_path, UNPINNED)
    assert state(UNPINNED, tmp_path) == "absent"
    assert json.loads((tmp_path / RECORD).read_text()) == recorded
    del server.bodies[PATH]
    assert obtain(server, tmp_path, UNPINNED) == "fetched"
    assert state(UNPINNED, tmp_path) == "verified"
    assert state(replace(UNPINNED, revision="b" * 40), tmp_path) == "unrecorded"


def test_a_file_put_by_hand_is_recorded_where_none_is_pinned(server, tmp_path):
    path = UNPINNED.path(tmp_path)
    path.parent.mkdir()
    path.write_bytes(BODY)
    assert obtain(server, tmp_path, UNPINNED) == "recorded"
    assert server.asked == []
    assert state(UNPINNED, tmp_path) == "verified"
    path.chmod(0o644)
    path.write_bytes(b"changed")
    assert state(UNPINNED, tmp_path) == "differs"


def test_without_a_sha256_nothing_is_resumed_and_lengths_must_be_known(server, tmp_path):
    left = partial(tmp_path, b"of another file")
    server.behaviors[PATH] = "no length"
    with pytest.raises(FetchError, match="whether it is whole cannot be known"):
        obtain(server, tmp_path, UNPINNED)
    assert left.exists() and server.asked == [(PATH, None)]
    assert obtain(server, tmp_path, PINNED) == "fetched"
    PINNED.path(tmp_path).unlink()
    server.behaviors[PATH] = "truncated"
    with pytest.raises(FetchError, match="the same command begins anew"):
        obtain(server, tmp_path, UNPINNED)
    assert not (tmp_path / RECORD).exists()


def test_an_unreadable_record_is_no_permission_to_trust(server, tmp_path):
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(ImpossibleSettingError, match="cannot be read"):
        obtain(server, tmp_path, UNPINNED)
    assert server.asked == []


def test_a_cache_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "locks").write_text("in the way")
    with pytest.raises(FetchError, match="choose another with --cache"):
        obtain(server, tmp_path, UNPINNED)


PROGRAM = """
import sys
from pathlib import Path
from nlhf_repro.benchmarks.source_files import SourceFile
from nlhf_repro.verbs.download import Fetcher
file = SourceFile("toy", "questions.jsonl", "", "", "a" * 40, sys.argv[3] or None, None, "")
print(Fetcher(Path(sys.argv[1]), sys.argv[2]).obtain(file, lambda done, total: None))
"""


@pytest.mark.parametrize("file", [PINNED, UNPINNED], ids=["pinned", "unpinned"])
def test_two_processes_at_once_download_once(server, tmp_path, file):
    server.behaviors[PATH] = "slow"
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), server.url, file.sha256 or ""]
    processes = [
        subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outcomes = {process.communicate(timeout=60)[0].strip() for process in processes}
    first = "fetched" if file.sha256 else "fetched and recorded"
    assert outcomes == {first, "already there"}
    assert len(server.asked) == 1
    assert_whole(tmp_path)
