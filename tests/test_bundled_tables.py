"""The table that a bundle declares is read whatever form its columns have."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from nlhf_repro.cells import experiment_cells
from nlhf_repro.pipeline.bundle_files import UnusableBundleError
from nlhf_repro.pipeline.bundles import Source
from nlhf_repro.pipeline.records import DeclaredCell
from nlhf_repro.reporting import table_specification
from nlhf_repro.verbs.bundled import bundled_specification


def source(config) -> Source:
    cell = DeclaredCell("row", 0, 0, "key", config)
    return Source("a.zip", Path(), "x", (), (cell,), {}, {}, (), "")


@pytest.mark.parametrize("name", ["mini/inpo_table1", "questions/losses", "tabular/comal_game"])
def test_columns_by_name_and_in_a_list_are_read(name):
    config = experiment_cells([f"experiment={name}"])[0].config
    assert bundled_specification(source(config)) == table_specification(config["table"])


def test_columns_of_other_code_are_refused_in_both_forms():
    for name in ("mini/inpo_table1", "questions/losses"):
        config = copy.deepcopy(experiment_cells([f"experiment={name}"])[0].config)
        columns = config["table"]["columns"]
        first = next(iter(columns.values())) if hasattr(columns, "values") else columns[0]
        first["_target_"] = "os.system"
        with pytest.raises(UnusableBundleError, match=r"a column of other code, os\.system"):
            bundled_specification(source(config))
