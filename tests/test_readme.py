"""The README's commands run as they are printed, at a smaller size where they take long."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SMALLER = {  # overrides that shorten a command without changing what it does
    "reproduce egpo_tabular": ["oracle.games=2", "training.record_points=20"],
    "table egpo_tabular": ["oracle.games=2", "training.record_points=20"],
}


def commands():
    """Every `nlhf ...` of the first table and of the shell blocks."""
    found = re.findall(r"`(nlhf (?:run|reproduce|table|list)[^`]*)`", README)
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    return found + [line for block in blocks for line in block.splitlines() if "nlhf run" in line]


def run(command, folder):
    words = shlex.split(command)[1:]
    if words[0] != "list":
        words += ["output_dir=out"]
        words += ["tracker=none"] if words[0] != "table" else []
    for start, overrides in SMALLER.items():
        if " ".join(words).startswith(start):
            words += overrides
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "nlhf_repro.cli", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder with the README's own algorithm in it."""
    place = tmp_path_factory.mktemp("user")
    (place / "my_conf" / "algorithm").mkdir(parents=True)
    code = re.search(r"```python\n# mine.py\n(.*?)```", README, re.DOTALL)
    configuration = re.search(
        r"```yaml\n# my_conf/algorithm/restarting.yaml\n(.*?)```", README, re.DOTALL
    )
    (place / "mine.py").write_text(code[1])
    (place / "my_conf" / "algorithm" / "restarting.yaml").write_text(configuration[1])
    (place / "my_conf" / "algorithm" / "mine.yaml").write_text(configuration[1])
    return place


def test_there_are_commands_of_every_verb():
    verbs = {command.split()[1] for command in commands()}
    assert verbs == {"run", "reproduce", "table", "list"}


@pytest.mark.slow
@pytest.mark.parametrize("command", commands())
def test_the_readme_command_runs(command, folder):
    result = run(command, folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()
    assert "Traceback" not in result.stderr


def test_the_readme_names_every_experiment():
    for path in (ROOT / "conf" / "experiment").rglob("*.yaml"):
        assert f"`{path.stem}`" in README, path
