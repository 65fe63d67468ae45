"""Judged benchmarks in tables: draws, judges, notes, and updates that were not scored."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from reporting_rows import record, specification, texts
from scipy import stats

from nlhf_repro.pipeline.benchmark_notes import united_notes
from nlhf_repro.reporting import render_table, to_markdown
from nlhf_repro.reporting.cells import RefusedCell
from nlhf_repro.reporting.columns import Maximum, MeanValue, ShareBelow, UpdatesToReach
from nlhf_repro.reporting.curves import figure_panels
from nlhf_repro.reporting.figure_specification import FigureSpecification
from nlhf_repro.reporting.scores.verdicts import verdict_on
from nlhf_repro.reporting.series import series, values_at
from nlhf_repro.uncertainty.error_law import Component, ErrorLaw, MeanSquare
from nlhf_repro.verbs.compare_rows import judges_said
from nlhf_repro.verbs.result import summary

MEAN = MeanValue("score", "judged", "last", "last", across_regularization=True)
EARLY = replace(MEAN, header="early", at={"updates": 0})
HAND = [[[0.0, 2.0], [4.0, 10.0]]]  # [seeds, draws, prompts]
HAND_LAW = ErrorLaw(MeanSquare(4, 1), (Component((MeanSquare(9, 1),), noise=1),))


def judged(label, draws, judges=("J",), scored=True, **fields):
    """A row of two recorded points; draws [seeds, draws, prompts] are those of the second."""
    draws = np.asarray(draws, dtype=float)
    start = np.zeros_like(draws) if scored else np.full_like(draws, np.nan)
    both = np.stack([start, draws], axis=-1)
    fields = {
        "values": {"judged/last": both.mean(axis=1)},
        "judge_draws": {"judged/last": both},
        "judges": {"judged": judges},
        "scored_updates": {} if scored else {"judged": (100.0,)},
        "floors": {"judged": 0.0},
        "clusters": "prompts",
    } | fields
    return record(label, draws.mean(axis=1), **fields)


def cell_of(table, label, header):
    (row,) = (row for row in table.rows if row.label == label)
    return row.cells[table.header.index(header) - 1]


def test_interval_of_a_mean_by_hand():
    """As in test_uncertainty_judges: V_prompt 4, draws 18/2, of which 2/2 are counted."""
    table = render_table([judged("one", HAND), judged("two", HAND * 2)], specification(MEAN))
    half = HAND_LAW.quantile(0.975)
    for label in ("one", "two"):
        cell = cell_of(table, label, "score")
        assert (cell.lower, cell.upper) == pytest.approx((4 - half, 4 + half), rel=1e-9)
    assert texts(table)["one"][-1] == "4 [-60, 68]‡"
    few = "2 judge draws, whose variance is in the interval"
    assert f"score of one; two: {few}." in table.notes


def test_interval_of_a_difference_is_that_of_the_draws_differences():
    """Differences [[-1, 1], [1, 7]]: V_prompt = var(0, 4)/2 = 4; means 0 and 4: spread 8, MS_int 4,
    J = 8 - 4/2 = 6; V = 4 + 6/2 = 7; df = 7^2 / (4^2 / 1 + 4^2 / 1) = 49/32.
    """
    rows = [judged("A", HAND * 2), judged("B", [[[1.0, 1.0], [3.0, 3.0]]] * 2)]
    found = MEAN.difference(*rows, matched=False, confidence=0.95)
    assert (found.estimate, found.judge_variance) == pytest.approx((2, 6), rel=1e-12)
    assert found.standard_error == pytest.approx(sqrt(7), rel=1e-12)
    assert found.degrees_of_freedom == pytest.approx(49 / 32, rel=1e-12)
    half = ErrorLaw(MeanSquare(4, 1), (Component((MeanSquare(4, 1),), noise=1),)).quantile(0.975)
    cell = MEAN.compare(*rows, matched=False, confidence=0.95)
    assert (cell.lower, cell.upper) == pytest.approx((2 - half, 2 + half), rel=1e-9)
    assert "2 judge draws, whose variance is in the interval" in cell.note


def test_one_draw_prints_what_it_does_not_say():
    row = judged("A", np.random.default_rng(0).normal(size=(3, 1, 20)))
    table = render_table([row], specification(MEAN))
    assert (
        "score of A: 1 judge draw: the interval says nothing about other draws of the judge "
        "(re-runs, or other members of a panel)." in table.notes
    )
    without = render_table([replace(row, judge_draws={})], specification(MEAN))
    assert texts(without) == texts(table)


def test_other_judges_or_draws_are_not_compared():
    rng = np.random.default_rng(1)
    first, second = (judged(name, rng.normal(size=(3, 4, 20))) for name in "AB")
    table = specification(MEAN, against="B", column="score")
    other = replace(second, judges={"judged": ("K",)})
    assert texts(render_table([first, other], table))["A"][-1] == "refused: other judges"
    fewer = judged("B", rng.normal(size=(3, 3, 20)))
    assert texts(render_table([first, fewer], table))["A"][-1] == (
        "refused: 4 against 3 judge draws"
    )
    unknown = replace(second, judge_draws={})
    assert texts(render_table([first, unknown], table))["A"][-1] == (
        "refused: 4 against 0 judge draws"
    )
    assert "p" in texts(render_table([first, second], table))["A"][-1]


def test_worlds_with_judges_of_their_own_need_no_component():
    """Draws of different worlds are different judges: the variance over worlds contains them."""
    draws = np.random.default_rng(2).normal(size=(2, 5, 8)) + np.arange(5)[None, :, None]
    own = tuple(f"judge {world}" for world in range(8))
    worlds = {"clusters": "worlds", "problems": 8}
    nested, crossed = judged("own", draws, own, **worlds), judged("same", draws, "J" * 8, **worlds)
    table = render_table([nested, crossed], specification(MEAN))
    narrow, wide = (cell_of(table, label, "score") for label in ("own", "same"))
    values = draws.mean(axis=(0, 1))
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (narrow.lower, narrow.upper) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert wide.upper - wide.lower > 2 * (narrow.upper - narrow.lower)
    assert narrow.note == (
        "5 judge draws in every world, whose judges differ: worlds vary with their judges too"
    )
    assert wide.note == "5 judge draws, whose variance is in the interval"


def test_draws_of_judges_that_nobody_names_are_taken_for_shared_ones():
    """Every world draws its own judges: the interval covers if that is said, else is wider."""
    rng, found = np.random.default_rng(3), np.zeros(2)
    for _ in range(600):
        draws = 0.3 * rng.normal(size=(1, 1, 10)) + 0.5 * rng.normal(size=(1, 5, 10))
        for place, judges in enumerate((tuple("abcdefghij"), ())):
            row = judged("A", draws, judges, clusters="worlds", problems=10)
            cell = MEAN.cell(row, 0.95)
            found[place] += cell.lower <= 0 <= cell.upper
    own, unsaid = 100 * found / 600
    assert 92.3 <= own <= 97.7
    assert own <= unsaid <= 99


def test_numbers_whose_interval_leaves_the_judge_out_say_so():
    row = judged("A", np.random.default_rng(4).normal(size=(3, 4, 20)))
    share = ShareBelow("share", "judged", "last", "last", 0.0)
    table = render_table([row], specification(share))
    assert (
        "share of A: mean over 4 judge draws, whose variance is not in the interval." in table.notes
    )


def test_an_update_that_was_not_scored_is_refused_and_curves_pass_it():
    row = judged("A", np.random.default_rng(5).normal(size=(3, 4, 20)), scored=False)
    table = render_table(
        [row],
        specification(
            MEAN,
            EARLY,
            Maximum("largest", "judged", "last", "last"),
            UpdatesToReach("reach", "judged", "last", 0.0, "updates"),
        ),
    )
    assert texts(table)["A"][2] == "not scored at update 0"
    assert texts(table)["A"][4] == "scored at 1 of 2 recorded updates only"
    assert cell_of(table, "A", "score").estimate == pytest.approx(
        values_at(row, "judged", "last", "last").mean()
    )
    with pytest.raises(RefusedCell, match="scored at 1 of 2"):
        series(row, "judged", "last")
    figure = FigureSpecification(
        name="f",
        title="t",
        label="l",
        benchmark="judged",
        axis="updates",
        iterates=("last",),
        panels="one",
        lines={},
        bounds=(),
        mean="arithmetic",
    )
    (panel,) = figure_panels([row], figure, 0.95)
    assert panel.left_out == ()
    assert panel.curves[0].counts.tolist() == [100.0]
    cell = cell_of(table, "A", "score")
    ends = panel.curves[0].lower[0], panel.curves[0].upper[0]
    assert ends == pytest.approx((cell.lower, cell.upper), rel=1e-12)


def test_a_score_that_is_no_number_is_not_taken_for_one_that_was_not_asked_for():
    row = judged("A", np.random.default_rng(6).normal(size=(3, 4, 20)), scored=False)
    table = render_table([replace(row, scored_updates={})], specification(MEAN))
    assert texts(table)["A"][-1] == "not finite in 60 of 60 runs"


def test_draws_that_contradict_the_values_are_refused():
    row = judged("A", np.random.default_rng(7).normal(size=(3, 4, 20)))
    short = {"judged/last": row.judge_draws["judged/last"][:2]}
    with pytest.raises(ValueError, match="Row 'A' has judge draws of judged/last of shape"):
        render_table([replace(row, judge_draws=short)], specification(MEAN))
    with pytest.raises(ValueError, match="is not the matrix beside it"):
        shifted = {"judged/last": row.judge_draws["judged/last"] + 1}
        render_table([replace(row, judge_draws=shifted)], specification(MEAN))


def test_notes_stand_once_below_the_table():
    rng = np.random.default_rng(8)
    shared = "not comparable with published numbers"
    notes = {"A": (shared, "seed 0: 3 verdicts unread"), "B": (shared,), "C": ()}
    rows = [
        judged(label, rng.normal(size=(3, 4, 20)), notes={"judged": said})
        for label, said in notes.items()
    ]
    text = to_markdown(render_table(rows[:2], specification(MEAN)))
    assert text.count(f"- judged: {shared}.\n") == 1
    assert text.count(shared) == 1
    assert "- judged of A: seed 0: 3 verdicts unread.\n" in text
    assert f"- judged of A; B: {shared}.\n" in to_markdown(render_table(rows, specification(MEAN)))
    assert text == to_markdown(render_table(rows[:2], specification(MEAN)))


def test_notes_of_runs_are_united():
    runs = {
        "seed 0": {"judged": ["judge: J.", "3 verdicts\n unread", "flips 5 %"]},
        "seed 1": {"judged": ["judge: J", "4 verdicts unread", "flips 5 %"]},
        "seed 2": {"judged": ["judge: J", "3 verdicts unread", "flips 5 %"]},
        "seed 3": {"judged": ["judge: J", "flips 5 %"]},
    }
    assert united_notes(runs) == {
        "judged": (
            "judge: J",
            "flips 5 %",
            "seed 0 and seed 2: 3 verdicts unread; seed 1: 4 verdicts unread",
        )
    }
    assert united_notes({"seed 0": {"judged": ()}}) == {}
    assert united_notes({}) == {}


def test_comparisons_on_the_terminal_say_what_they_leave_out():
    rows = [judged("A", HAND * 2), judged("B", [[[1.0, 1.0], [3.0, 3.0]]] * 2)]
    found = MEAN.difference(*rows, matched=False, confidence=0.95)
    verdict = verdict_on("score", "", (4.0, 2.0), found, nested=False)
    assert judges_said(verdict).startswith("2 judge draws, whose variance is in the interval")
    assert "takes the judge's variance for 0, so that more is needed" in judges_said(verdict)
    unjudged = replace(verdict, found=replace(found, judge_draws=0, judge_variance=0.0))
    assert judges_said(unjudged) == ""


def test_the_report_of_one_run_has_the_judge_in_its_interval():
    draws = np.array(HAND)
    text = summary(draws.mean(axis=1), 0.0, False, "prompts", draws)
    half = HAND_LAW.quantile(0.975)
    assert text == (
        f"mean 4, 95% interval [{4 - half:.4g}, {4 + half:.4g}] over 2 prompts; one training "
        "run: no training variance; 2 judge draws, whose variance is in the interval"
    )
