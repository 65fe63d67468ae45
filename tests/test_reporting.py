"""Tables: what is never averaged, what is never compared, and what the notes have to say."""

import math
from dataclasses import replace

import numpy as np
import pytest
from reporting_rows import GAP, REGULARIZED, lognormal, record, specification, texts

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.reporting import render_table
from nlhf_repro.reporting.columns import Maximum, MeanValue, ShareBelow, UpdatesToReach
from nlhf_repro.uncertainty import holm, ratio_of_gaps


def test_missing_and_failed_seeds_are_never_averaged_away():
    columns = (GAP, Maximum("worst", "duality_gap", "last", "last"))
    rows = [
        record("whole", lognormal(0)),
        record("partly", lognormal(1, (3, 40)), missing=(3, 4)),
        record("broken", lognormal(2, (4, 40)), failed={4: "FloatingPointError: overflow"}),
        record("absent", np.empty((0, 40)), missing=(0, 1)),
    ]
    table = render_table(rows, specification(*columns, against="whole"))
    shown = texts(table)
    assert shown["whole"][2] == "baseline"
    assert shown["partly"][1].endswith("]†") and shown["partly"][3].endswith("†")
    assert shown["partly"][2] == "no comparison: row incomplete†"
    assert shown["broken"][1] == shown["broken"][3] == "failed"
    assert shown["absent"][1] == shown["absent"][3] == "missing"
    assert math.isnan(table.rows[2].cells[1].estimate)
    assert "partly: missing 2 of 5 seeds (3, 4)." in table.notes
    assert "broken: failed 1 of 5 seeds (seed 4: FloatingPointError: overflow)." in table.notes
    assert "absent: missing 2 of 2 seeds (0, 1)." in table.notes
    assert any(note.startswith("† incomplete") for note in table.notes)
    incomplete = render_table(rows, specification(*columns, against="partly"))
    assert texts(incomplete)["whole"][2] == "no comparison: baseline incomplete†"


def test_one_training_run_is_marked_and_claims_no_significance():
    rows = [record("one", lognormal(0, (1, 40))), record("five", lognormal(1, scale=1e-5))]
    table = render_table(rows, specification(GAP, against="five"))
    gap, comparison = table.rows[0].cells[1:]
    assert gap.text.endswith("]‡") and gap.level == "checkpoint"
    assert comparison.text.endswith("times‡") and math.isnan(comparison.p_value)
    assert any(note.startswith("‡ checkpoint level") for note in table.notes)


def test_one_game_has_no_interval():
    table = render_table([record("A", [[0.2]] * 3)], specification(GAP))
    cell = table.rows[0].cells[1]
    assert cell.text == "0.20" and math.isnan(cell.lower)
    assert any(
        note.startswith("One game: nothing in this table generalizes") for note in table.notes
    )


def test_gaps_at_the_floor_are_refused_not_averaged():
    some = lognormal(0, (1, 25))
    some[0, :3] = 1e-13
    rows = [record("some", some, exact=True), record("fine", lognormal(1, (1, 25)), exact=True)]
    rows.append(record("all", np.zeros((1, 25)), exact=True))
    shown = texts(render_table(rows, specification(GAP, against="fine")))
    assert shown["some"][1] == "12% of the gaps are at the floor 1e-12"
    assert shown["some"][2] == "refused: 12% of the gaps are at the floor 1e-12"
    assert shown["all"][1] == "all gaps at the floor 1e-12"


def test_a_few_gaps_at_the_floor_are_counted_below_the_table():
    some = lognormal(0, (1, 50))
    some[0, :2] = 0.0
    table = render_table([record("A", some, exact=True)], specification(GAP))
    assert "gap of A: 2 of 50 gaps at the floor." in table.notes


def test_comparison_is_the_engines_ratio_with_holms_p_values():
    gaps = [lognormal(seed, scale=scale) for seed, scale in ((0, 1e-3), (1, 1.2e-3), (2, 3e-3))]
    rows = [record(label, gap) for label, gap in zip("abc", gaps, strict=True)]
    table = render_table(rows, specification(GAP, against="a"))
    expected = [ratio_of_gaps(gap, gaps[0], 1e-12) for gap in gaps[1:]]
    adjusted = holm([ratio.p_value for ratio in expected])
    for row, ratio, p in zip(table.rows[1:], expected, adjusted, strict=True):
        cell = row.cells[2]
        assert (cell.estimate, cell.lower, cell.upper) == (ratio.estimate, ratio.lower, ratio.upper)
        assert cell.p_value == p
    assert texts(table)["c"][2].endswith("times, p < 0.001")


def test_matched_seeds_use_the_paired_variance_and_must_agree():
    common = lognormal(9, (5, 1), 1.0)
    rows = [record("a", lognormal(0) * common), record("b", lognormal(1) * common)]
    table = render_table(rows, specification(GAP, against="a", seeds="matched"))
    gaps = [row.values["duality_gap/last"][..., 1] for row in rows]
    assert table.rows[1].cells[2].upper == ratio_of_gaps(gaps[1], gaps[0], 1e-12, True).upper
    other = [rows[0], replace(rows[1], seeds=(5, 6, 7, 8, 9))]
    shown = texts(render_table(other, specification(GAP, against="a", seeds="matched")))
    assert shown["b"][2] == "refused: matched seeds differ"


def test_regularized_gaps_meet_only_their_own_regularization():
    rows = [
        record("base 1", lognormal(0), tau=0.1),
        record("base 2", lognormal(1), tau=0.01),
        record("x", lognormal(2), tau=0.01),
        record("y", lognormal(3), tau=0.5),
    ]
    table = render_table(rows, specification(REGULARIZED, against=("base 1", "base 2")))
    gaps = [row.values["duality_gap/last"][..., 1] for row in rows]
    assert table.rows[2].cells[2].estimate == ratio_of_gaps(gaps[2], gaps[1], 1e-12).estimate
    assert texts(table)["y"][2] == "refused: no baseline with regularization 0.5"
    single = texts(render_table(rows, specification(REGULARIZED, against="base 1")))
    assert single["x"][2] == "refused: no baseline with regularization 0.01"


def test_rows_on_other_games_are_not_paired():
    rows = [record("a", lognormal(0)), record("b", lognormal(1), start=0.4)]
    rows.append(record("c", lognormal(2, (5, 30))))
    shown = texts(render_table(rows, specification(GAP, against="a")))
    assert shown["b"][2] == "refused: other games or references (values at update 0 differ)"
    assert shown["c"][2] == "refused: 30 against 40 games"


def test_a_share_of_one_keeps_wilsons_width():
    column = ShareBelow("share", "duality_gap", "last", "last", 1.0)
    cell = render_table([record("a", lognormal(0, (1, 20)), exact=True)], specification(column))
    assert cell.rows[0].cells[1].text == "100% [83.9%, 100%]"  # n / (n + z^2) = 20 / 23.84


def test_times_to_a_threshold_are_censored():
    column = UpdatesToReach("time", "duality_gap", "last", 1e-2, "updates")
    rows = [record("a", [[1e-3, 1e-3, 1e-3, 0.1]]), record("b", [[0.1] * 4])]
    shown = texts(render_table(rows, specification(column)))
    assert shown["a"][1] == "100" and shown["b"][1] == "> 100"
    half = record("c", [[1e-3, 1e-3, 0.1, 0.1]])
    assert texts(render_table([half], specification(column)))["c"][1] == "100 [100, > 100]"


def test_points_are_read_at_or_before_the_count_asked_for():
    at_200 = replace(GAP, at={"comparisons": 200})
    table = render_table([record("a", lognormal(0))], specification(at_200))
    assert table.rows[0].cells[1].estimate == pytest.approx(0.5)
    assert "gap of a: read at 0 oracle comparisons." in table.notes
    beyond = replace(GAP, at={"updates": 101})
    assert texts(render_table([record("a", lognormal(0))], specification(beyond)))["a"][1] == (
        "ended at 100 updates"
    )


def test_values_that_are_not_finite_are_counted_not_averaged():
    gaps = lognormal(0)
    gaps[0, 0] = math.nan
    shown = texts(render_table([record("a", gaps)], specification(GAP)))
    assert shown["a"][1] == "not finite in 1 of 200 runs"


def test_seeds_of_an_exact_row_count_once_and_must_agree():
    gaps = np.repeat(lognormal(0, (1, 20)), 3, axis=0)
    many = render_table([record("a", gaps, exact=True)], specification(GAP))
    one = render_table([record("a", gaps[:1], exact=True)], specification(GAP))
    assert many == one
    gaps[1, 0] *= 2
    with pytest.raises(ValueError, match="Row 'a' is exact, but duality_gap/last differs"):
        render_table([record("a", gaps, exact=True)], specification(GAP))


def test_means_and_their_differences():
    column = MeanValue("gap", "duality_gap", "last", "last", across_regularization=True)
    rows = [record("a", [[1.0, 2.0], [2.0, 3.0]]), record("b", [[1.5, 2.5], [2.5, 3.5]])]
    table = render_table(rows, specification(column, against="a"))
    assert table.rows[0].cells[1].estimate == 2.0
    assert table.rows[1].cells[2].estimate == 0.5
    assert table.rows[1].cells[2].text.startswith("+0.5 ")


def test_columns_without_records_and_unknown_baselines_are_errors():
    with pytest.raises(ImpossibleSettingError, match="'gap' of the table reads what no row"):
        render_table([record("a", lognormal(0))], specification(replace(GAP, iterate="average")))
    with pytest.raises(ImpossibleSettingError, match="names 'z', which is no row: choose among a"):
        render_table([record("a", lognormal(0))], specification(GAP, against="z"))


def test_variants_are_printed_shared_ones_once():
    rows = [
        record("a", lognormal(0), variants={"labels": "hard", "step": "1"}),
        record("b", lognormal(1), variants={"labels": "hard", "step": "2"}),
    ]
    notes = render_table(rows, specification(GAP)).notes
    assert notes[-3:] == (
        "Variants of all rows: labels hard.",
        "Variants of a: step 1.",
        "Variants of b: step 2.",
    )
