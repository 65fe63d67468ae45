"""`nlhf compare` and `nlhf plan`, against closed forms."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import judgment_files as judged
import numpy as np
import pytest
from command import nlhf, user_folder
from scipy import stats
from verbs import ACADEMIC, ARENA, DPO, MT_BENCH, NASH, group, refused, rows_of, run_verb

from nlhf_repro.uncertainty import difference, equivalence

Capture = pytest.CaptureFixture[str]


def shares(path: Path) -> np.ndarray:
    rows = sorted(rows_of(path), key=lambda row: row["instruction"])
    return np.array([100 * (row["preference"] - 1) for row in rows])


def record_of(capsys: Capture, *arguments: object) -> dict[str, Any]:
    records = json.loads(run_verb(capsys, *arguments, "--format", "json"))
    assert len(records) == 1
    return dict(records[0])


def test_two_checkpoints_are_compared_by_the_paired_t_test(capsys: Capture) -> None:
    found = record_of(capsys, "compare", NASH[0], DPO[0])
    first, second = shares(NASH[0]), shares(DPO[0])
    test = stats.ttest_rel(first, second)
    interval = test.confidence_interval()
    error = np.std(first - second, ddof=1) / math.sqrt(200)
    assert found["difference"] == pytest.approx(np.mean(first - second))
    assert found["p_value"] == found["p_value_holm"] == pytest.approx(test.pvalue)
    assert (found["lower"], found["upper"]) == pytest.approx((interval.low, interval.high))
    quantiles = stats.t.ppf([0.975, 0.8], 199)
    assert found["detectable"] == pytest.approx(quantiles.sum() * error)
    assert found["smallest_margin"] == pytest.approx(
        abs(found["difference"]) + stats.t.ppf(0.95, 199) * error
    )
    assert (found["level"], found["seeds_to_settle"]) == ("checkpoint", None)
    text = run_verb(capsys, "compare", NASH[0], DPO[0])
    assert "‡ checkpoint level: no training variance" in text


def test_the_questions_that_settle_it_detect_the_observed_difference(capsys: Capture) -> None:
    found = record_of(capsys, "compare", NASH[1], DPO[0])
    needed, target = found["questions_to_settle"], abs(found["difference"])
    spread = np.std(shares(NASH[1]) - shares(DPO[0]), ddof=1)

    def detectable(n: int) -> float:
        return float(stats.t.ppf([0.975, 0.8], n - 1).sum() * spread / math.sqrt(n))

    assert detectable(needed) <= target < detectable(needed - 1)


def test_algorithms_are_compared_by_the_engine_with_their_seeds(capsys: Capture) -> None:
    sides = group("nash", NASH), group("dpo", DPO[:2])
    found = record_of(capsys, "compare", *sides, "--margin", 3)
    expected = difference(np.stack(list(map(shares, NASH))), np.stack(list(map(shares, DPO[:2]))))
    for name in ("standard_error", "lower", "upper", "p_value"):
        assert found[name] == pytest.approx(getattr(expected, name))
    tost = equivalence(expected, 3.0)
    assert (found["verdict"], found["margin"]) == (tost.verdict, 3.0)
    assert found["p_value_equivalence"] == pytest.approx(tost.p_value)
    assert (found["level"], found["seeds_first"], found["seeds_second"]) == ("algorithm", 3, 2)
    assert "‡" not in run_verb(capsys, "compare", *sides)


def test_three_verdicts_at_a_margin(capsys: Capture) -> None:
    sides = group("nash", NASH), group("dpo", DPO)
    wide = record_of(capsys, "compare", *sides, "--margin", 30)
    assert wide["verdict"] == "equivalent"
    assert record_of(capsys, "compare", *sides, "--margin", 3)["verdict"] == "different"
    alike = record_of(capsys, "compare", NASH[0], NASH[1], "--margin", 1)
    assert alike["verdict"] == "inconclusive" and alike["questions_to_settle"] > 200


def test_swapping_the_sides_flips_the_sign_and_nothing_else(capsys: Capture) -> None:
    one = record_of(capsys, "compare", NASH[0], DPO[0])
    other = record_of(capsys, "compare", DPO[0], NASH[0])
    assert other["difference"] == pytest.approx(-one["difference"])
    assert other["lower"] == pytest.approx(-one["upper"])
    for name in ("p_value", "standard_error", "detectable", "questions_to_settle"):
        assert other[name] == pytest.approx(one[name])


def test_several_metrics_are_one_family_of_holm(capsys: Capture) -> None:
    wanted = ("--metric", "win_rate", "--metric", "discrete_win_rate", "--format", "json")
    records = json.loads(run_verb(capsys, "compare", NASH[0], DPO[0], *wanted))
    raw = sorted(record["p_value"] for record in records)
    smallest, largest = sorted(record["p_value_holm"] for record in records)
    assert smallest == pytest.approx(min(2 * raw[0], 1))
    assert largest == pytest.approx(max(2 * raw[0], raw[1]))


def test_what_cannot_be_compared_is_refused(capsys: Capture, tmp_path: Path) -> None:
    other_judge = [row | {"annotator": "another"} for row in rows_of(DPO[0])]
    path = judged.write_lines(tmp_path / "judge.jsonl", other_judge)
    assert "differ in their judge" in refused(capsys, "compare", NASH[0], path)
    assert "different benchmarks" in refused(capsys, "compare", NASH[0], ACADEMIC)
    assert "same judgments" in refused(capsys, "compare", NASH[0], NASH[0])
    assert "holds 2 models" in refused(capsys, "compare", ARENA, NASH[0], "--benchmark=arena_hard")
    assert "is no margin" in refused(capsys, "compare", NASH[0], DPO[0], "--margin", 0)
    shifted = [row | {"instruction": f"X {row['instruction']}"} for row in rows_of(DPO[0])]
    foreign = judged.write_lines(tmp_path / "foreign.jsonl", shifted)
    assert "0 questions of win_rate in common" in refused(capsys, "compare", NASH[0], foreign)
    nothing = judged.write_lines(tmp_path / "nothing.jsonl", [{"a": 1}])
    assert "format of no benchmark" in refused(capsys, "compare", nothing, NASH[0])
    assert "rows of two experiments" in refused(capsys, "compare", "a:X", "b:Y")


def test_mt_bench_is_compared_within_its_strata(capsys: Capture, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rows_of(MT_BENCH)
    changed = [row | {"score": float(min(10, row["score"] + rng.integers(0, 3)))} for row in rows]
    path = judged.write_lines(tmp_path / "b.jsonl", [row | {"model": "b"} for row in changed])
    found = record_of(capsys, "compare", path, MT_BENCH)
    gaps = np.array([b["score"] - a["score"] for a, b in zip(rows, changed, strict=True)])
    by_question = gaps.reshape(8, 10, 2).mean(axis=2)
    error = math.sqrt((by_question.var(axis=1, ddof=1) / 10).sum()) / 8
    assert found["difference"] == pytest.approx(gaps.mean())
    assert found["standard_error"] == pytest.approx(error)


# --- Rows of an experiment ----------------------------------------------------------------------

MEANS = """
# Means (nobody)
title: Means
caption: Of gaps.
columns:
  - _target_: nlhf_repro.reporting.columns.MeanValue
    header: mean
    benchmark: duality_gap
    iterate: last
    at: last
    across_regularization: true
  - _target_: nlhf_repro.reporting.columns.GeometricMeanGap
    header: ratio
    benchmark: duality_gap
    iterate: last
    at: last
    across_regularization: true
primary: {column: mean, against: "A, quick", seeds: matched}
figures: []
level: 0.95
"""


@pytest.mark.slow
def test_rows_of_an_experiment_are_compared_as_in_its_table(tmp_path: Path) -> None:
    folder = user_folder(tmp_path)
    own = ("--config-dir", str(folder))
    given = ("--metric", "gap", *own)
    status, _, errors = nlhf(tmp_path, "compare", "small:C", "small:B (it's)", *given)
    assert status == 2 and "incomplete" in errors and "nlhf reproduce small" in errors
    assert nlhf(tmp_path, "reproduce", "small", "--jobs", "1", *own)[0] == 0
    compared = ("compare", "small:C", "small:A, quick", *given, "--format", "json")
    status, output, errors = nlhf(tmp_path, *compared)
    assert status == 0, errors
    (found,) = json.loads(output)
    with (tmp_path / "outputs" / "tables" / "small.csv").open(newline="") as stream:
        cells = {(x["row"], x["column"]): x["estimate"] for x in csv.DictReader(stream)}
    ratio = float(cells["C", "gap"]) / float(cells["A, quick", "gap"])
    assert math.exp(found["difference"]) == pytest.approx(ratio)
    assert found["questions"] == 4 and found["unit"] == "log ratio"
    runs = (json.loads(x.read_text()) for x in (tmp_path / "outputs/runs").glob("*/run.json"))
    seconds = [run["measured"]["seconds"] for run in runs if run["row"] == "C"]
    costs = ("plan", "--costs-of", "small:C", *own)
    status, output, errors = nlhf(tmp_path, *costs, "--format", "json")
    assert status == 0, errors
    for record in json.loads(output):
        assert record["seconds"] == pytest.approx(record["runs"] * sum(seconds) / len(seconds))
        assert record["runs"] == 2 * record["seeds"]
    text = " ".join(nlhf(tmp_path, *costs)[1].split())
    assert f"A run as small:C costs {sum(seconds) / len(seconds):.2g} s" in text
    (folder / "table").mkdir()
    (folder / "table" / "means.yaml").write_text(MEANS)
    small = (folder / "experiment" / "tabular" / "small.yaml").read_text()
    (folder / "experiment" / "tabular" / "means.yaml").write_text(
        small.replace("/table: default", "/table: means").replace("name: small", "name: means")
    )
    assert nlhf(tmp_path, "reproduce", "means", "--jobs", "1", *own)[0] == 0
    status, output, errors = nlhf(tmp_path, "compare", "means:C", "means:A, quick", *own)
    assert status == 0, errors
    assert "paired by game" in output and "4 games" in output
    with (tmp_path / "outputs" / "tables" / "means.csv").open(newline="") as stream:
        printed = [
            x for x in csv.DictReader(stream) if (x["row"], x["column"]) == ("C", "comparison")
        ]
    pair = ("compare", "means:C", "means:A, quick", *own)
    (found,) = json.loads(nlhf(tmp_path, *pair, "--format", "json")[1])
    for name in ("lower", "upper"):
        assert found[name] == pytest.approx(float(printed[0][name]))
    both = ("--metric", "mean", "--metric", "ratio")
    status, _, errors = nlhf(tmp_path, *pair, *both)
    assert status == 2 and "one kind at a time" in errors
    status, _, errors = nlhf(tmp_path, "compare", "small:D", "small:C", *given)
    assert status == 2 and "small has no row 'D'" in errors
    status, _, errors = nlhf(tmp_path, "compare", "small:B (it's)", "small:C", *own)
    assert status == 2 and "declares no comparison" in errors


# --- Plans --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("benchmark", "sd", "expected"),
    [
        ("alpaca_eval", 0, (3.9, 3.7, 2.7, 2.3)),
        ("alpaca_eval", 1, (5.6, 5.3, 3.4, 2.6)),
        ("alpaca_eval", 2, (8.8, 8.5, 5.1, 3.5)),
        ("arena_hard", 1, (6.3, 6.1, 4.0, 3.2)),
        ("arena_hard", 2, (9.3, 9.0, 5.5, 3.9)),
    ],
)
def test_plans_are_the_simulated_ones(
    capsys: Capture, benchmark: str, sd: float, expected: tuple[float, ...]
) -> None:
    """80 % power, two-sided 5 %; the values that simulations of the crossed design agree with."""
    arguments = ("plan", "--benchmark", benchmark, "--seed-sd", sd, "--format", "json")
    records = json.loads(run_verb(capsys, *arguments))
    assert [record["seeds"] for record in records] == [1, 3, 5, 10]
    found = [record["minimum_detectable_effect"] for record in records]
    assert found == pytest.approx(expected, abs=0.051)


def test_what_an_effect_needs_detects_it_and_one_less_does_not(capsys: Capture) -> None:
    def effect(seeds: int) -> float:
        plan = record_of(capsys, "plan", "--seed-sd", 1, "--seeds", seeds)
        return float(plan["minimum_detectable_effect"])

    needed = record_of(capsys, "plan", "--seed-sd", 1, "--seeds", 5, "--effect", 3.2)
    assert effect(needed["seeds_needed"]) <= 3.2 < effect(needed["seeds_needed"] - 1)
    n = needed["questions_needed"]
    fewer, enough = (
        record_of(capsys, "plan", "--seed-sd", 1, "--seeds", 5, "--questions", count)
        for count in (n - 1, n)
    )
    assert enough["minimum_detectable_effect"] <= 3.2 < fewer["minimum_detectable_effect"]
    hopeless = record_of(capsys, "plan", "--seed-sd", 2, "--seeds", 3, "--effect", 1)
    assert hopeless["questions_needed"] is None


def test_assumptions_are_printed_and_what_nobody_knows_is_asked_for(capsys: Capture) -> None:
    text = " ".join(run_verb(capsys, "plan").split())
    assert "assumed, not measured; no public measurement exists" in text
    assert "SD 14" in text and "SD 24" in text and "planning only" in text
    assert "--seed-sd is not known" in refused(capsys, "plan", "--benchmark", "mt_bench")
    assert "--questions is not known" in refused(capsys, "plan", "--benchmark", "academic")
    assert "--seeds 0" in refused(capsys, "plan", "--seeds", 0)
    assert "--effect" in refused(capsys, "plan", "--effect", -1)


def test_a_pilot_measures_the_spreads(capsys: Capture) -> None:
    files = [",".join(map(str, paths)) for paths in (NASH, DPO)]
    arguments = ("plan", "--pilot", *files, "--seeds", "5", "--format", "json")
    measured, upper = json.loads(run_verb(capsys, *arguments))
    found = difference(np.stack(list(map(shares, NASH))), np.stack(list(map(shares, DPO))))
    assert measured["seed_sd"] == pytest.approx(found.seed_standard_deviation / math.sqrt(2))
    assert measured["noise_sd"] == pytest.approx(math.sqrt(found.noise_variance / 2))
    assert upper["seed_sd"] > measured["seed_sd"] and measured["questions"] == 200
    assert "drop those declared" in refused(capsys, *arguments, "--seed-sd", 1)
    assert "at least two runs" in refused(capsys, "plan", "--pilot", NASH[0], DPO[0])
