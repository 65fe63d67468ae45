"""The head of an experiment's file says what is asked; whether it was run, its records say."""

from __future__ import annotations

from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parent.parent / "conf" / "experiment"
FILES = sorted(path for path in EXPERIMENTS.rglob("*.yaml") if path.parent.name != "tune")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_head_speaks_of_runs_that_are_yet_to_come(path):
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert "not run yet" not in " ".join(line.strip("# ") for line in head).lower()
