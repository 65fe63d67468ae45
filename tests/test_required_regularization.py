"""A regularization of null: what the anchor of iterative IPO requires, at any step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from laboratory import algorithm
from searches import QUICK, REPORTED, SEARCH, reported, search_folder, tune, winners

from nlhf_repro.algorithms.iterative_ipo import IterativeIPO
from nlhf_repro.cells import Cell, experiment_cells, single_cell
from nlhf_repro.conformance import check_part
from nlhf_repro.interfaces import ImpossibleSettingError, RowRecord
from nlhf_repro.pipeline.cell import read_run, run_cell
from nlhf_repro.pipeline.records import DeclaredCell, row_records
from nlhf_repro.reporting import table_specification
from nlhf_repro.reporting.comparison import baseline_of
from nlhf_repro.verbs.check import subject_of

QUESTION = "experiment=questions/loss_fixed_points"
LARGEST_STEP = np.finfo(np.float64).max


def method(anchor: Any, step_size: float, regularization: float | None) -> IterativeIPO:
    return IterativeIPO(step_size, regularization, anchor, 2, "unfiltered", "probability", 10)


def cell(*overrides: str) -> Cell:
    return single_cell(
        [
            *("algorithm=iterative_ipo", "algorithm.anchor=reference"),
            *("algorithm.regularization=null", "benchmark=[duality_gap,kl_to_equilibrium]"),
            *("tracker=none", "oracle.games=2", "training.iterations=3", *overrides),
        ]
    )


@pytest.mark.parametrize("step_size", [0.3, 3.0, 7.0, 10.0, LARGEST_STEP])
def test_null_is_the_number_that_the_anchor_requires(step_size: float) -> None:
    assert method("previous", step_size, None) == method("previous", step_size, 0.0)
    found = method("reference", step_size, None)
    assert found == method("reference", step_size, 1 / step_size)
    assert found.regularization == 1 / step_size


@pytest.mark.parametrize(
    ("anchor", "step_size", "regularization", "message"),
    [
        ("previous", 0.3, 0.1, "set it to 0, or to null"),
        ("reference", 0.3, 0.0, "set it to 1 / algorithm.step_size, or to null"),
        ("reference", 10.0, 0.1001, "= 0.1001 of iterative IPO does not fit"),
        ("reference", 0.0, None, "algorithm.step_size = 0.0 of iterative IPO must be positive"),
        ("previous", -1.0, None, "algorithm.step_size = -1.0 of iterative IPO must be positive"),
    ],
)
def test_a_number_still_has_to_fit(
    anchor: str, step_size: float, regularization: float | None, message: str
) -> None:
    with pytest.raises(ImpossibleSettingError, match=message):
        method(anchor, step_size, regularization)


def test_it_conforms() -> None:
    for anchor, step in (("previous", 0.3), ("reference", 0.5)):
        given = ["algorithm.regularization=null", f"algorithm.anchor={anchor}"]
        subject = subject_of("iterative_ipo", [*given, f"algorithm.step_size={step}"], [])
        assert {each.sentence for each in check_part(subject) if each.kind == "FAILED"} == set()


def test_benchmarks_take_the_number_and_the_declaration_stays_null() -> None:
    for step in (4.0, 10.0):
        config = cell(f"algorithm.step_size={step}").config
        assert config["algorithm"]["regularization"] is None
        assert config["benchmark"]["kl_to_equilibrium"]["regularization"] == 1 / step
    with pytest.raises(ImpossibleSettingError, match=r"kl_to_equilibrium.regularization = 0"):
        run_cell(cell("algorithm.anchor=previous", "output_dir=/nowhere").config, [])


def test_algorithms_that_need_a_number_refuse_null() -> None:
    given = ["algorithm=inpo", "algorithm.regularization=null"]
    for benchmark in ("duality_gap", "kl_to_equilibrium"):
        with pytest.raises(ImpossibleSettingError, match="= null does not fit: give float"):
            single_cell([*given, f"benchmark=[{benchmark}]"])


def test_records_hold_the_number_before_and_after_the_run(tmp_path: Path) -> None:
    found = cell("algorithm.step_size=4", f"output_dir={tmp_path}")
    declared = [declared_cell(found)]
    assert row_records(declared, tmp_path)[0].regularization == 0.25
    assert read_run(run_cell(found.config, []).directory)["regularization"] == 0.25
    (row,) = row_records(declared, tmp_path)
    assert row.seeds == (0,) and row.regularization == 0.25
    given = cell("algorithm.step_size=4", "algorithm.regularization=0.25", f"output_dir={tmp_path}")
    run_cell(given.config, [])
    (same,) = row_records([declared_cell(given)], tmp_path)
    for name, values in row.values.items():
        np.testing.assert_array_equal(values, same.values[name])


def declared_cell(found: Cell) -> DeclaredCell:
    return DeclaredCell(found.row or "", found.seed, found.world, found.key, found.config)


def rows_of(experiment: str, folder: Path) -> tuple[list[RowRecord], Any]:
    cells = experiment_cells([experiment, f"output_dir={folder}"])
    return row_records([declared_cell(x) for x in cells], folder), table_specification(
        cells[0].config["table"]
    )


def test_a_row_meets_the_squared_loss_of_its_own_regularization(tmp_path: Path) -> None:
    rows, table = rows_of(QUESTION, tmp_path)
    (column,) = [each for each in table.columns if each.header == table.primary.column]
    for row in rows:
        loss, _, tau = row.label.partition(", tau ")
        assert row.regularization == float(tau)
        if loss != "squared":
            assert baseline_of(row, rows, column, table.primary).label == f"squared, tau {tau}"


SQUARED = [
    *("algorithm=iterative_ipo", "algorithm.anchor=reference"),
    *("algorithm.step_size=10", "algorithm.regularization=null"),
]


def test_a_tuned_step_brings_its_own_regularization(tmp_path: Path) -> None:
    """Winners at another step are on the row's own problem, and tables know their tau."""
    conf = search_folder(tmp_path)
    for text, path in ((SEARCH, "tune/small.yaml"), (REPORTED, "tabular/small.yaml")):
        declared = yaml.safe_load(text)
        declared["rows"] = {"squared": SQUARED}
        declared["defaults"][2] = {"override /benchmark": ["duality_gap", "kl_to_equilibrium"]}
        if "search" in declared:
            step = {"low": 2, "high": 5, "log": True}
            declared["search"]["spaces"] = {"squared": {"algorithm.step_size": step}}
        written = "# @package _global_\n# Squared (nobody)\n" + yaml.safe_dump(declared)
        (conf / "experiment" / path).write_text(written)
    status, _, errors = tune(tmp_path, *QUICK)
    assert status == 0, errors
    winner = winners(conf)["rows"]["squared"]
    assert winner["failed"] == 0 and winner["problem"]["algorithm.regularization"] is None
    (found,) = reported(tmp_path, f"output_dir={tmp_path / 'outputs'}")
    assert found.tuning is not None and found.tuning.trials == 4
    step_size = found.config["algorithm"]["step_size"]
    assert 2 <= step_size <= 5 and winner["overrides"] == [f"algorithm.step_size={step_size}"]
    assert found.config["benchmark"]["kl_to_equilibrium"]["regularization"] == 1 / step_size
    (row,) = row_records([declared_cell(found)], tmp_path / "outputs")
    assert row.regularization == 1 / step_size


def test_the_search_of_the_losses_varies_the_step_alone() -> None:
    """Every trial of the squared loss composes: no other key has to follow its step."""
    path = Path(__file__).parent.parent / "conf" / "experiment" / "tune" / "losses.yaml"
    search = yaml.safe_load(path.read_text())
    for label, space in search["search"]["spaces"].items():
        squared = label.startswith("squared")
        assert ("algorithm.step_size" in space) == squared
        assert ("algorithm.regularization" in space) != squared
        for axis in space.values():
            assert axis["log"]
        if squared:
            assert "algorithm.regularization=null" in search["rows"][label]
            range_ = space["algorithm.step_size"]
            for step in (range_["low"], range_["high"]):
                found = algorithm(
                    "iterative_ipo", step_size=step, regularization=None, anchor="reference"
                )
                assert found.regularization == 1 / step
