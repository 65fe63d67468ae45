"""The report's file: hostile texts, its size, its bytes, and the verb that writes it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import report_material as made
from report_material import document_of
from verbs import refused, run_verb

from nlhf_repro.cli import main
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.cell import run_cell, run_directory
from nlhf_repro.pipeline.files import write_json
from nlhf_repro.reporting.report import LIMIT, html, report_document, report_page
from nlhf_repro.verbs.experiment import load_experiment


def section(material):
    return report_document([material])["sections"][0]


# --- the file


def test_nothing_from_a_record_can_be_markup():
    records = [made.row(f"A{made.HOSTILE}", 0.1, 1), made.row("B", 0.3, 2)]
    asked = made.specification(against=f"A{made.HOSTILE}")
    material = made.material(records, asked, samples=(made.prompts(2, text=made.HOSTILE),))
    material = replace(material, name=f"x{made.HOSTILE}", asked=(made.HOSTILE,))
    page = report_page([material])
    assert page.isascii()
    assert page.lower().count("<script") == page.lower().count("</script") == 2
    assert "<!--" not in page
    found = document_of(page)["sections"][0]
    assert found["asked"] == [made.HOSTILE]
    assert found["samples"][0]["prompts"][0]["text"].endswith(made.HOSTILE)
    assert found["table"]["rows"][0]["label"] == f"A{made.HOSTILE}"


def test_the_page_reaches_nothing_and_runs_only_its_own_script():
    page = report_page([made.material()])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy and not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    scripts = "".join((html.FOLDER / f"{name}.js").read_text() for name in html.SCRIPTS)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", scripts)


def test_the_same_records_give_the_same_bytes():
    assert report_page([made.material(), made.games()]) == report_page(
        [made.material(), made.games()]
    )


def test_two_thousand_samples_are_cut_to_the_limit_and_counted():
    labels = ("the reference", *(f"Row {x}" for x in range(4)))
    large = made.prompts(2000, labels, "many words <> " * 40)
    small = made.prompts(20)
    page = report_page([made.material(samples=(large, small)), made.games()])
    assert LIMIT * 0.95 < len(page) <= LIMIT
    kept = document_of(page)["sections"][0]["samples"]
    assert len(kept[1]["prompts"]) == kept[1]["total"] == 20  # a small set leaves its share
    assert 0 < len(kept[0]["prompts"]) < kept[0]["total"] == 2000
    identifiers = [x["identifier"] for x in kept[0]["prompts"]]
    assert identifiers == [f"prompt/{x}" for x in range(len(identifiers))]


def test_a_long_answer_is_cut_and_says_so():
    found = section(made.material(samples=(made.prompts(1, text="x" * 5000),)))
    answer = found["samples"][0]["prompts"][0]["answers"][0]
    assert len(answer["text"]) == 4000 and answer["characters"] > 5000


def test_what_is_too_large_without_samples_is_refused(monkeypatch):
    monkeypatch.setattr(html, "LIMIT", 50_000)
    with pytest.raises(ImpossibleSettingError, match="name fewer experiments"):
        report_page([made.material()])


# --- the verb

EXPERIMENT = """
# @package _global_
# Who cycles on tiny games? (nobody)
#
# Estimand: none.
defaults:
  - override /algorithm: inpo
  - override /benchmark: [duality_gap]
  - override /tracker: none
  - override /table: default

name: tiny_report
rows:
  INPO: [algorithm=inpo]
  SPPO: [algorithm=sppo]
seeds: {values: [0], design: independent}
oracle: {games: 3, actions: 3}
training: {iterations: 4, record_points: 3, average_iterate: false}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A tiny experiment of a user, run to the end, and the arguments that name it."""
    folder = tmp_path_factory.mktemp("report")
    path = folder / "conf" / "experiment" / "tabular" / "tiny_report.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(EXPERIMENT.strip())
    further = [f"output_dir={folder}", "--config-dir", str(folder / "conf")]
    experiment = load_experiment("tiny_report", further[:1], further[2])
    for cell in experiment.cells:
        run_cell(cell.config, [])
    return experiment, further


def test_the_verb_writes_the_tables_numbers_and_prints_the_path(finished, capsys):
    experiment, further = finished
    run_verb(capsys, "table", "tiny_report", *further)
    path = experiment.tables / "tiny_report-report.html"
    assert run_verb(capsys, "report", "tiny_report", *further).strip() == str(path)
    page = path.read_text()
    found = document_of(page)["sections"][0]
    assert found["table"]["csv"] == (experiment.tables / "tiny_report.csv").read_text()
    assert found["asked"] == ["Who cycles on tiny games? (nobody)", "Estimand: none."]
    assert found["provenance"]["commands"][-1].startswith("nlhf report tiny_report output_dir=")
    other = experiment.output_dir / "sub" / "page.html"
    run_verb(capsys, "report", "tiny_report", *further, "--out", other)
    assert other.read_text() == page


def test_without_a_name_the_verb_takes_all_that_has_records(finished, capsys):
    experiment, further = finished
    path = experiment.output_dir / "tables" / "report.html"
    assert run_verb(capsys, "report", *further).strip() == str(path)
    assert [x["name"] for x in document_of(path.read_text())["sections"]] == ["tiny_report"]


def test_the_verb_names_what_lacks_and_exits_with_1(finished, capsys):
    experiment, further = finished
    directory = run_directory(experiment.output_dir, experiment.cells[0].key)
    kept = (directory / "run.json").read_text()
    write_json(directory / "run.json", {"status": "failed", "error": "ValueError: it broke"})
    try:
        with pytest.raises(SystemExit) as stopped:
            main(["report", "tiny_report", *further])
    finally:
        (directory / "run.json").write_text(kept)
    assert stopped.value.code == 1
    assert "ValueError: it broke" in capsys.readouterr().err


def test_a_folder_without_records_is_refused(tmp_path, capsys):
    said = refused(capsys, "report", f"output_dir={tmp_path}")
    assert "has no records of a declared experiment" in said
