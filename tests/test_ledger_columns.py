"""Columns of ledger entries: counts as they are, estimates as stated sums of them."""

from __future__ import annotations

import numpy as np
import pytest
from reporting_rows import record, specification, texts

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.reporting import render_table
from nlhf_repro.reporting.columns import LedgerEntry, LedgerEstimate

LEDGER = {
    "comparisons": np.array([6912.0, 6912.0]),
    "sampled_tokens": np.array([100.0, 200.0]),
    "trained_tokens": np.array([10.0, 30.0]),
}


def printed(column, ledger=LEDGER):
    row = record("INPO", [[0.1, 0.2], [0.1, 0.3]], ledger=ledger)
    return texts(render_table([row], specification(column)))["INPO"][1]


def test_an_entry_is_printed_to_the_unit_and_with_its_range_where_seeds_differ():
    assert printed(LedgerEntry("asked", "comparisons")) == "6,912"
    assert printed(LedgerEntry("tokens", "sampled_tokens")) == "150 (100 to 200)"
    uneven = {"trained_tokens": np.array([221548.4, 1221550.0])}
    column = LedgerEntry("tokens", "trained_tokens")
    assert printed(column, uneven) == "721,549 (221,548 to 1,221,550)"
    assert "where runs differ the mean over runs" in column.explanation(0.95)


def test_an_estimate_is_the_stated_sum_of_the_mean_entries():
    flops = LedgerEstimate("FLOPs", {"sampled_tokens": 2e6, "trained_tokens": 6e6}, "FLOPs")
    assert printed(flops) == "4.20e8"  # 2e6 x 150 + 6e6 x 20
    assert "2e+06 x sampled tokens + 6e+06 x trained tokens" in flops.explanation(0.95)


@pytest.mark.parametrize(
    "column",
    [LedgerEntry("asked", "comparisons"), LedgerEstimate("FLOPs", {"scores": 1.0}, "FLOPs")],
)
def test_a_record_without_a_ledger_has_no_cost_of_zero(column):
    rows = [
        record("INPO", [[0.1, 0.2]], ledger=dict.fromkeys(("comparisons", "scores"), np.ones(1))),
        record("unknown", [[0.1, 0.2]]),
    ]
    assert texts(render_table(rows, specification(column)))["unknown"][1] == "not recorded"
    with pytest.raises(ImpossibleSettingError, match="no row recorded"):
        printed(column, {})


@pytest.mark.parametrize(
    "build",
    [
        lambda: LedgerEntry("x", "dollars"),
        lambda: LedgerEstimate("x", {"dollars": 1.0}, "money"),
        lambda: LedgerEstimate("x", {}, "money"),
        lambda: LedgerEstimate("x", {"comparisons": -1.0}, "money"),
    ],
)
def test_entries_that_no_ledger_has_and_weights_without_meaning_are_refused(build):
    with pytest.raises(ImpossibleSettingError):
        build()
