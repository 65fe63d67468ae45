"""What tables say about how the settings of their rows were chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from reporting_rows import GAP, record, specification, texts

from nlhf_repro.interfaces import Tuning
from nlhf_repro.reporting import render_table
from nlhf_repro.reporting.columns import TuningTotal
from nlhf_repro.reporting.tuning import tuning_notes

GAPS = np.full((2, 3), 1e-3) * [[1, 2, 3], [2, 3, 1]]
TUNING = Tuning(
    name="mine",
    row="A",
    trials=24,
    failed=0,
    edges=(),
    comparisons=1000,
    worlds=(7,),
    seeds=(70, 71),
    metric="mean gap of the last iterate",
)


def tuned(label, **changes):
    return record(label, GAPS, tuning=replace(TUNING, row=label, **changes))


def test_the_search_and_its_cost_are_said_once():
    notes = list(tuning_notes([tuned("A"), tuned("B", comparisons=500)]))
    assert notes == [
        "Tuned: mine, 24 trials a row on world 7, seeds 70, 71, by the mean gap of the "
        "last iterate; 1500 comparisons a game were spent on tuning these rows, which their "
        "budgets do not count. Intervals and p-values take the winners as given: another search "
        "could choose others."
    ]


def test_rows_that_share_a_winner_share_its_cost():
    shared = [record(label, GAPS, tuning=TUNING) for label in ("A, at 1", "A, at 2")]
    assert "; 1000 comparisons" in next(tuning_notes(shared))


def test_doubts_are_said_row_by_row():
    rows = [
        tuned("A", edges=("algorithm.step_size",), failed=2),
        tuned("B", trials=0, comparisons=0),
        record("E", GAPS),
    ]
    notes = list(tuning_notes(rows))
    assert notes[0].startswith("Untuned (E): the settings are those that the experiment declares")
    assert notes[2:] == [
        "Nothing to tune: B.",
        "Winners on the edge of the searched space: A (algorithm.step_size); better settings may "
        "lie beyond.",
        "Trials that failed, diverged or were refused: A (2).",
    ]


def test_a_column_counts_what_tuning_asked():
    rows = [tuned("A"), record("B", GAPS)]
    table = render_table(rows, specification(GAP, TuningTotal("spent on tuning")))
    assert [cells[-1] for cells in texts(table).values()] == ["1000", "none"]
    assert any(note.startswith("spent on tuning: comparisons a game") for note in table.notes)
