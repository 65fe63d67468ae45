"""A server of files on 127.0.0.1 that behaves as each file's name in `behaviors` says."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = b"".join(b'{"question_id": %d}\n' % number for number in range(5000))


class FileServer(ThreadingHTTPServer):
    """Serves BODY, or what `bodies` has for a path; counts what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviors: dict[str, str] = {}
        self.bodies: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        behavior = self.server.behaviors.get(self.path, "good")
        body = self.server.bodies.get(self.path, BODY)
        if behavior == "missing":
            self.send_error(404)
        elif behavior == "redirect":
            self.answer(302, b"", Location=f"/elsewhere{self.path}")
        elif behavior == "web page":
            self.answer(200, b"<html>log in</html>", **{"Content-Type": "text/html; charset=utf-8"})
        elif behavior == "no length":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)
        elif behavior == "truncated":
            self.answer(200, body[:50_000], len(body))
        elif wanted and behavior != "no ranges":
            self.rest(body, int(wanted.removeprefix("bytes=").rstrip("-")))
        else:
            time.sleep(0.5 if behavior == "slow" else 0.0)
            self.answer(200, body)

    def rest(self, body: bytes, offset: int) -> None:
        if offset >= len(body):
            self.answer(416, b"")
        else:
            served = f"bytes {offset}-{len(body) - 1}/{len(body)}"
            self.answer(206, body[offset:], **{"Content-Range": served})

    def answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""


@contextlib.contextmanager
def serving() -> Iterator[FileServer]:
    """A server for the time of the block."""
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(timeout=10)
