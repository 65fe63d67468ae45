"""The report's curves: those of the figures, over what was counted, and what training logged."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import report_material as made
from reporting_rows import GAP, lognormal, record

from nlhf_repro.pipeline.cell import run_directory
from nlhf_repro.pipeline.records import DeclaredCell
from nlhf_repro.pipeline.training_logs import logged_records
from nlhf_repro.reporting.curves import figure_panels
from nlhf_repro.reporting.report import report_document


def section(material):
    return report_document([material])["sections"][0]


def test_curves_are_the_figures_and_spending_ends_at_the_ledgers_mean():
    material = made.material()
    figure = section(material)["figures"][0]
    panel = figure_panels(material.records, made.FIGURE, 0.95)[0]
    for shown, curve in zip(figure["panels"][0]["curves"], panel.curves, strict=True):
        for name in ("middle", "lower", "upper"):
            np.testing.assert_allclose(shown[name], getattr(curve, name), rtol=1e-5)
        assert shown["counts"]["comparisons"] == [0, 2304, 4608, 6912]
        assert shown["counts"]["tokens"] == pytest.approx([0, 1333.667, 2667.333, 4001], rel=1e-5)
        assert shown["counts"]["seconds"][-1] == pytest.approx(8.0)
    assert figure["panels"][0]["left_out"] == ["Nash-MD: failed"]
    assert list(figure["axes"]) == ["comparisons", "updates", "tokens", "seconds"]
    assert "approximate" in figure["axes"]["tokens"]
    titles = [each["title"] for each in section(material)["figures"]]
    assert titles == ["Exploitability", "win rate"]  # the declared one, then what no figure shows


def test_counted_tokens_are_drawn_as_they_were_counted():
    counted = [replace(x, tokens=np.array([5.0, 900.0, 1000.0, 7000.0])) for x in made.rows()]
    figure = section(made.material(counted))["figures"][0]
    assert figure["axes"]["tokens"] == "tokens sampled and trained"
    for curve in figure["panels"][0]["curves"]:
        assert curve["counts"]["tokens"] == [5, 900, 1000, 7000]
    mixed = [counted[0], *made.rows()[1:]]
    figure = section(made.material(mixed))["figures"][0]
    assert "approximate" in figure["axes"]["tokens"]
    assert figure["panels"][0]["curves"][0]["counts"]["tokens"] == [5, 900, 1000, 7000]


def test_long_runs_are_thinned_and_the_same_at_the_points_that_stay():
    rng = np.random.default_rng(0)
    points = 500
    values = {"duality_gap/last": rng.lognormal(size=(2, 6, points))}
    axes = {"updates": np.arange(points) * 1.0, "comparisons": np.zeros(points)}
    long = record("A", lognormal(0, (2, 6)), values=values, **axes)
    long = replace(long, preference_evaluations=2 * long.updates, tokens=long.updates**2)
    material = made.material([long], made.specification(GAP, against=None, figures=()))
    figure = section(material)["figures"][0]
    curve = figure["panels"][0]["curves"][0]
    counts = curve["counts"]["updates"]
    assert len(counts) == figure["thinned"] == 120 and counts[0] == 0 and counts[-1] == 499
    assert figure["axis"] == "preference_evaluations"
    assert curve["counts"]["tokens"] == [x * x for x in counts]
    expected = np.exp(np.log(values["duality_gap/last"]).mean(axis=(0, 1)))[counts]
    np.testing.assert_allclose(curve["middle"], expected, rtol=1e-5)


def test_points_that_alone_were_scored_stay():
    points = 500
    values = np.full((2, 6, points), np.nan)
    values[..., [3, 499]] = 0.25
    axes = {name: np.arange(points) * 1.0 for name in ("updates", "comparisons")}
    axes["preference_evaluations"] = np.zeros(points)
    scored = {"scored_updates": {"duality_gap": (3.0, 499.0)}}
    row = record("A", np.ones((2, 6)), values={"duality_gap/last": values}, **axes, **scored)
    asked = made.specification(made.COMPARISONS, against=None, figures=())
    figure = section(made.material([row], asked))["figures"][0]
    curve = figure["panels"][0]["curves"][0]
    assert curve["counts"]["updates"] == [3, 499] and curve["middle"] == [0.25, 0.25]
    assert curve["counts"]["tokens"] == pytest.approx([4000.5 * 3 / 499, 4000.5], rel=1e-5)


@pytest.mark.parametrize("counted", [True, False])
def test_a_log_is_read_at_what_the_policy_had_spent_before(tmp_path, counted):
    cells = [DeclaredCell("A", seed, 0, f"{seed}" * 64, {}) for seed in (0, 1)]
    for cell in cells:
        lines = [{"kind": "step", "update": 0}]
        for update in range(3):
            numbers = {"entropy": 9.0 - update + cell.seed, "kl_to_reference": 0.1 * update}
            asked = {"comparisons": 100 + 10 * (update + 1), "response_length": 12.0}
            if counted:
                asked["tokens_before"] = 1000 * update**2 + 2 * cell.seed
            lines.append({"kind": "collect", "update": update, **numbers, **asked})
        directory = run_directory(tmp_path, cell.key)
        directory.mkdir(parents=True)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (directory / "training.jsonl").write_text(text)
    row = made.row("A", 0.1, 0, seeds=2, comparisons=np.array([100.0, 110.0, 120.0, 130.0]))
    judged = {"judge_draws": {"lc/last": np.zeros((2, 3, 1, 2))}, "scored_updates": {"lc": [0, 9]}}
    (found,) = logged_records(cells, [replace(row, **judged)], tmp_path)
    assert not found.judge_draws and not found.scored_updates, "a log has none of them"
    assert found.comparisons.tolist() == [100, 110, 120]
    assert found.tokens is None if not counted else found.tokens.tolist() == [1, 1001, 4001]
    entropy = found.values["entropy of training responses, nats/last"]
    assert entropy.tolist() == [[[9, 8, 7]], [[10, 9, 8]]]
    figures = section(made.material([row], made.specification(against=None), logged=(found,)))[
        "figures"
    ]
    shown = next(x for x in figures if x["title"].startswith("entropy"))["panels"][0]["curves"][0]
    assert shown["middle"] == [9.5, 8.5, 7.5] and shown["lower"] == [None] * 3  # one world
