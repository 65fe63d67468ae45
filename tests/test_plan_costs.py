"""What a plan says of costs: means of runs that are there, never a guess."""

from __future__ import annotations

import numpy as np
import pytest
from reporting_rows import lognormal, record
from verbs import refused

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.verbs.plan_costs import costs_of

Capture = pytest.CaptureFixture[str]


def test_costs_are_means_of_complete_runs() -> None:
    row = record("A", lognormal(0, (3, 5)), measured={"seconds": np.array([1000.0, 2000, 3000])})
    found = costs_of("games:A", row)
    assert (found.runs, found.seconds, found.comparisons) == (3, 2000, 400)
    note = found.note((1, 3))
    assert "costs 33 minutes, 400 comparisons (counts: of a training problem)" in note
    assert "the mean of 3 runs" in note
    assert note.endswith("both algorithms together: K = 1: 67 minutes; K = 3: 3.33 hours.")


def test_costs_that_nobody_measured_are_refused(capsys: Capture) -> None:
    row = record("A", np.empty((0, 5)), measured={})
    with pytest.raises(ImpossibleSettingError, match="no complete run, so its costs are not known"):
        costs_of("games:A", row)
    assert "is no EXPERIMENT:ROW" in refused(capsys, "plan", "--costs-of", "one_world")
