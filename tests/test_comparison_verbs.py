"""Rows that lack, rows that cannot meet, worlds, and what is printed and written of the rest."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from comparisons import (
    BOTH,
    POOL,
    ROWS,
    TRAINED,
    at,
    compared,
    copy_of,
    finished_cells,
    record_of,
    tiny_cells,
)

from nlhf_repro.cells import Cell
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.cell import run_directory, stage_store
from nlhf_repro.pipeline.files import write_json
from nlhf_repro.pipeline.keys import sample_key, train_key
from nlhf_repro.pipeline.language.comparison import (
    NotComparedError,
    is_compared,
    read_comparison,
)
from nlhf_repro.pipeline.language.round_robins import (
    check_round_robin,
    complete_rows,
    round_robin_record,
    shown_prompts,
    units,
)
from nlhf_repro.pipeline.language.task import LanguageTask
from nlhf_repro.pipeline.records import row_records
from nlhf_repro.reporting import (
    render_round_robin,
    table_specification,
    to_csv,
    to_latex,
    to_markdown,
)
from nlhf_repro.reporting.report import report_document
from nlhf_repro.verbs.comparison import (
    check_comparison,
    compare_rows,
    run_comparisons,
    write_comparison,
)
from nlhf_repro.verbs.experiment import Experiment
from nlhf_repro.verbs.report import Subject, material_of


@pytest.fixture
def copied(compared_rows, tmp_path):
    """The same in a folder of the test's own."""
    return copy_of(compared_rows, tmp_path / "own")


# --- what is not there


def test_what_is_not_compared_is_not_read(copied):
    folder, cells = copied
    settings = replace(BOTH, trained=replace(TRAINED, iterations=7))
    with pytest.raises(NotComparedError, match="is not whole: absent"):
        record_of(folder, cells, settings)
    broken = next(folder.glob("stages/compare-*/won.npy"))
    broken.write_bytes(broken.read_bytes()[:-8])
    with pytest.raises(NotComparedError, match=r"won\.npy differs from its recorded SHA-256"):
        record_of(folder, cells, BOTH)


@pytest.mark.parametrize("status", ["missing", "failed"])
def test_a_row_that_is_not_complete_is_named_and_enters_nothing(copied, status):
    folder, cells = copied
    lost = next(cell for cell in cells if (cell.row, cell.seed) == ("SPPO", 1))
    directory = run_directory(folder, lost.key)
    if status == "missing":
        shutil.rmtree(directory)
    else:
        write_json(directory / "run.json", {"status": "failed", "error": "ValueError: it broke"})
    record = record_of(folder, cells, BOTH)
    others = [cell for cell in cells if cell.row != "SPPO"]
    expected = record_of(folder, others, BOTH)
    assert record.labels == ("INPO", "Nash-MD-PG")
    np.testing.assert_array_equal(record.wins, expected.wins)
    np.testing.assert_array_equal(record.bound, expected.bound)
    assert "SPPO" not in str(record.chosen)
    table = render_round_robin(record, "T", 0.95)
    line = next(row for row in table.rows if row.label == "SPPO")
    assert {cell.text for cell in line.cells} == {status}
    said = {"missing": "missing: seeds 1", "failed": "failed: seed 1: ValueError: it broke"}[status]
    assert f"SPPO is in no number of this table, nor in the pool: {said}." in table.notes
    pages = shown_prompts(cells, row_records(cells, folder), 1, stage_store(folder))
    assert {x.label: x.text is None for x in pages[0].answers}["SPPO"]


def test_shown_answers_are_weighed_against_the_references(compared_rows):
    folder, cells, _ = compared_rows
    pages = shown_prompts(cells, row_records(cells, folder), None, stage_store(folder))
    task = LanguageTask(cells[0].config, None)
    prompts, oracle = task.prompts("evaluation"), task.oracle()
    assert [page.identifier for page in pages] == [prompt.identifier for prompt in prompts]
    for prompt, page in zip(prompts, pages, strict=True):
        reference, *answers = page.answers
        assert reference.preferred is None
        for answer in answers:
            expected = oracle.preference([prompt], [answer.text], [reference.text])[0]
            assert answer.preferred == pytest.approx(expected, abs=1e-12)
    few = shown_prompts(cells, row_records(cells, folder), 2, stage_store(folder))
    assert few == pages[:2]


def test_no_complete_row_gives_no_record(tmp_path):
    cells = tiny_cells(tmp_path)
    records = row_records(cells, tmp_path)
    assert complete_rows(records)[0] == []
    assert round_robin_record(cells, records, POOL, stage_store(tmp_path)) is None


# --- tables


def test_the_tables_bytes_are_the_same_again(compared_rows):
    folder, cells, _ = compared_rows
    forms = [
        [write(render_round_robin(record_of(folder, cells, BOTH), "T", 0.95)) for write in kinds]
        for kinds in [(to_markdown, to_latex, to_csv)] * 2
    ]
    assert forms[0] == forms[1]
    assert all(label in forms[0][0] for label in ROWS)


def test_worlds_are_the_items_where_there_are_several(copied):
    folder, _ = copied
    rows = ("INPO", "Nash-MD-PG")
    more = finished_cells(folder, rows=rows, seeds=(0,), worlds=(0, 1))
    compared(more, folder)
    record = record_of(folder, more)
    assert record.clusters == "worlds" and record.wins.shape == (1, 3, 3, 2)
    assert record.half is None and record.bound.shape == (1, 2, 2)
    for place, world in enumerate((0, 1)):
        found = units(more, rows)[0, world]
        one = read_comparison(found, POOL, stage_store(folder))
        np.testing.assert_array_equal(record.wins[0, ..., place], one.wins.mean(axis=-1))
        np.testing.assert_array_equal(record.bound[0, :, place], one.bound.mean(axis=-1))
    assert sum(record.chosen["INPO"].values()) == 4  # two halves in two worlds


# --- what is refused


def changed_cells(tmp_path, **nodes):
    cells = tiny_cells(tmp_path)
    last = cells[-1]
    config = {**last.config}
    for node, values in nodes.items():
        config[node] = {**config[node], **values}
    return [*cells[:-1], replace(last, config=config)]


def test_rows_that_cannot_meet_are_refused(tmp_path):
    check_round_robin(tiny_cells(tmp_path), BOTH)
    with pytest.raises(ImpossibleSettingError, match="'INPO' and 'SPPO' have different ones"):
        check_round_robin(changed_cells(tmp_path, oracle={"noise": 2.0}), POOL)
    for changes in (
        {"language": {"evaluation_samples": 5}},
        {"prompts": {"drop_rate": 0.3}},
        {"model": {"layers": 1}},
    ):
        with pytest.raises(ImpossibleSettingError, match="differ in model, prompts or language"):
            check_round_robin(changed_cells(tmp_path, **changes), POOL)
    every = [
        replace(x, config={**x.config, "language": {**x.config["language"], "top_k": 3}})
        for x in tiny_cells(tmp_path)
    ]
    check_round_robin(every, POOL)
    with pytest.raises(ImpossibleSettingError, match=r"language\.top_k truncate"):
        check_round_robin(every, BOTH)
    games = [replace(x, config={**x.config, "language": None}) for x in tiny_cells(tmp_path)]
    with pytest.raises(ImpossibleSettingError, match="policies play games here"):
        check_round_robin(games, POOL)


# --- what is printed and written


@pytest.fixture
def experiment(copied):
    folder, cells = copied
    specification = table_specification(
        {**cells[0].config["table"], "round_robin": {"exploitability": "pool", "trained": None}}
    )
    plain = [Cell(x.row, x.seed, x.config, ()) for x in cells]
    return Experiment("tiny", plain, [], folder, specification, ("a=1",))


def test_what_is_stored_is_written_and_printed_again_to_the_same_bytes(experiment, capsys):
    records = experiment.records()
    assert compare_rows(experiment, records, 1)
    assert capsys.readouterr().err == "", "everything is stored, so no process is started"
    assert write_comparison(experiment, records, "tiny")
    names = [f"tiny-round-robin.{suffix}" for suffix in ("md", "tex", "csv")]
    names.append("tiny-samples.md")
    first = {name: (experiment.tables / name).read_bytes() for name in names}
    printed = capsys.readouterr()
    lines = first["tiny-round-robin.md"].decode().splitlines()
    texts = {x.strip("* ") for line in lines if line[:2] == "| " for x in line.split("|")} - {""}
    assert len(texts) > 9 and all(text in printed.out for text in texts)
    assert str(experiment.tables / "tiny-round-robin.md") in printed.err
    assert b"Changed by the command line: a=1." in first["tiny-round-robin.md"]
    assert write_comparison(experiment, experiment.records(), "tiny")
    assert {name: (experiment.tables / name).read_bytes() for name in names} == first


def test_what_lacks_is_computed_in_processes_and_only_said_by_the_table(experiment, capsys):
    for path in experiment.output_dir.glob("stages/compare-*"):
        shutil.rmtree(path)
    records = experiment.records()
    assert not write_comparison(experiment, records, "tiny x=1")
    said = capsys.readouterr()
    assert "rows are not compared" in said.err and "nlhf reproduce tiny x=1" in said.err
    assert said.out == "" and not (experiment.tables / "tiny-round-robin.md").exists()
    assert compare_rows(experiment, records, 1)
    assert "rows compared at 2 of 2 seeds and worlds" in capsys.readouterr().err
    assert write_comparison(experiment, records, "tiny")


def test_a_row_whose_training_is_gone_is_named_and_the_others_are_compared(experiment, capsys):
    for path in experiment.output_dir.glob("stages/compare-*"):
        shutil.rmtree(path)
    config = experiment.cells[0].config
    samples = stage_store(experiment.output_dir).folder("sample", sample_key(config))
    shutil.rmtree(samples)
    shutil.rmtree(stage_store(experiment.output_dir).folder("train", train_key(config)))
    labels = [row.label for row in experiment.records() if row.missing]
    assert labels == ["INPO"], "a row whose training is gone is not complete"
    assert compare_rows(experiment, experiment.records(), 1)
    assert write_comparison(experiment, experiment.records(), "tiny")
    assert "INPO is in no number of this table" in capsys.readouterr().out


def test_answers_and_matrices_of_games_are_refused(experiment):
    games = [replace(x, config={**x.config, "language": None}) for x in experiment.cells]
    for asked in ({"round_robin": POOL, "samples": 0}, {"round_robin": None, "samples": 2}):
        specification = replace(experiment.specification, **asked)
        with pytest.raises(ImpossibleSettingError, match="play games here"):
            check_comparison(replace(experiment, cells=games, specification=specification))


def test_a_comparison_that_breaks_is_named_and_stops_no_other(experiment, capsys):
    for path in experiment.output_dir.glob("stages/compare-*"):
        shutil.rmtree(path)
    rows = at(experiment.declared, 0)
    jobs = [("seed 7, world 0", {"INPO": {"language": None}}), ("seed 0, world 0", rows)]
    assert not run_comparisons(jobs, POOL, experiment.output_dir, 1)
    said = capsys.readouterr().err
    assert "comparing rows failed at seed 7, world 0: " in said
    assert said.count("failed at") == 1
    assert is_compared(rows, POOL, stage_store(experiment.output_dir))


def test_a_report_has_the_matrix_the_answers_and_what_training_logged(compared_rows):
    folder, cells, _ = compared_rows
    asked = replace(table_specification(cells[0].config["table"]), round_robin=BOTH)
    own = [Cell(cell.row, cell.seed, cell.config, ()) for cell in cells]
    experiment = Experiment("tiny", own, [], folder, asked, ())
    material = material_of(Subject(experiment, (), "tiny", "tiny"))
    found = report_document([material])["sections"][0]
    expected = render_round_robin(record_of(folder, cells, BOTH), asked.title, asked.level)
    assert found["meetings"]["table"]["csv"] == to_csv(expected)
    assert found["meetings"]["matrix"]["names"] == [*ROWS, "the reference"]
    assert not found["shortfalls"]
    assert [len(each["prompts"]) for each in found["samples"]] == [10]
    titles = [figure["title"] for figure in found["figures"]]
    assert {"win rate", "entropy of training responses, nats"} <= set(titles)
    assert {cell.status for cell in material.cells} == {"complete"}
