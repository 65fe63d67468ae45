"""A paper's matrix of preferences beside ours: which orderings agree, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from meetings import LEVEL, cells, meetings, record

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.reporting import render_published_matrix, table_specification, to_csv, to_latex
from nlhf_repro.reporting.published_matrix import PublishedMatrix, check_published_matrix
from nlhf_repro.reporting.round_robin_published import published_pairs

EGPO = {
    "A": ("EGPO-8", "EGPO-10"),
    "B": ("NMD-6", "NMD-7"),
    "C": ("OIPO1-7", "OIPO1-9"),
    "the reference": ("ref",),
}
NOT_RUN = dict.fromkeys(("OIPO2-5", "OIPO2-8", "NMDPG-2", "NMDPG-4"), "left out of this test")


def matrix(**changes):
    given = {"paper": "2503.08942", "table": "win rates", "rows": EGPO, "not_run": NOT_RUN}
    return PublishedMatrix(**{**given, "reason": "a test", **changes})


def ours(strength, seeds=3, **fields):
    rng = np.random.default_rng(0)
    wins = meetings(rng, strength=np.array(strength), seed_sd=0.002, seeds=seeds)
    return record(wins, **fields)


def outcomes(found, **changes):
    pairs = published_pairs(found, matrix(**changes), LEVEL)
    return {(x.first, x.second): x.outcome for x in pairs}


def test_orderings_agree_are_reversed_or_stay_undecided():
    """The paper has A over B over C over the reference, in all of its checkpoints."""
    found = outcomes(ours([0.2, 0.0, 0.0, 0.1]))
    assert found == {
        ("A", "B"): "agrees",
        ("A", "C"): "agrees",
        ("A", "the reference"): "agrees",
        ("B", "C"): "undecided",
        ("B", "the reference"): "reversed",
        ("C", "the reference"): "reversed",
    }


def test_what_the_paper_does_not_tell_apart_is_no_ordering():
    """NMD over OIPO1 is .502 to .506: within .01 of 1/2, as are OIPO1 and the reference."""
    found = outcomes(ours([0.2, 0.1, 0.0, -0.1]), half_width=0.01)
    assert found["A", "B"] == found["A", "C"] == found["A", "the reference"] == "agrees"
    assert found["B", "C"] == found["C", "the reference"] == "no ordering"
    assert found["B", "the reference"] == "no ordering"  # .507 and .517: not all of them order it
    rows = {"A": ("NMD-6", "OIPO2-8"), "B": ("OIPO1-9", "OIPO2-5", "ref")}
    rest = dict.fromkeys(["OIPO1-7", "NMD-7", "NMDPG-2", "NMDPG-4", "EGPO-8", "EGPO-10"], "-")
    both = published_pairs(ours([0.2, 0.1, 0, 0]), matrix(rows=rows, not_run=rest), LEVEL)
    assert [x.outcome for x in both] == ["agrees"], "all on one side, the other way round too"


def test_a_printed_pair_reads_the_same_both_ways_round():
    """In .448 for SPPO3 over IPO3 the paper prefers IPO3, which then stands first."""
    rows = {"A": ("SPPO3",), "B": ("IPO3",), "C": ("Snorkel",)}
    others = ("DPO3", "SPPO2", "IPO2", "DPO2", "SPPO1", "DPO1", "IPO1", "Base")
    sppo = PublishedMatrix("2405.00675", "Figure 3", rows, "a test", dict.fromkeys(others, "-"))
    pairs = published_pairs(ours([0.2, 0.0, 0.1, 0.0]), sppo, LEVEL)
    assert [(x.first, x.second) for x in pairs] == [("B", "A"), ("A", "C"), ("B", "C")]
    assert {str(x) for x in pairs[0].printed} == {"0.552"}
    assert [x.outcome for x in pairs] == ["reversed", "agrees", "reversed"]
    cell = pairs[0].ours
    assert cell.estimate < cell.upper < 0.5 and cell.estimate == pytest.approx(0.3, abs=0.02)


def test_one_seed_decides_nothing():
    found = ours([0.2, 0.0, -0.1, -0.2], seeds=1)
    assert set(outcomes(found).values()) == {"undecided"}
    notes = render_published_matrix(found, matrix(), "T", LEVEL).notes
    assert any("one seed says nothing of algorithms" in note for note in notes)


def test_a_row_that_is_not_complete_is_not_compared():
    bare = ours([0.2, 0.0, 0.0, 0.0])
    found = replace(
        record(bare.wins[:, [0, 1, 3]][:, :, [0, 1, 3]]), left_out={"C": "missing: seeds 1"}
    )
    assert outcomes(found)["A", "C"] == "not compared"
    table = render_published_matrix(found, matrix(), "T", LEVEL)
    assert cells(table, "A over C")["ours"].text == "C: missing"
    assert (
        "Of 6 published orderings: 2 agrees, 0 reversed, 1 undecided, 3 not compared"
        in " ".join(table.notes)
    )


def test_the_table_prints_values_ours_and_why_they_are_not_comparable():
    found = ours([0.2, 0.0, 0.0, 0.1])
    table = render_published_matrix(found, matrix(), "T", LEVEL)
    row = cells(table, "A over the reference")
    assert row["published"].text == "0.542" and row["order"].text == "agrees"
    assert cells(table, "A over B")["published"].text == "0.530 to 0.553"
    assert np.isfinite(row["ours"].lower)
    text = "\n".join(table.notes)
    assert "win rates of arXiv:2503.08942" in text and "read in its released code" in text
    assert (
        "Not comparable: a test." in text and "NMDPG-2 is not run: left out of this test." in text
    )
    assert "3 agrees, 2 reversed, 1 undecided" in text
    assert "A over the reference" in to_csv(table) and "0.530 to 0.553" in to_latex(table)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rows": {**EGPO, "D": ("INPO",)}}, "names 'INPO', which is no row or column"),
        ({"not_run": {**NOT_RUN, "MPO": "-"}}, "not_run names 'MPO'"),
        ({"not_run": {}}, "passes over OIPO2-5; OIPO2-8; NMDPG-2; NMDPG-4"),
        ({"not_run": {**NOT_RUN, "ref": "-"}}, "names 'ref' twice"),
        ({"table": "3"}, "is no table of arXiv 2503.08942: choose among"),
        ({"reason": " "}, "a reason why"),
        ({"half_width": 0.6}, "half_width from 0"),
        ({"paper": "1"}, "no published numbers of arXiv 1"),
    ],
)
def test_a_matrix_without_meaning_is_refused(changes, said):
    with pytest.raises(ImpossibleSettingError, match=said):
        matrix(**changes)


def test_numbers_that_are_no_preferences_are_refused():
    wrong = PublishedMatrix(
        "2405.00675",
        "Figure 4",
        {"A": ("K = 2, It1",), "B": ("Len",)},
        "a test",
        dict.fromkeys(("K = 2, It2", "K = 2, It3", "K = 5, It1", "K = 5, It2", "K = 5, It3"), "-")
        | {"LC": "-", "WR": "-"},
    )
    with pytest.raises(ImpossibleSettingError, match="which is no preference"):
        wrong.printed("A", "B")


def test_labels_are_checked_before_any_work():
    check_published_matrix(matrix(), ["A", "B", "C"])
    check_published_matrix(None, [])
    with pytest.raises(ImpossibleSettingError, match="'C', which is no row of the experiment"):
        check_published_matrix(matrix(), ["A", "B"])


def test_a_table_file_names_a_matrix_only_beside_a_round_robin():
    node = {"title": "T", "caption": "", "columns": [], "primary": None, "figures": []}
    asked = {
        "paper": "2503.08942",
        "table": "win rates",
        "rows": {label: list(names) for label, names in EGPO.items()},
        "not_run": NOT_RUN,
        "reason": "a test",
    }
    robin = {"exploitability": None, "trained": None}
    found = table_specification(
        {**node, "level": 0.95, "round_robin": robin, "published_matrix": asked}
    )
    rows = {label: tuple(names) for label, names in found.published_matrix.rows.items()}
    assert replace(found.published_matrix, rows=rows) == matrix()
    with pytest.raises(ImpossibleSettingError, match="stands beside a round-robin"):
        table_specification({**node, "level": 0.95, "published_matrix": asked})
    for wrong in ({**asked, "rows": {"A": "ref", "B": ["NMD-6"]}}, {**asked, "cells": 1}):
        with pytest.raises(ImpossibleSettingError, match=r"table.published_matrix"):
            table_specification(
                {**node, "level": 0.95, "round_robin": robin, "published_matrix": wrong}
            )
