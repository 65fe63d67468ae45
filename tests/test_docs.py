"""The commands of docs/ run as they are printed, in order, in an empty folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import REPOSITORY

PAGES = sorted(x for x in (REPOSITORY / "docs").glob("*.md") if "```bash" in x.read_text())
BLOCK = re.compile(r"```bash( fails)?\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)


def shim(folder: Path) -> dict[str, str]:
    """An environment in which `nlhf` is this checkout's."""
    command = folder / "bin" / "nlhf"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m nlhf_repro.cli "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    environment = shim(tmp_path)
    folder = tmp_path / "empty"
    folder.mkdir()
    shutil.copytree(REPOSITORY / "benchmarks" / "examples", folder / "benchmarks" / "examples")
    blocks = BLOCK.findall(page.read_text())
    assert blocks
    for fails, block, printed in blocks:
        for command in block.strip().splitlines():
            before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == (1 if fails else 0), (command, done.stdout, done.stderr)
            assert "Traceback" not in done.stderr
            if command.startswith("sed"):
                edited = command.split()[-1]
                assert (folder / edited).read_bytes() != before[folder / edited], command
            if fails:
                assert "  the tie of the faces holds: FAILED: " in done.stdout
        if printed:
            assert done.stdout == printed, block
    if page.stem == "your_own_algorithm":
        table = (folder / "outputs" / "tables" / "how_many.md").read_text()
        assert "| four_responses | 3 x 20 |" in table


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_the_page_points_to_exists(page: Path) -> None:
    for name in re.findall(r"`((?:conf|tests|nlhf_repro)/[\w/.]+)`", page.read_text()):
        written = "four_responses" in name or "how_many" in name or name == "conf/algorithm"
        assert written or (REPOSITORY / name).exists(), name
