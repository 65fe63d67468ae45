"""Weights in files: what they are told apart by, so that no result is kept under a name alone."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from nlhf_repro.interfaces.lacking import LackingError


def fingerprint(name_or_path: str, revision: str | None, key: str) -> dict[str, str]:
    """What results are kept under: SHA-256 of a folder's files, or the revision on the hub.

    `key` is where name and revision are set, for errors: "model" of `model.name_or_path`.

    Raises:
        LackingError: no such folder, or a hub model without a revision, which could
            change under the same name.
    """
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return dict(folder_digests(folder.resolve()))
    located(name_or_path, key)
    if revision is None:
        raise LackingError(
            f"{key}.revision = null of {name_or_path} on the hub is whatever is newest, under "
            "which no result can be kept: give a commit."
        )
    return {"revision": revision}


def located(name_or_path: str, key: str) -> str:
    """The folder with its home directory written out, or the name on the hub.

    Raises:
        LackingError: it is written as a path, and no folder is there.
    """
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return str(folder)
    if name_or_path.startswith((".", "/", "~")) or name_or_path.count("/") > 1:
        raise LackingError(
            f"{key}.name_or_path = {name_or_path} is no folder: give one that exists, or a name on "
            "the hub."
        )
    return name_or_path


@cache
def folder_digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of a folder, read once a process."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): _file_digest(path) for path in files}


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
