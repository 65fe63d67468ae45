"""Every search that ships can be run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nlhf_repro.tuned import declared_digest

CONF = Path(__file__).parent.parent / "conf"
SEARCHES = sorted(path.stem for path in (CONF / "experiment" / "tune").glob("*.yaml"))


def declared(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def test_there_are_searches():
    assert {"six_algorithms", "sppo_equal_queries", "matched_settings", "losses"} <= set(SEARCHES)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_says_all_that_it_searches(name):
    assert declared_digest(f"tune/{name}", [CONF], [])


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_varies_rows_that_it_has(name):
    search = declared(CONF / "experiment" / "tune" / f"{name}.yaml")
    assert search["search"]["spaces"]
    assert set(search["search"]["spaces"]) <= set(search["rows"])


@pytest.mark.parametrize("name", ["sppo_equal_queries", "matched_settings", "losses"])
def test_a_search_written_out_has_the_rows_of_its_question(name):
    search = declared(CONF / "experiment" / "tune" / f"{name}.yaml")
    assert search["rows"] == declared(CONF / "experiment" / "questions" / f"{name}.yaml")["rows"]
