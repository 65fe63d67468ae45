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
    "run algorithm=sppo": [
        *("algorithm.gradient_steps=2", "training.iterations=2", "training.groups_per_iteration=8"),
        *("language.fine_tuning.steps=20", "language.fine_tuning.warmup_steps=5"),
        *("prompts.evaluation=8", "language.evaluation_samples=4"),
    ],
    "run benchmark=": [
        *("algorithm.gradient_steps=2", "training.iterations=2", "training.groups_per_iteration=8"),
        *("language.fine_tuning.steps=20", "language.fine_tuning.warmup_steps=5"),
    ],
    "run pipeline=fit_oracle": [
        *("fit.comparisons=600", "fit.steps=20", "fit.check_every=10", "prompts.training=256"),
        *("language.fine_tuning.steps=20", "language.fine_tuning.warmup_steps=2"),
    ],
    "reproduce egpo_tabular": ["oracle.games=2", "training.record_points=20"],
    "check my_method": ["oracle.games=2", "budget.comparisons=400", "seeds.values=[0]"],
    "table egpo_tabular": ["oracle.games=2", "training.record_points=20"],
}


def commands():
    """Every `nlhf ...` of the first table and of the shell blocks."""
    found = re.findall(r"`(nlhf (?:run|reproduce|table|list|new|check) [^`]*|nlhf list)`", README)
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    return found + [
        line for block in blocks for line in block.splitlines() if line.startswith("nlhf")
    ]


def run(command, folder):
    words = shlex.split(command)[1:]
    if words[0] not in ("list", "new", "score"):
        words += ["output_dir=out"]
        words += ["tracker=none"] if words[0] != "table" else []
    for start, overrides in SMALLER.items():
        if " ".join(words).startswith(start):
            words += overrides
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "nlhf_repro.cli", *words],
        cwd=ROOT if words[0] == "score" else folder,  # its examples lie in the checkout
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
    files = re.findall(r"`([\w/]+\.(?:py|yaml))`:\n\n```\w+\n(.*?)```", README, re.DOTALL)
    assert len(files) == 3
    for name, text in files:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    mine = (place / "my_conf" / "algorithm" / "restarting.yaml").read_text()
    (place / "my_conf" / "algorithm" / "mine.yaml").write_text(mine)
    return place


def test_there_are_commands_of_every_verb():
    verbs = {command.split()[1] for command in commands()}
    assert verbs == {"run", "reproduce", "table", "list", "new", "check", "score"}


@pytest.mark.slow
@pytest.mark.parametrize("command", commands())
def test_the_readme_command_runs(command, folder):
    result = run(command, folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()
    assert "Traceback" not in result.stderr


def test_the_readme_has_no_place_left_open():
    assert not re.search(r"%[A-Z]+%|TODO|TBD", README)
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("#") or (ROOT / target).exists(), target


def test_the_readme_or_a_page_names_every_experiment():
    pages = README + "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    for path in (ROOT / "conf" / "experiment").rglob("*.yaml"):
        assert f"`{path.stem}`" in pages, path
