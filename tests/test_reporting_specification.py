"""Table files: a wrong key is one sentence; what ships is valid; users' columns are first-class."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from nlhf_repro.interfaces import ImpossibleSettingError, RowRecord
from nlhf_repro.reporting import Cell, render_table, table_specification
from nlhf_repro.reporting.columns import RatioToBound, Verdict
from nlhf_repro.reporting.columns.verdict import VERDICTS, classify
from nlhf_repro.reporting.theorems import last_iterate_kl, log_ratio_scale

TABLES = sorted((Path(__file__).parents[1] / "conf" / "table").glob("*.yaml"))
COLUMNS = "nlhf_repro.reporting.columns"


def node(**changes):
    column = {
        "_target_": f"{COLUMNS}.GeometricMeanGap",
        "header": "gap",
        "benchmark": "duality_gap",
        "iterate": "last",
        "at": "last",
        "across_regularization": True,
    }
    base = {"title": "T", "caption": "", "columns": [column], "primary": None, "figures": []}
    return {**base, "level": 0.95, **changes}


def column(**changes):
    return node(columns=[{**node()["columns"][0], **changes}])


def exact_row(values, updates, tau=0.5):
    return RowRecord(
        "row", (0,), (), {}, updates, updates * 0, updates, values, {}, True, tau, {}, {}
    )


def test_columns_by_name_keep_their_order_and_are_named_when_wrong():
    first, second = node()["columns"][0], {**node()["columns"][0], "header": "gap again"}
    named = table_specification(node(columns={"b": first, "a": second}))
    assert named == table_specification(node(columns=[first, second]))
    with pytest.raises(ImpossibleSettingError, match=r"table\.columns\[a\] .*no key 'headr'"):
        table_specification(node(columns={"b": first, "a": {**second, "headr": "x"}}))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_tables_that_ship_are_valid(path):
    loaded = yaml.safe_load(path.read_text())
    if loaded["primary"]:
        loaded["primary"]["seeds"] = "independent"
    if loaded.get("published"):
        loaded["published"]["seeds"] = "independent"
    specification = table_specification(loaded)
    assert specification.columns
    assert all(c.header and c.explanation(0.95) for c in specification.columns)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (node(levle=1), "table has no key 'levle': did you mean 'level'"),
        (node(level="high"), "table.level is 'high': Input should be a valid number"),
        (node(level=95.0), "table.level is 95.0: give a confidence such as 0.95"),
        (node(columns="gap"), "table.columns is 'gap': give a list"),
        (node(columns=[{}]), r"table.columns\[0\] has no _target_: name a column class"),
        (column(_target_=f"{COLUMNS}.Gap"), "cannot be imported"),
        (column(_target_="builtins.dict"), "names builtins.dict, which is no column class"),
        (column(bench="x"), "has no key 'bench': did you mean 'benchmark'"),
        (column(across_regularization=1), "across_regularization is 1: .*valid boolean"),
        (column(at={"update": 3}), "at is {'update': 3}"),
        (column(at={"share": 1.5}), "no point of a run"),
        (column(header="comparison"), "Two columns of the table are called 'comparison'"),
        (column(benchmark="regularized_duality_gap"), "set across_regularization to false"),
        (
            node(primary={"column": "gpa", "against": "a", "seeds": "matched"}),
            "is 'gpa', which is no column that can be compared: choose among 'gap'",
        ),
        (
            node(primary={"column": "gap", "against": "a", "seeds": "paired"}),
            "table.primary.seeds is 'paired'",
        ),
        ({k: v for k, v in node().items() if k != "level"}, "table lacks the key 'level'"),
    ],
)
def test_wrong_tables_are_refused_in_a_sentence(wrong, sentence):
    with pytest.raises(ImpossibleSettingError, match=sentence) as error:
        table_specification(wrong)
    assert "\n" not in str(error.value)


@dataclass(frozen=True)
class SeedCount:
    """A user's column."""

    header: str

    def cell(self, row, confidence):
        return Cell(str(len(row.seeds)))

    def explanation(self, confidence, clusters="games"):
        return "how many seeds finished"


def test_a_users_column_is_as_good_as_ours():
    wanted = node(columns=[{"_target_": f"{__name__}.SeedCount", "header": "seeds"}])
    updates = np.array([0.0, 1.0])
    row = exact_row({"x/last": np.zeros((1, 3, 2))}, updates)
    table = render_table([row], table_specification(wanted))
    assert table.rows[0].cells[1].text == "1"
    assert "seeds: how many seeds finished." in table.notes


def test_verdicts_of_the_kinds_there_are():
    t = np.arange(60.0)
    runs = {
        "converges": 1e-2 * np.exp(-t),
        "stalls": 0.02 + 0.001 * np.sin(t),
        "still falls": np.exp(-t / 20),
        "rises": 1e-3 * np.exp(t / 20),
        "cycles": 0.5 + 0.4 * np.sin(t),
    }
    kinds = classify(np.array([list(runs.values())]), threshold=1e-6, factor=1.5)
    assert [VERDICTS[kind] for kind in kinds[0]] == list(runs)


def test_touching_the_threshold_once_is_no_convergence():
    values = np.array([[[1e-1, 1e-7, 1e-1, 1e-7]]])
    assert VERDICTS[classify(values, 1e-6, 1.5)[0, 0]] == "cycles"


def test_verdict_counts_runs():
    t = np.arange(60.0)
    gaps = np.stack([1e-2 * np.exp(-t), 0.5 + 0.4 * np.sin(t)])[None]
    kind = Verdict("v", "duality_gap", "last", 0.5, 1e-6, 1.5)
    cell = kind.cell(exact_row({"duality_gap/last": gaps}, t), 0.95)
    assert cell.text == "converges 1/2, cycles 1/2"


def test_theorem_4_by_hand():
    # T = u + 1 policies: 32 / (tau^2 (u + 2)) at tau = 0.5 is 128 / (u + 2) where B tau <= 1.
    assert last_iterate_kl(np.array([2.0]), 0.5, 1.0) == 32.0
    assert log_ratio_scale(np.array([1.0, 4.0]), 0.5).tolist() == [1.0, 2.0]
    updates = np.array([0.0, 2.0, 6.0])
    values = {
        "kl/last": np.array([[[500.0, 8.0, 32.0], [500.0, 64.0, 1.0]]]),
        "log_ratio_to_reference/last": np.array([[[0.0, 1.0, 1.0], [0.0, 1.0, 4.0]]]),
    }
    row = exact_row(values, updates)
    cell = RatioToBound("r", "kl", "last", "inpo_last_iterate_kl", (row.label,)).cell(row, 0.95)
    # Game 1: C = 1, bounds 32 and 16, ratio 2 at u = 6. Game 2: C = 2, bounds 128 and 64.
    assert (cell.estimate, cell.text) == (2.0, "2.0, violated in 1 of 2 games")


def test_implied_constant_of_theorem_3_claims_no_verdict():
    updates = np.array([0.0, 4.0])
    values = {
        "gap/average": np.full((1, 1, 2), 3.0),
        "log_ratio_to_reference/last": np.zeros((1, 1, 2)),
        "reference_divergence/last": np.full((1, 1, 2), 9.0),
    }
    cell = RatioToBound("c", "gap", "average", "inpo_average_gap", ("row",)).cell(
        exact_row(values, updates), 0.95
    )
    assert cell.text == "2.0"  # 3 sqrt(4) / (1 sqrt(9))
    del values["reference_divergence/last"]
    table = node(
        columns=[
            {
                "_target_": f"{COLUMNS}.RatioToBound",
                "header": "c",
                "benchmark": "gap",
                "iterate": "average",
                "bound": "inpo_average_gap",
                "rows": ["row"],
            }
        ]
    )
    shown = render_table([exact_row(values, updates)], table_specification(table))
    assert shown.rows[0].cells[1].text == "the bound needs benchmark reference_divergence"
