"""The report of a learned preference: its numbers by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nlhf_repro.preferences.measures import (
    HeldOut,
    Measure,
    against_truth,
    calibration,
    cycles,
    numbered,
    position,
    quality,
)
from nlhf_repro.preferences.report import markdown, plain, summary, write_report
from nlhf_repro.uncertainty import estimate, proportion

# Two comparisons of each of two prompts; the first place is preferred by .1 too often.
CASE = HeldOut(
    answers=np.array([1.0, 0.0, 1.0, 1.0]),
    shown=np.array([0.9, 0.3, 0.5, 0.3]),
    exchanged=np.array([0.3, 0.9, 0.5, 0.9]),
    prompts=np.array([0, 0, 1, 1]),
)
PREDICTED = np.array([0.8, 0.2, 0.5, 0.2])


def test_predictions_are_the_mean_over_both_orders() -> None:
    np.testing.assert_allclose(CASE.predicted, PREDICTED, rtol=1e-12)


def test_accuracy_and_log_loss_by_hand() -> None:
    """Right, right, a tie, wrong: 2.5 of 4, and 1 and 1/4 by prompt."""
    found = quality(CASE, 2)
    assert found["accuracy"].value == pytest.approx(2.5 / 4)
    losses = -np.log([0.8, 0.8, 0.5, 0.2])
    assert found["log_loss"].value == pytest.approx(losses.mean())
    by_prompt = estimate(np.array([[losses[:2].mean(), losses[2:].mean()]]))
    assert (found["log_loss"].lower, found["log_loss"].upper) == pytest.approx(
        (by_prompt.lower, by_prompt.upper)
    )
    assert found["accuracy"].prompts == 2
    assert 0 <= found["accuracy"].lower < 0.625 < found["accuracy"].upper <= 1


def test_soft_answers_are_shares_of_answers() -> None:
    soft = HeldOut(np.array([0.7, 0.4]), *np.array([[0.8, 0.8], [0.2, 0.2]]), np.arange(2))
    found = quality(soft, 1)
    assert found["accuracy"].value == pytest.approx((0.7 + 0.4) / 2)
    losses = [-(p * np.log(0.8) + (1 - p) * np.log(0.2)) for p in (0.7, 0.4)]
    assert found["log_loss"].value == pytest.approx(np.mean(losses))
    assert found["calibration_error_if_calibrated"] is None


def test_the_calibration_error_by_hand() -> None:
    """Both orders in two bins: .2 .2 .2 .5 and .5 .8 .8 .8, whose answers are in turn

    0 1 0 1 (or 0 with the tie's other half) and the opposite.
    """
    error, table = calibration(CASE, 2)
    low, high = table
    assert (low.count, high.count) == (4, 4)
    assert low.predicted == pytest.approx((3 * 0.2 + 0.5) / 4)
    assert high.predicted == pytest.approx((3 * 0.8 + 0.5) / 4)
    gaps = [each.predicted - each.answered for each in table]
    assert low.answered + high.answered == pytest.approx(1)
    assert error.value == pytest.approx((abs(gaps[0]) + abs(gaps[1])) / 2)
    assert (low.lowest, low.highest, high.highest) == pytest.approx((0.2, 0.5, 0.8))


def test_one_bin_is_calibrated_in_both_orders() -> None:
    error, table = calibration(CASE, 1)
    assert error.value == pytest.approx(0, abs=1e-12)
    assert (table[0].predicted, table[0].answered) == pytest.approx((0.5, 0.5))


def test_noise_reads_as_error_even_where_predictions_are_true() -> None:
    """Two bins of one comparison: |P - answer| is .8 or .2, on average 2 * .8 * .2 = .32."""
    one = HeldOut(np.array([1.0]), np.array([0.8]), np.array([0.2]), np.array([0]))
    found = quality(one, 2)["calibration_error_if_calibrated"]
    assert found == pytest.approx(0.32, abs=0.05)
    assert quality(one, 2)["calibration_error"].value == pytest.approx(0.2)


def test_the_position_bias_by_hand() -> None:
    """Both places of the first three lean by .2, .2 and 0, of the fourth by .2."""
    found = position(CASE)
    lean = np.array([0.2, 0.2, 0.0, 0.2])
    assert found["position_bias"].value == pytest.approx(lean.mean() / 2)
    assert found["position_inconsistency"].value == pytest.approx(lean.mean())
    opposite = HeldOut(CASE.answers, 1 - CASE.shown, 1 - CASE.exchanged, CASE.prompts)
    assert position(opposite)["position_bias"].value == pytest.approx(-lean.mean() / 2)
    assert position(opposite)["position_inconsistency"].value == pytest.approx(lean.mean())


CYCLE = np.array([[0.5, 0.9, 0.1], [0.1, 0.5, 0.9], [0.9, 0.1, 0.5]])
STRENGTHS = np.array([0.0, 1.0, 3.0])
RANKED = 1 / (1 + np.exp(STRENGTHS - STRENGTHS[:, None]))


def test_cycles_by_hand() -> None:
    """One prompt cycles wholly and one is a ranking; a prompt with two responses has no triple."""
    found = cycles([CYCLE, RANKED, CYCLE[:2, :2]])
    assert found is not None
    assert found["cycle_share"].value == found["cyclic_part"].value == pytest.approx(0.5)
    assert found["cycle_share"].prompts == 2
    assert cycles([CYCLE[:2, :2]]) is None


def test_no_cycle_among_few_prompts_is_no_proof_that_there_is_none() -> None:
    found = cycles([RANKED] * 20)
    assert found is not None
    expected = proportion(np.zeros((1, 20), dtype=bool))
    share = found["cycle_share"]
    assert (share.value, share.lower, share.upper) == (0, 0, expected.upper)
    assert share.upper > 0.1


def test_the_error_against_the_truth_by_hand() -> None:
    truth = np.array([0.7, 0.6, 0.4, 0.1])
    found = against_truth(CASE, truth, [RANKED, CYCLE], [RANKED, RANKED])
    assert found["absolute_error"].value == pytest.approx(np.abs(PREDICTED - truth).mean())
    assert found["agreement"].value == pytest.approx(2.5 / 4)  # right, wrong, a tie, right
    undecided = against_truth(CASE, np.full(4, 0.5), [], [])
    assert undecided["agreement"].value == 1 / 2  # where the truth prefers neither, none agrees
    flat = replace(CASE, shown=np.full(4, 0.5), exchanged=np.full(4, 0.5))
    assert against_truth(flat, np.full(4, 0.5), [], [])["agreement"].value == 1 / 2
    assert against_truth(flat, truth, [], [])["agreement"].value == 1 / 2
    # Of the cycle all mean preferences tie: no rank of its responses, and one prompt remains.
    assert found["rank_correlation"].value == 1
    assert found["rank_correlation"].prompts == 1
    turned = against_truth(CASE, truth, [RANKED.T], [RANKED])
    assert turned["rank_correlation"].value == -1
    assert against_truth(CASE, truth, [], [])["rank_correlation"] is None


def test_names_are_numbered_in_their_order() -> None:
    assert numbered(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]


def report(kind: str) -> dict[str, object]:
    return {
        "kind": kind,
        "source": "4 comparisons",
        "kept_step": 3,
        "unknown_tokens": 0.25,
        "parts": {"training": 5, "validation": 0, "held_out": 4, "left_out": 1},
        **quality(CASE, 2),
        **position(CASE),
    }


def test_the_report_is_written_alike_every_time(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        write_report(folder, report("joint_classifier"))
    names = ("report.json", "report.md", "reliability.png")
    assert all(
        folders[0].joinpath(x).read_bytes() == folders[1].joinpath(x).read_bytes() for x in names
    )
    found = json.loads((folders[0] / "report.json").read_text())
    assert found["accuracy"]["value"] == pytest.approx(2.5 / 4)
    text = (folders[0] / "report.md").read_text()
    assert "| accuracy | 0.6250 | [" in text
    assert "| position bias | 0.0750 | [" in text
    assert "25.0% of the tokens are unknown" in text
    assert "no held-out prompt has three responses" in text
    assert all(line.count("|") == 5 for line in text.splitlines() if line.startswith("| accuracy"))


def test_a_single_prompt_has_no_interval() -> None:
    one = {
        **plain(report("reward_model")),
        "accuracy": vars(Measure(0.5, *[float("nan")] * 2, 1, "")),
    }
    assert "| accuracy | 0.5000 | none | 1 |" in list(markdown(one))
    assert "accuracy: 0.5 over 1 held-out prompts" in list(summary(one))
