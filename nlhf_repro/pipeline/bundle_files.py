"""A bundle as a file: a ZIP archive whose bytes its contents decide, and its verified reading."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from nlhf_repro.interfaces import ImpossibleSettingError

MANIFEST = "MANIFEST.json"
LARGEST = 2**32  # bytes unpacked: more than a million cells, less than what fills a disk
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that ZIP can say
_NAME = re.compile(r"[\w.,+@=-]+(/[\w.,+@=-]+)*", re.ASCII)


class UnusableBundleError(ImpossibleSettingError):
    """A bundle that cannot be read, was changed, or contradicts another; and what to do."""


def packed(files: Mapping[str, bytes]) -> bytes:
    """The archive of these files and of their SHA-256: equal files give equal bytes (of one zlib).

    Raises:
        ValueError: a name that would not be read again.
    """
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    manifest = (json.dumps({"files": digests}, indent=1) + "\n").encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in [(MANIFEST, manifest), *sorted(files.items())]:
            if not _is_plain(name):
                raise ValueError(f"{name!r} is no name for a file of a bundle.")
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def unpack(path: Path, folder: Path) -> str:
    """Write the bundle's files into the folder, every one checked against the manifest.

    Returns:
        The SHA-256 of the manifest, which stands for the contents however they are compressed.

    Raises:
        UnusableBundleError: the file is no bundle, is cut off, or was changed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            files = _read(path, archive)
    except FileNotFoundError:
        raise UnusableBundleError(f"{path} does not exist: check its name.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError):
        raise UnusableBundleError(
            f"{path} is no whole ZIP file: it was cut off or damaged, so copy it again."
        ) from None
    manifest = files.pop(MANIFEST, b"")
    _check_manifest(path, manifest, files)
    for name, data in files.items():
        place = folder.joinpath(*PurePosixPath(name).parts)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return hashlib.sha256(manifest).hexdigest()


def _read(path: Path, archive: zipfile.ZipFile) -> dict[str, bytes]:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    strange = [name for name in names if not _is_plain(name)]
    if strange or len(set(names)) < len(names):
        raise UnusableBundleError(
            f"{path} holds a file that no export wrote ({(strange or ['a name twice'])[0]!r}): use "
            "one that nlhf export made."
        )
    if sum(entry.file_size for entry in entries) > LARGEST:
        raise UnusableBundleError(f"{path} unpacks to more than {LARGEST >> 30} GiB: refused.")
    found: dict[str, bytes] = {}
    for entry in entries:
        with archive.open(entry) as file:
            found[entry.filename] = file.read(entry.file_size + 1)
    return found


def _check_manifest(path: Path, manifest: bytes, files: Mapping[str, bytes]) -> None:
    try:
        declared: Any = json.loads(manifest)["files"]
        listed = set(declared)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnusableBundleError(
            f"{path} has no {MANIFEST} of a bundle: use a file that nlhf export made."
        ) from None
    wrong = sorted(listed ^ set(files))
    if wrong:
        state = "is missing" if wrong[0] in listed else "is not in its manifest"
        raise UnusableBundleError(
            f"{path} was changed after its export ({wrong[0]} {state}): ask for the file again."
        )
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != declared[name]:
            raise UnusableBundleError(
                f"{path} was changed after its export ({name} differs from its SHA-256): ask for "
                "the file again."
            )


def _is_plain(name: str) -> bool:
    """Whether the name is relative, of plain characters, and stays below the folder."""
    return bool(_NAME.fullmatch(name)) and not set(name.split("/")) & {".", ".."}
