"""The report's document: the numbers of the tables, and sentences that claim no more."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import report_material as made
from reporting_rows import GAP, lognormal, record

from nlhf_repro.reporting import render_round_robin, render_table, to_csv
from nlhf_repro.reporting.answers import comparison_answers
from nlhf_repro.reporting.cells import Cell, TableRow
from nlhf_repro.reporting.report import report_document, report_page
from nlhf_repro.reporting.report.encoding import table_json
from nlhf_repro.uncertainty import (
    Components,
    detectable_difference,
    difference,
    estimate,
    minimum_detectable_effect,
)
from nlhf_repro.uncertainty.error_law import ErrorLaw, MeanSquare
from nlhf_repro.verbs.report import paragraphs

KEYS = {"estimate": "estimate", "lower": "lower", "upper": "upper", "p_value": "p"}


def section(material=None):
    return report_document([material or made.material()])["sections"][0]


def kinds(answers):
    return [answer["kind"] for answer in answers]


# --- numbers


def tables_of(found):
    return [
        found["table"],
        found["meetings"]["table"],
        *found["variance"],
        *found["costs"],
        found["provenance"]["cells"],
    ]


def test_every_number_of_every_table_is_its_csvs():
    checked = 0
    for table in tables_of(section()):
        lines = list(csv.DictReader(io.StringIO(table["csv"])))
        cells = [cell for row in table["rows"] for cell in row["cells"]]
        assert len(lines) == len(cells) > 0
        for line, cell in zip(lines, cells, strict=True):
            assert line["text"] == cell["text"]
            for name, key in KEYS.items():
                assert line[name] == (repr(cell[key]) if key in cell else "")
                checked += key in cell
    assert checked > 100


def test_the_csvs_are_those_of_the_table_and_of_the_meetings():
    material = made.material()
    found = section(material)
    asked = material.specification
    assert found["table"]["csv"] == to_csv(render_table(material.records, asked))
    meetings = render_round_robin(material.round_robin, asked.title, asked.level)
    assert found["meetings"]["table"]["csv"] == to_csv(meetings)


def test_rows_of_a_paper_are_marked_as_published():
    table = render_table(made.rows(), made.specification())
    theirs = TableRow("RLHF", (Cell("not run"),) * 5, published=True)
    found = table_json(replace(table, rows=(*table.rows, theirs)), "x")["rows"]
    assert [row.get("published", False) for row in found] == [False] * 4 + [True]


def test_rows_of_a_paper_that_were_not_run_are_not_compared():
    rows, asked = made.rows(), made.specification()
    lines = render_table(rows, asked)
    further = replace(lines, rows=(*lines.rows, TableRow("RLHF", (Cell("not run"),) * 5)))
    answers = comparison_answers(rows, further, asked)
    assert [answer.text.split(" ")[0] for answer in answers] == ["Iterative", "SPPO", "Nash-MD"]


def test_variance_components_are_the_engines():
    material = made.material()
    first = section(material)["variance"][0]
    assert first["title"] == "Variance components of exploitability"
    values = material.records[0].values["oracle_exploitability/last"][..., -1]
    found = estimate(values)
    seed, item, noise, judged, share = first["rows"][0]["cells"]
    assert seed["estimate"] == found.seed_standard_deviation
    assert (seed["lower"], seed["upper"]) == (
        found.seed_standard_deviation_lower,
        found.seed_standard_deviation_upper,
    )
    assert item["estimate"] == math.sqrt(found.cluster_variance)
    assert noise["estimate"] == math.sqrt(found.noise_variance)
    assert judged["text"] == "not drawn"
    assert share["estimate"] == found.seed_variance / 3 / found.standard_error**2
    assert {cell["text"] for cell in first["rows"][3]["cells"]} == {"failed"}


# --- sentences


def test_an_answer_says_what_its_cell_does():
    answers = section()["answers"]
    assert kinds(answers) == ["different", "undecided", "refused"]
    assert re.fullmatch(
        r"Iterative DPO is more exploitable than INPO by 0\.06\d+ \[0\.0\d+, 0\.0\d+\] "
        r"\(p < 0\.001, Holm over 3 comparisons\)\.",
        answers[0]["text"],
    )
    assert answers[2]["text"] == "Nash-MD is not compared with INPO: row incomplete."
    material = made.material()
    first, second = (
        material.records[place].values["oracle_exploitability/last"][..., -1] for place in (2, 0)
    )
    found = difference(first, second)
    least = detectable_difference(found, 0.8, 0.05 / 3)
    assert (
        f"a true difference of {least:.2g} would have been found with 80% power"
        in (answers[1]["text"])
    )
    assert f"reaches from {found.lower:+.3f} to {found.upper:+.3f}" in answers[1]["text"]


def test_the_other_direction_and_other_metrics_have_their_own_words():
    records = [made.row("INPO", 0.20, 1), made.row("SPPO", 0.1, 3)]
    assert (
        " is less exploitable than INPO by 0.098 ["
        in section(made.material(records))["answers"][0]["text"]
    )
    asked = made.specification(made.WIN_RATE, column="win rate", figures=())
    said = section(made.material(records, asked))["answers"][0]["text"]
    assert said.startswith("win rate of SPPO is higher than that of INPO by 0.0")
    gaps = [record("A", lognormal(0)), record("B", lognormal(1, scale=4e-3))]
    said = section(
        made.material(gaps, made.specification(GAP, against="A", column="gap", figures=()))
    )
    assert re.match(r"gap of B is \d\.\d+ \[.*\] times that of A", said["answers"][0]["text"])
    assert said["forest"][0] == {
        "index": 2, "header": "comparison: gap", "logarithmic": True, "neutral": 1,
    }  # fmt: skip


def test_one_seed_claims_nothing():
    records = [made.row("INPO", 0.1, 1, seeds=1), made.row("DPO", 0.3, 2, seeds=1)]
    found = section(made.material(records))
    assert kinds(found["answers"]) == ["checkpoint"]
    assert "No claim about DPO against INPO" in found["answers"][0]["text"]
    assert any(x.startswith("One training seed:") for x in found["cautions"])
    assert any(x.startswith("One world:") for x in found["cautions"])


def test_an_interval_that_excludes_zero_alone_is_no_finding_of_a_family():
    rng = np.random.default_rng(5)
    records = [made.row("INPO", 0.1, 1)]
    base = records[0].values["oracle_exploitability/last"]
    for number, shift in enumerate([0.023, *[0.001] * 9]):
        noise = 0.004 * rng.standard_normal((3, 1, 1)) + 0.02 * rng.standard_normal(base.shape)
        values = {"oracle_exploitability/last": base + shift + noise}
        records.append(made.row(f"Row {number}", 0.1, 7, values=values))
    asked = made.specification(made.EXPLOITABILITY, figures=())
    found = section(made.material(records, asked))
    cell = found["table"]["rows"][1]["cells"][2]
    assert cell["lower"] > 0 and cell["p"] > 0.05
    assert (
        "Taken alone it would leave 0 out; in the family of 10 it is no finding."
        in (found["answers"][0]["text"])
    )


def test_without_a_declared_comparison_nothing_is_claimed():
    assert kinds(section(made.games())["answers"]) == ["none"]


def test_what_a_comparison_could_have_found_is_the_plans_number():
    components = Components(0.0, 0.02, 0.03, 0.0)
    planned = minimum_detectable_effect(components, seeds=1, clusters=50, significance=0.01)
    variance = 2 * (0.02**2 + 0.03**2) / 50
    measured = replace(
        difference(np.zeros((1, 50)), np.ones((1, 50)) + np.arange(50), deterministic=True),
        standard_error=math.sqrt(variance),
        law=ErrorLaw(MeanSquare(variance, 49.0)),
    )
    assert detectable_difference(measured, 0.8, 0.01) == pytest.approx(planned, rel=1e-12)


# --- what lacks


def test_failed_and_missing_cells_are_named():
    found = section(made.material(lacking=("rows are not compared: why.",)))
    assert found["shortfalls"] == [
        "Nash-MD, seed 3, failed: FloatingPointError: it diverged",
        "Nash-MD: not finished: seeds 4",
        "rows are not compared: why.",
    ]
    assert [x["text"] for x in found["table"]["rows"][3]["cells"][1::2]] == ["failed", "failed"]
    statuses = [row["cells"][2]["text"] for row in found["provenance"]["cells"]["rows"]]
    assert statuses.count("complete") == 12 and statuses[-2:] == ["missing", "failed"]


def test_nothing_finished_still_gives_a_page():
    records = [
        made.row(name, 0.1, 1, seeds=0, missing=(0, 1), values={}, measured={})
        for name in ("INPO", "SPPO")
    ]
    material = made.material(records, round_robin=None, samples=())
    assert report_page([material])
    found = section(material)
    assert kinds(found["answers"]) == ["refused"] and not found["figures"]


def test_notes_of_all_rows_are_read_first_and_those_of_single_rows_are_folded():
    rows = [
        replace(made.row("A", 0.1, 0), notes={"gap": ("of all", "of A")}),
        replace(made.row("B", 0.2, 1), notes={"gap": ("of all",)}),
    ]
    benchmark = next(iter(rows[0].values)).rpartition("/")[0]
    rows = [replace(row, notes={benchmark: row.notes["gap"]}) for row in rows]
    found = section(made.material(rows, made.specification(against=None)))
    assert f"{benchmark}: of all." in found["cautions"]
    assert found["row_notes"] == [f"A: {benchmark}: of A."]
    assert not any("of A" in x for x in found["cautions"])


# --- the question


def test_the_question_is_the_head_of_the_experiments_file():
    text = "# @package _global_\n# Who wins? (ours)\n#\n# Estimand: a\n# mean.\nname: x\n# no\n"
    assert paragraphs(text) == ("Who wins? (ours)", "Estimand: a mean.")
