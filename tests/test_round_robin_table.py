"""The table of rows against each other: its intervals, its mixture, what it says."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from meetings import LEVEL, SETTINGS, cells, cyclic, full, record

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.reporting import render_round_robin, to_csv, to_latex, to_markdown
from nlhf_repro.reporting.round_robin import (
    BOUND,
    NASH,
    TIGHTNESS,
    TRAINED,
    TRUTH,
)
from nlhf_repro.reporting.specification import table_specification
from nlhf_repro.uncertainty import curl_test, estimate, halved_estimate

# --- the bound


def test_the_bounds_interval_is_that_of_the_halves():
    found = full()
    cell = cells(render_round_robin(found, "T", LEVEL), "B")[BOUND]
    expected = halved_estimate(found.bound[:, 1], found.half, LEVEL)
    assert (cell.estimate, cell.lower, cell.upper) == (
        expected.estimate,
        expected.lower,
        expected.upper,
    )


def test_a_halved_estimate_by_hand():
    values = np.random.default_rng(0).normal(0.2, 0.1, (3, 12))
    half = np.arange(12) % 2
    sides = [estimate(values[:, half == side]) for side in (0, 1)]
    found = halved_estimate(values, half)
    assert found.estimate == pytest.approx((sides[0].estimate + sides[1].estimate) / 2)
    assert found.standard_error == np.mean([side.standard_error for side in sides])
    assert found.degrees_of_freedom == min(side.degrees_of_freedom for side in sides)
    assert found.lower < found.estimate < found.upper and found.clusters == 12
    whole = estimate(values)
    assert found.standard_error > whole.standard_error
    for wrong in (np.zeros(12), half[:5], half + 1):
        with pytest.raises(ValueError, match="half says 0 or 1"):
            halved_estimate(values, wrong)


def test_a_halved_interval_covers_what_a_maximum_would_not():
    """Ten responders that gain nothing: the chosen one's interval holds 0 in 95 % and more."""
    rng, hits, naive = np.random.default_rng(3), 0, 0
    half = np.arange(40) % 2
    for _ in range(400):
        gains = 0.1 * rng.standard_normal((10, 40))
        chosen = [gains[:, half != side].mean(axis=1).argmax() for side in (0, 1)]
        values = np.where(half == 0, gains[chosen[0]], gains[chosen[1]])[None]
        found = halved_estimate(values, half)
        hits += found.lower <= 0 <= found.upper
        best = estimate(gains[gains.mean(axis=1).argmax()][None])
        naive += best.lower <= 0 <= best.upper
    assert hits / 400 >= 0.94
    assert naive / 400 < 0.9


def test_tightness_is_the_bound_over_the_truth_and_nothing_where_there_is_none():
    found = full()
    table = render_round_robin(found, "T", LEVEL)
    cell = cells(table, "A")[TIGHTNESS]
    assert cell.estimate == found.bound[:, 0].mean() / found.truth[:, 0].mean()
    assert cell.text == f"{cell.estimate:.0%}"
    even = replace(found, truth=-np.abs(found.truth))
    cell = cells(render_round_robin(even, "T", LEVEL), "A")[TIGHTNESS]
    assert cell.text == "nothing to exploit" and np.isnan(cell.estimate)
    assert table.header[-5:] == (BOUND, TRAINED, TRUTH, TIGHTNESS, NASH)
    bare = render_round_robin(record(found.wins), "T", LEVEL)
    assert bare.header[-1] == NASH and TRUTH not in bare.header and BOUND not in bare.header
    assert not any("pool" in note for note in bare.notes)


# --- the cycle


def test_transitivity_is_tested_on_the_mean_over_seeds():
    wins = cyclic()
    (note,) = (x for x in render_round_robin(record(wins), "T", LEVEL).notes if "curl test" in x)
    expected = curl_test(np.moveaxis(wins.mean(axis=0), -1, 0))
    assert expected.degrees_of_freedom == (3, 197) and expected.p_value < 1e-6
    assert f"F(3, 197) = {expected.statistic:.3g}, p < 0.001" in note
    assert "clustered by prompt, checkpoint level" in note


def test_transitivity_says_where_it_is_not_tested():
    def said(found):
        notes = render_round_robin(found, "T", LEVEL).notes
        return next(note for note in notes if note.startswith("Transitivity"))

    assert "three rows" in said(record(cyclic()[:, :2, :2]))
    certain = cyclic()
    certain[:, 0, 1], certain[:, 1, 0] = 1.0, 0.0
    assert "not tested: Items 0 and 1 have a win rate of 1" in said(record(certain))
    assert "too few clusters" in said(record(cyclic()[..., :3]))


# --- forms


def test_rows_that_are_left_out_are_named():
    found = replace(full(), left_out={"D": "missing: seeds 1, 2", "E": "failed: seed 0: it broke"})
    table = render_round_robin(found, "T", LEVEL)
    assert [row.label for row in table.rows] == ["A", "B", "C", "the reference", "D", "E"]
    assert {cell.text for cell in table.rows[-2].cells} == {"missing"}
    assert {cell.text for cell in table.rows[-1].cells} == {"failed"}
    assert all(len(row.cells) == len(table.header) - 1 for row in table.rows)


def test_the_notes_say_budget_pool_and_choices():
    text = "\n".join(render_round_robin(full(), "T", LEVEL).notes)
    assert "30 steps of 64 prompts with 4 responses, each against 2, rate 0.003" in text
    assert "and the responses trained against every row" in text
    assert "Chosen against A: B 4 of 6, A 2 of 6." in text
    assert "simultaneous at 95% over the 6 pairs" in text
    plain = replace(full(), trained=None, trained_settings=None)
    text = "\n".join(render_round_robin(plain, "T", LEVEL).notes)
    assert "picked against the row." in text and "policy gradient" not in text


def test_every_form_writes_a_hostile_label():
    label = "a|b & $x$ **bold** \\ _c_ \n#1"
    found = replace(full(), labels=(label, "B", "C"), chosen={})
    table = render_round_robin(found, "T", LEVEL)
    lines = [x for x in to_markdown(table).splitlines() if x.startswith("|")]
    assert len(lines) == 2 + 4
    pipes = [line.replace("\\|", "").count("|") for line in lines]
    assert set(pipes) == {len(table.header) + 1}
    assert r"a$|$b \& \$x\$" in to_latex(table)
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert len(rows) == 4 * (len(table.header) - 1)
    assert rows[0]["row"] == label


# --- the table file


def node(**changes):
    bare = {"title": "T", "caption": "", "columns": [], "primary": None, "figures": []}
    return {**bare, "level": 0.95, **changes}


def test_a_table_asks_for_a_round_robin_and_for_answers():
    bare = table_specification(node())
    assert bare.round_robin is None and bare.samples == 0
    trained = dict(vars(SETTINGS))
    asked = table_specification(
        node(round_robin={"exploitability": "pool", "trained": trained}, samples=3)
    )
    assert asked.round_robin.trained == SETTINGS and asked.samples == 3
    none = table_specification(node(round_robin={"exploitability": None, "trained": None}))
    assert none.round_robin.exploitability is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"samples": -1}, "table.samples is -1"),
        ({"samples": "3"}, "table.samples is '3'"),
        ({"round_robin": "pool"}, "table.round_robin is 'pool': give a mapping"),
        ({"round_robin": {"trained": None}}, "table.round_robin lacks the key 'exploitability'"),
        ({"round_robin": {"exploitability": "best", "trained": None}}, "exploitability is 'best'"),
        ({"round_robin": {"exploitabilty": "pool"}}, "did you mean 'exploitability'"),
        (
            {"round_robin": {"exploitability": "pool", "trained": {"iterations": 3}}},
            "table.round_robin.trained lacks the key 'groups_per_iteration'",
        ),
        (
            {"round_robin": {"exploitability": None, "trained": dict(vars(SETTINGS))}},
            "has no pool to join",
        ),
        (
            {
                "round_robin": {
                    "exploitability": "pool",
                    "trained": {**vars(SETTINGS), "responses": 1},
                }
            },
            "trained.responses = 1 must be at least 2",
        ),
    ],
)
def test_a_node_without_meaning_is_refused(changes, said):
    with pytest.raises(ImpossibleSettingError) as caught:
        table_specification(node(**changes))
    assert said in str(caught.value) and "\n" not in str(caught.value)
