"""A SQLite file of judges' replies, and of claims on questions that somebody is asking just now."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import final

from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from nlhf_repro.interfaces import JudgeError, JudgeReply, JudgeUsage

CLAIM_SECONDS = 60.0  # a claim that nobody has renewed for so long is void
RENEWAL_SECONDS = 10.0
BUSY_SECONDS = 60.0  # until a file that others write to is given up
_FORMAT = 1
_AT_ONCE = 500  # keys of one query, below SQLite's limit on parameters

_TABLES = (
    "CREATE TABLE replies (key TEXT PRIMARY KEY, reply BLOB NOT NULL, judge TEXT NOT NULL, "
    "kept_at REAL NOT NULL)",
    "CREATE TABLE claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL, host TEXT NOT NULL, "
    "process INTEGER NOT NULL, expires REAL NOT NULL) WITHOUT ROWID",
)
_CLAIM = """
INSERT INTO claims SELECT :key, :owner, :host, :process, :expires
WHERE NOT EXISTS (SELECT 1 FROM replies WHERE key = :key) ON CONFLICT (key) DO NOTHING
"""


@final
class AnswerFile:
    """An open file, for one owner of claims; its methods may be called from any thread.

    A reply is in the file once `keep` returns: killing the process loses none (a power cut may lose
    the last ones, since SQLite's log is not forced to disk for each). The log is a WAL, so that
    processes of one machine may share the file; several machines may not over a network file
    system, where SQLite does not support that.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            JudgeError: it is no file of replies, or of another version.
        """
        self._path = path
        self._owner = uuid.uuid4().hex
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = _opened(path)
        except sqlite3.Error as error:
            raise JudgeError(
                f"{path} cannot be used to keep answers ({error}): move it away or name another."
            ) from error

    def close(self) -> None:
        """Give back the claims that are left, and close."""
        with self._lock, suppress(sqlite3.Error):  # claims that stay in a broken file run out
            self._connection.execute("DELETE FROM claims WHERE owner = ?", [self._owner])
        self._connection.close()

    def replies(self, keys: Sequence[str]) -> dict[str, JudgeReply]:
        """What is kept under these keys."""
        found: dict[str, JudgeReply] = {}
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            places = ", ".join("?" * len(some))
            query = f"SELECT key, reply FROM replies WHERE key IN ({places})"
            with self._lock:
                rows = self._connection.execute(query, list(some)).fetchall()
            found |= {key: _read(reply) for key, reply in rows}
        return found

    def kept(self, judge: str) -> JudgeUsage:
        """What the replies of this judge that are kept have cost: calls and tokens."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT reply FROM replies WHERE judge = ?", [_name(judge)]
            ).fetchall()
        found = [_read(reply) for (reply,) in rows]
        return JudgeUsage(
            calls=len(found),
            prompt_tokens=sum(reply.prompt_tokens for reply in found),
            completion_tokens=sum(reply.completion_tokens for reply in found),
        )

    def claim(self, keys: Sequence[str]) -> list[str]:
        """Those of the keys that now are the caller's to ask, and nobody else's.

        All others have a reply, or are claimed by an owner who lives.
        """
        claim = {
            "owner": self._owner,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "expires": time.time() + CLAIM_SECONDS,
        }
        with self._writing() as connection:
            _drop_void_claims(connection)
            return [
                key for key in keys if connection.execute(_CLAIM, {**claim, "key": key}).rowcount
            ]

    def keep(self, key: str, reply: JudgeReply, judge: str) -> JudgeReply:
        """Keep the reply and end the claim; returns what is kept, which may be an earlier reply."""
        text = json.dumps(asdict(reply), ensure_ascii=False).encode("utf-8", "surrogatepass")
        row = [key, text, _name(judge), time.time()]
        with self._writing() as connection:
            connection.execute("DELETE FROM claims WHERE key = ?", [key])
            new = connection.execute("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?)", row)
        return reply if new.rowcount else self.replies([key])[key]

    @contextmanager
    def renewing(self) -> Iterator[None]:
        """Renew the claims every few seconds for as long as the block runs."""
        over = threading.Event()
        thread = threading.Thread(target=self._renew_until, args=[over], daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _renew_until(self, over: threading.Event) -> None:
        while not over.wait(RENEWAL_SECONDS):
            with suppress(sqlite3.OperationalError), self._writing() as connection:  # next time
                connection.execute(
                    "UPDATE claims SET expires = ? WHERE owner = ?",
                    [time.time() + CLAIM_SECONDS, self._owner],
                )

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _is_busy(error: BaseException) -> bool:
    code = error.sqlite_errorcode if isinstance(error, sqlite3.OperationalError) else 0
    return code & 0xFF == sqlite3.SQLITE_BUSY  # the rest says what for


# Processes that turn a new file into a WAL at once do not wait for each other by themselves.
@retry(
    retry=retry_if_exception(_is_busy),
    stop=stop_after_delay(BUSY_SECONDS),
    wait=wait_fixed(0.02),
    reraise=True,
)
def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        if _version(connection) != _FORMAT:
            _make_tables(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    version = _version(connection)  # read again, because another process may have been faster
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if version != _FORMAT and (version or tables):
        raise sqlite3.DatabaseError(f"it has other tables than those of version {_FORMAT}")
    if not tables:
        for table in _TABLES:
            connection.execute(table)
        connection.execute(f"PRAGMA user_version = {_FORMAT}")
    connection.execute("COMMIT")


def _drop_void_claims(connection: sqlite3.Connection) -> None:
    """Drop the claims of owners who died here, or who have not renewed them in time."""
    owners = connection.execute(
        "SELECT owner, host, process, max(expires) FROM claims GROUP BY owner, host, process"
    ).fetchall()
    for owner, host, process, expires in owners:
        died = host == socket.gethostname() and not _lives(process)
        if died or expires < time.time():
            connection.execute("DELETE FROM claims WHERE owner = ?", [owner])


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's process, alive
        return True
    return True


def _name(judge: str) -> str:
    return judge.encode("utf-8", "replace").decode()


def _read(reply: bytes) -> JudgeReply:
    return JudgeReply(**json.loads(reply.decode("utf-8", "surrogatepass")))
