"""What must not leave the machine: paths, host names and secrets, taken out or refused."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, final
from urllib.parse import urlsplit, urlunsplit

PATH, HOST = "<path>", "<host>"
_SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)$", re.IGNORECASE)
_LEAST_SECRET = 8  # characters: shorter values, such as "1" or "none", stand in every text
_URL = re.compile(r"\bhttps?://[^\s\"'<>]+")
# A slash that follows no word, path or address, and at least two names: /home/a, C:\users\a, ~/a.
_ABSOLUTE = re.compile(
    r"file://\S+"
    r"|(?<![\w./<>~-])(?:~[\w.-]*/|/(?!/)[^\s/\"'`,;:()\[\]{}<>|]+/)[^\s\"'`,;:()\[\]{}<>|]*"
    r"|(?<!\w)[A-Za-z]:[\\/][^\s\"'`,;()\[\]{}<>|]+"
)
_PRIVATE_DOMAINS = (".local", ".internal", ".lan", ".corp", ".intranet", ".home", ".svc")


@final
@dataclass(frozen=True)
class Privacy:
    """Takes out what says where something ran: absolute paths, private hosts in addresses, `hosts`.

    Of a path its last name is left, because it tells data sets and models apart.
    """

    hosts: frozenset[str] = frozenset()

    def value(self, value: Any) -> Any:
        """The same JSON value, every text in it cleaned, keys included."""
        if isinstance(value, Mapping):
            return {self.value(key): self.value(child) for key, child in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(child) for child in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """The text without them."""
        if _is_whole_path(text):
            return f"{PATH}/{_last_name(text)}"
        text = _URL.sub(lambda found: _without_private_host(found[0]), text)
        text = _ABSOLUTE.sub(lambda found: f"{PATH}/{_last_name(found[0])}", text)
        for host in sorted(self.hosts, key=len, reverse=True):
            text = re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", HOST, text)
        return text


def privacy(hosts: Iterable[str]) -> Privacy:
    """That of this machine and of the machines of these names."""
    known = {socket.gethostname(), *hosts}
    return Privacy(frozenset(name for name in known if len(name) > 3 and name != "localhost"))


def secrets(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """By name the values of environment variables that hold keys, tokens and the like."""
    return {
        name: value.strip()
        for name, value in environment.items()
        if _SECRET.search(name) and len(value.strip()) >= _LEAST_SECRET
    }


def leaks(data: bytes, is_parquet: bool, forbidden: Mapping[str, str]) -> Iterator[str]:
    """The names in `forbidden` whose value occurs in the bytes, or in a Parquet file's texts."""
    texts = b"\n".join([data, *(_parquet_texts(data) if is_parquet else ())])
    for name, value in forbidden.items():
        if value.encode() in texts:
            yield name


def _parquet_texts(data: bytes) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(data))
    for column in table.columns:
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            for text in set(column.to_pylist()):
                yield (text or "").encode("utf-8", "surrogatepass")


def _is_whole_path(text: str) -> bool:
    """Whether the text is one path, spaces and all."""
    if "\n" in text or "://" in text:
        return text.startswith("file://")
    return bool(re.match(r"/.|~[\w.-]*/|[A-Za-z]:[\\/]", text))


def _last_name(path: str) -> str:
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]


def _without_private_host(address: str) -> str:
    """The address as it is where anyone may reach the host, or where it is this machine itself."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return HOST
    if not _is_private(host):
        return address
    location = f"{HOST}:{port}" if port else HOST
    return urlunsplit((parts.scheme, location, parts.path, parts.query, parts.fragment))


def _is_private(host: str) -> bool:
    if host == "localhost":
        return False
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_DOMAINS)
    return address.is_private and not address.is_loopback
