"""What tells weights apart: the bytes of a folder, or a commit on the hub."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.weights import fingerprint, folder_digests, located


def test_a_folder_is_told_by_the_bytes_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_bytes(b"{}")
    digests = fingerprint(str(tmp_path), None, "judge")
    assert digests == {
        "a/x.safetensors": hashlib.sha256(b"weights").hexdigest(),
        "config.json": hashlib.sha256(b"{}").hexdigest(),
    }
    digests.clear()
    assert len(folder_digests(tmp_path.resolve())) == 2  # a caller cannot spoil what is kept


def test_the_hub_is_told_by_its_commit_and_a_lost_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fingerprint("owner/name", "abc", "judge") == {"revision": "abc"}
    with pytest.raises(ImpossibleSettingError, match=r"judge.revision = null of owner/name on the"):
        fingerprint("owner/name", None, "judge")
    with pytest.raises(ImpossibleSettingError, match=r"oracle.name_or_path = \S+ is no folder"):
        fingerprint(str(tmp_path / "lost"), "abc", "oracle")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    assert located("~/model", "judge") == str(tmp_path / "model")
    assert located("owner/name", "judge") == "owner/name"
