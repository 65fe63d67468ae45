"""The report of bundles: the numbers of their table, their origin, and what they do not hold."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from bundles import contents, export, half, nlhf, other_code, repacked
from comparisons import BOTH, copy_of
from report_material import document_of

from nlhf_repro.cells import Cell
from nlhf_repro.pipeline.bundle_contents import Exported, bundle_contents
from nlhf_repro.pipeline.bundle_files import packed
from nlhf_repro.pipeline.bundle_merging import merged
from nlhf_repro.pipeline.bundles import read_bundle
from nlhf_repro.pipeline.cell import run_directory
from nlhf_repro.pipeline.files import file_digest
from nlhf_repro.reporting import table_specification
from nlhf_repro.reporting.report import report_document
from nlhf_repro.verbs.bundled import BundledExperiment
from nlhf_repro.verbs.experiment import Experiment
from nlhf_repro.verbs.report import Subject, material_of


def reported(*arguments: object):
    """Exit status, the section of the page, and standard error."""
    status, output, errors = nlhf("report", *arguments)
    sections = document_of(Path(output.strip()).read_text())["sections"]
    assert len(sections) == 1
    return status, sections[0], errors


def facts(section) -> dict[str, list[str]]:
    return {each["name"]: each["values"] for each in section["provenance"]["facts"]}


# --- games


def test_the_report_of_bundles_has_the_numbers_of_their_table(own_trio):
    folder, conf, cells = own_trio
    for seed in (0, 1):
        export(conf, f"{seed}.zip", half(folder, cells, (seed,), f"machine{seed}"))
    there = reported("trio", "--config-dir", conf)[1]
    shutil.rmtree(folder / "outputs")
    assert nlhf("table", "0.zip", "1.zip")[0] == 0
    (table,) = (folder / "outputs" / "tables").rglob("trio.csv")
    status, found, errors = reported("0.zip", "1.zip")
    assert (status, errors) == (0, "")
    assert found["table"]["csv"] == table.read_text()
    for part in ("table", "forest", "figures", "answers", "variance", "costs", "cautions"):
        assert found[part] == there[part], part
    assert found["figures"] and found["costs"]
    assert (table.parent / "trio-report.html").is_file()


def test_the_report_says_what_it_was_made_of_and_how_to_compute_it_again(own_trio):
    folder, conf, cells = own_trio
    export(conf, "0.zip", half(folder, cells, (0,), "machine0"))
    status, found, _ = reported("0.zip", "a.zip", "output_dir=here")
    assert status == 0
    assert facts(found)["merged from"] == [
        f"0.zip (SHA-256 {file_digest(Path('0.zip'))}, 3 of 6 cells complete)",
        f"a.zip (SHA-256 {file_digest(Path('a.zip'))}, 6 of 6 cells complete)",
    ]
    assert found["provenance"]["commands"][-2:] == [
        "nlhf reproduce trio",
        "nlhf report 0.zip a.zip output_dir=here",
    ]
    assert found["asked"] == [
        "(Bundles hold no question, and no file of an experiment trio that states one was found.)"
    ]
    _, found, _ = reported("a.zip", "--config-dir", conf)
    assert found["asked"] == [
        "Three rows of games (nobody)",
        "(As the file tabular/trio of this installation asks it; bundles hold no question.)",
    ]
    assert found["provenance"]["commands"][-2:] == [
        f"nlhf reproduce tabular/trio --config-dir {conf}",
        f"nlhf report a.zip --config-dir {conf}",
    ]


def test_a_name_beside_bundles_adds_the_output_folder(own_trio):
    folder, conf, cells = own_trio
    place = half(folder, cells, (0,), "machine0")
    export(conf, "1.zip", half(folder, cells, (1,), "machine1"))
    status, found, _ = reported("trio", "1.zip", place, "--config-dir", conf)
    assert status == 0 and not found["shortfalls"]
    assert facts(found)["merged from"][0] == ("the output folder machine0 (3 of 6 cells complete)")
    assert found["table"]["csv"] == reported("a.zip")[1]["table"]["csv"]


def test_cells_that_no_bundle_has_are_named(own_trio):
    folder, conf, cells = own_trio
    export(conf, "0.zip", half(folder, cells, (0,), "machine0"))
    status, found, errors = reported("0.zip")
    assert status == 1 and "nlhf: 3 cells are missing: nlhf reproduce trio\n" in errors
    assert found["shortfalls"] == [
        f"{row}: not finished: seeds 1" for row in ("INPO", "SPPO", "Nash-MD")
    ]


def test_bundles_of_two_experiments_are_refused_in_one_sentence(own_trio):
    shutil.copy("a.zip", "b.zip")
    index = json.loads(contents(Path("b.zip"))["bundle.json"])
    index["experiment"] = "quartet"
    repacked(Path("b.zip"), **{"bundle.json": json.dumps(index).encode()})
    assert reported("b.zip")[1]["name"] == "quartet"
    status, output, errors = nlhf("report", "a.zip", "b.zip")
    assert (status, output, errors.count("\n")) == (2, "", 1)
    assert "hold different experiments (experiment: trio against quartet)" in errors


def test_mixed_code_is_merged_only_where_asked_and_the_page_says_so(own_trio):
    folder, conf, cells = own_trio
    export(conf, "0.zip", half(folder, cells, (0,), "machine0"))
    other_code(Path("a.zip"), "other.zip", "f")
    status, output, errors = nlhf("report", "0.zip", "other.zip")
    assert (status, output, errors.count("\n")) == (2, "", 1) and "--mixed-code" in errors
    _, found, _ = reported("0.zip", "other.zip", "--mixed-code")
    said = [x for x in found["cautions"] if x.startswith("Mixed code: 0.zip and other.zip differ")]
    assert len(said) == 1 and "ffffffffffff" in said[0]
    assert found["provenance"]["commands"][-1] == "nlhf report 0.zip other.zip --mixed-code"
    assert "there is none: drop it" in nlhf("report", "--mixed-code")[2]


# --- language models


@pytest.fixture
def meeting(compared_rows, tmp_path):
    folder, cells = copy_of(compared_rows, tmp_path / "own")
    return Exported("meeting", (), tuple(cells), folder, BOTH)


def merged_material(tmp_path, bundles):
    """What is reported of bundles of these files."""
    sources = []
    for number, files in enumerate(bundles):
        (tmp_path / f"{number}.zip").write_bytes(packed(files))
        sources.append(read_bundle(tmp_path / f"{number}.zip", tmp_path / f"unpacked {number}"))
    found = merged(sources, False, tmp_path / "merged")
    experiment = BundledExperiment(found, specification(sources[0]), tmp_path / "tables")
    return material_of(Subject(experiment, (), "meeting", "0.zip"))


def folder_material(exported):
    """What is reported of the output folder."""
    own = [Cell(x.row, x.seed, x.config, ()) for x in exported.cells]
    experiment = Experiment("meeting", own, [], exported.output_dir, specification(exported), ())
    return material_of(Subject(experiment, (), "meeting", "meeting"))


def specification(holder):
    return replace(table_specification(holder.cells[0].config["table"]), round_robin=BOTH)


def answers(material):
    (prompts,) = (x.prompts for x in material.samples)
    return {(x.identifier, a.label): a.text for x in prompts for a in x.answers}


def test_curves_meetings_and_answers_of_bundles_are_those_of_the_folder(meeting, tmp_path):
    there = folder_material(meeting)
    material = merged_material(tmp_path, [bundle_contents(meeting, texts=True)])
    assert answers(material) == answers(there) and len(answers(there)) == 40
    assert {prompt.text for prompt in material.samples[0].prompts} == {""}
    assert "Bundles hold answers and no prompts" in material.samples[0].note
    here, expected = (report_document([x])["sections"][0] for x in (material, there))
    for part in ("table", "figures", "meetings", "costs", "shortfalls"):
        assert here[part] == expected[part], part
    assert any(x["title"].startswith("entropy of training") for x in here["figures"])
    assert here["meetings"] and not here["shortfalls"]


def test_bundles_without_texts_say_so_and_lack_nothing_else(meeting, tmp_path):
    material = merged_material(tmp_path, [bundle_contents(meeting, texts=False)])
    assert not material.samples and not material.lacking
    assert report_document([material])["sections"][0]["shortfalls"] == [
        "The bundles hold no answers of INPO, Nash-MD-PG, SPPO, so that none are shown: nlhf "
        "export --texts puts them in."
    ]


def test_texts_that_any_bundle_holds_are_shown(meeting, tmp_path):
    plain, whole = (bundle_contents(meeting, texts=x) for x in (False, True))
    material = merged_material(tmp_path, [plain, whole])
    assert answers(material) == answers(folder_material(meeting))
    assert not material.origin.unheld


def test_a_row_without_answers_is_left_out_and_named(meeting, tmp_path):
    files = bundle_contents(meeting, texts=True)
    cell = next(x for x in meeting.cells if (x.row, x.seed) == ("SPPO", 0))
    run = json.loads(files[f"runs/{cell.key[:16]}/run.json"])
    prefix = f"stages/sample-{run['stages']['sample'][:16]}/"
    kept = {name: data for name, data in files.items() if not name.startswith(prefix)}
    del kept[f"runs/{cell.key[:16]}/training.jsonl"]
    material = merged_material(tmp_path, [kept])
    assert {label for _, label in answers(material)} == {"the reference", "INPO", "Nash-MD-PG"}
    assert [x.split(",")[0] for x in material.origin.unheld] == [
        "The bundles hold no answers of SPPO",
        "The bundles lack training logs of SPPO",
    ]
    assert {row.label for row in material.logged} == {"INPO", "Nash-MD-PG"}


def test_a_row_that_is_not_complete_has_no_answer(meeting, tmp_path):
    cell = next(x for x in meeting.cells if (x.row, x.seed) == ("SPPO", 1))
    shutil.rmtree(run_directory(meeting.output_dir, cell.key))
    material = merged_material(tmp_path, [bundle_contents(meeting, texts=True)])
    found = answers(material)
    assert {text for (_, label), text in found.items() if label == "SPPO"} == {None}
    assert all(text is not None for (_, label), text in found.items() if label != "SPPO")


def test_judged_answers_are_said_to_be_elsewhere(meeting, tmp_path):
    files = bundle_contents(meeting, texts=True)
    name = f"runs/{meeting.cells[0].key[:16]}/run.json"
    run = json.loads(files[name]) | {"judges": {"mt_bench_mini": {"judge": "x"}}}
    material = merged_material(tmp_path, [files | {name: json.dumps(run).encode()}])
    assert material.origin.unheld == (
        "Answers to the questions of mt_bench_mini are not shown from bundles: nlhf report where "
        "they were run shows them.",
    )
