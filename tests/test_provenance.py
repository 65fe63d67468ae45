"""What a table says of its runs: estimand, seeds, judge, commits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reporting_rows import GAP, lognormal, record, specification
from test_cells import SMALL, declared

from nlhf_repro.cells import single_cell
from nlhf_repro.interfaces import RowRecord
from nlhf_repro.pipeline.cell import run_cell, run_directory
from nlhf_repro.pipeline.records import row_records
from nlhf_repro.reporting import render_table, to_markdown
from nlhf_repro.reporting.provenance import (
    commit_notes,
    estimand_note,
    judge_notes,
    seed_notes,
)


def row(label: str, **fields: object) -> RowRecord:
    return replace(record(label, lognormal(0)), **fields)


def test_the_estimand_names_what_varies_and_what_is_fixed() -> None:
    draws = {"duality_gap/last": np.ones((5, 2, 40, 2))}
    assert estimand_note([row("a", deterministic=True)]) == (
        "Estimand of a mean: its expectation over further games; settings and budget are held "
        "fixed."
    )
    assert "over further training seeds and worlds; settings and" in (
        estimand_note([row("a", clusters="worlds"), row("b", clusters="worlds")])
    )
    judged = row("a", clusters="prompts", judge_draws=draws, judges={"duality_gap": ("J",)})
    assert estimand_note([judged]) == (
        "Estimand of a mean: its expectation over further training seeds, prompts and draws of "
        "the judge; starting policy, oracle, judge, settings and budget are held fixed."
    )


def test_seeds_judges_and_commits_are_said_once_or_of_their_rows() -> None:
    rows = [
        row("a", judges={"x": ("J", "J")}, commits=("1234",)),
        row("b", judges={"x": ("J", "K")}, commits=("1234", "5678 with uncommitted changes")),
        row("c", deterministic=True, commits=("1234",)),
    ]
    assert list(seed_notes(rows[:2])) == ["Training seeds (all rows): 0, 1, 2, 3, 4."]
    assert list(seed_notes(rows)) == ["Training seeds (a; b): 0, 1, 2, 3, 4."]
    assert list(judge_notes(rows)) == ["Judge of x (a): J.", "Judge of x (b): J; K."]
    assert list(commit_notes(rows)) == [
        "Commit (a; c): 1234.",
        "Commit (b): 1234, 5678 with uncommitted changes.",
    ]
    text = to_markdown(render_table(rows[:1], specification(GAP)))
    assert "- Training seeds (all rows): 0, 1, 2, 3, 4.\n" in text
    assert "- Commit (all rows): 1234.\n" in text and "- Judge of x (all rows): J.\n" in text


@pytest.mark.parametrize(
    ("commit", "words"),
    [
        ({"hash": "0123456789abcdef", "dirty": False}, "0123456789ab"),
        ({"hash": "0123456789abcdef", "dirty": True}, "0123456789ab with uncommitted changes"),
        (None, "no commit, run outside of a checkout"),
    ],
)
def test_commits_come_from_the_records(tmp_path: Path, commit: object, words: str) -> None:
    cells = []
    for seed in (1, 2):
        arguments = [f"output_dir={tmp_path}", f"seed={seed}", "training.face=sampled"]
        cells.append(single_cell([*SMALL, *arguments, "algorithm=egpo", "training.iterations=3"]))
        run_cell(cells[-1].config, cells[-1].overrides)
    cells = [type(each)(**{**vars(each), "row": "A"}) for each in declared(cells)]
    for cell, found in zip(cells, (commit, {"hash": "f" * 40, "dirty": False}), strict=True):
        path = run_directory(tmp_path, cell.key) / "run.json"
        run = json.loads(path.read_text())
        assert set(run["commit"] or {"hash": "", "dirty": ""}) == {"hash", "dirty"}
        path.write_text(json.dumps({**run, "commit": found}))
    (made,) = row_records(cells, tmp_path)
    assert made.commits == (words, "f" * 12)
