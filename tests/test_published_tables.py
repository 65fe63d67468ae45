"""Printed numbers beside ours: inside or outside, in the same order or not, and what is refused."""

from __future__ import annotations

import csv
from dataclasses import replace
from io import StringIO
from typing import Any

import numpy as np
import pytest
from reporting_rows import GAP, record, texts

from nlhf_repro.interfaces import ImpossibleSettingError, RowRecord
from nlhf_repro.reporting import (
    Table,
    render_table,
    table_specification,
    to_csv,
    to_latex,
    to_markdown,
)
from nlhf_repro.reporting.published_orderings import published_orderings
from nlhf_repro.uncertainty import difference, holm, prediction_interval
from nlhf_repro.verbs.experiment import load_experiment

MNPO_6 = {  # prints LC of three models: 24.80, 41.48 and 42.94
    "paper": "2509.23102",
    "table": "6",
    "rows": {"start": "Llama-3-8B-it", "inpo": "INPO", "mnpo": "TD-MNPO"},
    "columns": {"rate": "LC"},
    "comparable": True,
    "reason": "",
    "seeds": "independent",
}
MINI = {"comparable": False, "reason": "a mini world"}
HAND = np.array([[39.0, 41.0], [40.0, 44.0], [42.0, 46.0]])  # means 40, 42, 44
HALF = 4.302652729749464 * (4 * (1 + 1 / 3)) ** 0.5  # t(2, 0.975)


def column(header: str = "rate", benchmark: str = "rate") -> dict[str, Any]:
    return {
        "_target_": "nlhf_repro.reporting.columns.MeanValue",
        "header": header,
        "benchmark": benchmark,
        "iterate": "last",
        "at": "last",
        "across_regularization": True,
    }


def node(against: str | None = None, **published: Any) -> dict[str, Any]:
    primary = {"column": "rate", "against": against, "seeds": "independent"}
    return {
        "title": "T",
        "caption": "",
        "columns": [column(), column("other", "rate")],
        "primary": primary if against else None,
        "figures": [],
        "level": 0.95,
        "published": {**MNPO_6, **published},
    }


def row(label: str, values: Any, **fields: Any) -> RowRecord:
    values = np.asarray(values, dtype=float)
    made = record(label, values, **fields)
    both = {"rate/last": np.stack([values, values], axis=-1)}
    return replace(made, values=both, clusters="prompts", problems=1)


def spread(mean: float, seed: int, seeds: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return mean + 0.1 * rng.normal(size=(seeds, 1)) + rng.normal(size=(seeds, 30))


def three(start: float, inpo: float, mnpo: float) -> list[RowRecord]:
    means = {"start": start, "inpo": inpo, "mnpo": mnpo}
    return [row(name, spread(mean, i)) for i, (name, mean) in enumerate(means.items())]


def rendered(records: list[RowRecord], /, **published: Any) -> Table:
    return render_table(records, table_specification(node(**published)))


def test_inside_and_outside_by_hand() -> None:
    rows = [row("start", HAND), row("inpo", HAND), row("mnpo", HAND - 30)]
    table = rendered(rows, reason="decoding is not stated")
    assert table.header == ("row", "K x n", "rate", "published rate", "other")
    cells = {line.label: line.cells[2] for line in table.rows}
    assert cells["start"].text == "24.80 outside [32.1, 51.9]"
    assert cells["inpo"].text == "41.48 inside [32.1, 51.9]"
    assert cells["mnpo"].text == "42.94 outside [2.1, 21.9]"
    assert (cells["inpo"].lower, cells["inpo"].upper) == pytest.approx((42 - HALF, 42 + HALF))
    assert cells["inpo"].estimate == 41.48
    (said,) = [note for note in table.notes if note.startswith("inside, outside")]
    assert "prediction interval of one new run on the same prompts" in said
    assert "Judges drift" in said and said.endswith("decoding is not stated.")
    assert "published rate: LC in Table 6 of arXiv:2509.23102 (v3; judge not recorded; in %; " in (
        "\n".join(table.notes)
    )
    assert any("re-run of INPO's 41.8" in note for note in table.notes)


def test_a_value_is_inside_to_its_last_digit() -> None:
    """A deterministic row has no other run: 41.48 stands for everything that rounds to it."""
    exact = [row(name, [[x]], exact=True) for name, x in (("inpo", 41.484), ("mnpo", 42.9461))]
    table = rendered([row("start", HAND), *exact])
    assert [line.cells[2].text.split()[1] for line in table.rows[1:]] == ["inside", "outside"]


def test_the_judges_draws_widen_it() -> None:
    draws = np.stack([HAND - 3, HAND, HAND + 3], axis=1)
    judged = row("inpo", HAND)
    judged = replace(judged, judge_draws={"rate/last": np.stack([draws, draws], axis=-1)})
    cell = rendered([row("start", HAND), judged, row("mnpo", HAND)]).rows[1].cells[2]
    expected = prediction_interval(HAND, judge_draws=draws)
    assert expected.upper - expected.lower > 2 * HALF * 1.1
    assert (cell.lower, cell.upper) == (expected.lower, expected.upper)


def test_rows_without_an_interval_say_why() -> None:
    start = row("start", HAND / 100)
    rows = [start, row("inpo", HAND[:1]), row("mnpo", HAND, missing=(3,)), row("ours", HAND)]
    found = texts(rendered(rows))
    assert found["start"][2] == "24.80 (no interval: ours is not in the paper's unit, %)"
    assert found["inpo"][1].endswith("‡") and "*" not in found["inpo"][1]
    assert found["inpo"][2] == "41.48 (no interval: one seed)"
    assert found["mnpo"][2] == "42.94 (no interval: row incomplete)"
    assert found["ours"][2] == "-"


def test_at_another_scale_only_the_order_is_compared() -> None:
    table = rendered(three(20, 50, 35), **MINI)
    assert texts(table)["inpo"][2] == "41.48§"
    notes = "\n".join(table.notes)
    assert "§ published at another scale: not comparable (a mini world)." in notes
    assert "inside" not in notes and "prediction" not in notes
    assert "Published orderings of two rows, 3 in Table 6 of arXiv:2509.23102: agrees 2, " in notes
    assert "reversed 1, undecided 0" in notes
    assert "rate, agrees: inpo over start (printed 41.48 and 24.80; ours +" in notes
    assert "rate, reversed: mnpo over inpo (printed 42.94 and 41.48; ours -1" in notes


def test_orderings_are_one_family_of_holm() -> None:
    rows = three(20, 20.4, 20.9)
    specification = table_specification(node(**MINI))
    (rate,) = specification.beside_published
    assert specification.published
    found = published_orderings(rows, {"rate": rate}, specification.published, 0.95)
    pairs = [(1, 0), (2, 0), (2, 1)]  # of rows, the one printed higher first
    values = [x.values["rate/last"][..., -1] for x in rows]
    raw = [difference(values[high], values[low]) for high, low in pairs]
    labels = [(rows[high].label, rows[low].label) for high, low in pairs]
    assert [(x.higher, x.lower) for x in found] == labels
    assert [x.estimate for x in found] == [x.estimate for x in raw]
    adjusted = holm([x.p_value for x in raw])
    assert [x.p_value for x in found] == pytest.approx(adjusted)
    assert [x.outcome == "undecided" for x in found] == [p >= 0.05 for p in adjusted]
    assert {x.outcome for x in found} == {"agrees", "undecided"}
    assert any(x.p_value < 0.05 <= p for x, p in zip(raw, adjusted, strict=True)), (
        "the example has to need the adjustment"
    )


def test_what_cannot_be_compared_is_undecided_and_stays_in_the_family() -> None:
    rows = [row("start", spread(20, 0)), row("inpo", spread(50, 1, 1)), row("mnpo", spread(50, 2))]
    notes = "\n".join(rendered(rows, **MINI).notes)
    assert "undecided 2, 2 of them not compared" in notes
    assert (
        "rate, undecided: inpo over start (printed 41.48 and 24.80; one seed); mnpo over" in notes
    )
    missing = [*rows[:2], replace(rows[2], missing=(7,))]
    notes = "\n".join(rendered(missing, **MINI).notes)
    assert (
        "no comparison: row incomplete†" in notes and "undecided 3, 3 of them not compared" in notes
    )


def test_other_regularization_is_not_ordered_where_the_column_forbids_it() -> None:
    inner = {**column(), "across_regularization": False}
    rows = [row("start", spread(20, 0), tau=1.0), *three(0, 50, 35)[1:]]
    table = render_table(rows, table_specification({**node(**MINI), "columns": [inner]}))
    assert "one" not in str(texts(table))
    notes = "\n".join(table.notes)
    assert "agrees 0, reversed 1, undecided 2" in notes and "refused: other regularization" in notes


def test_equal_prints_are_no_ordering() -> None:
    rows = {"start": "Llama-3-8B-it", "inpo": "INPO", "mnpo": "INPO"}
    not_run = {"TD-MNPO": "no time"}
    table = rendered(three(20, 50, 35), rows=rows, not_run=not_run, **MINI)
    assert any("2 in Table 6" in note for note in table.notes)
    one = rendered(
        three(1, 2, 3)[1:2],
        rows={"inpo": "INPO"},
        **MINI,
        not_run=not_run | {"Llama-3-8B-it": "no time"},
    )
    assert "Published orderings: Table 6 of arXiv:2509.23102 orders no two of these rows." in (
        one.notes
    )


def test_rows_of_the_paper_that_are_not_run_say_why() -> None:
    rows = {"start": "Llama-3-8B-it", "inpo": "INPO"}
    table = rendered(three(20, 50, 35)[:2], rows=rows, not_run={"TD-MNPO": "needs players"}, **MINI)
    assert texts(table)["TD-MNPO (paper)"] == ["-", "not run: needs players", "42.94§", "-"]
    assert "| TD-MNPO (paper) | -" in to_markdown(table)


def test_the_published_column_stands_before_the_comparison() -> None:
    specification = table_specification(node("inpo"))
    header = render_table(three(20, 50, 35), specification).header
    assert header[2:] == ("rate", "published rate", "comparison", "other")


def test_every_form_shows_it() -> None:
    table = rendered(three(20, 50, 35), **MINI)
    assert "| 41.48§" in to_markdown(table)
    assert r"& 41.48\S{} &" in to_latex(table) and "§" not in to_latex(table)
    lines = list(csv.DictReader(StringIO(to_csv(table))))
    (line,) = [x for x in lines if (x["row"], x["column"]) == ("inpo", "published rate")]
    assert (line["estimate"], line["text"], line["lower"]) == ("41.48", "41.48§", "")
    assert "INPO's 41.8" in line["note"]
    inside = rendered([row("start", HAND), row("inpo", HAND), row("mnpo", HAND)])
    assert "41.48 inside [32.1, 51.9]" in to_latex(inside)
    lines = list(csv.DictReader(StringIO(to_csv(inside))))
    (line,) = [x for x in lines if (x["row"], x["column"]) == ("inpo", "published rate")]
    assert float(line["upper"]) == pytest.approx(42 + HALF)


def test_an_uncertainty_is_printed_with_what_it_is() -> None:
    published = {
        "table": "7",
        "rows": {"inpo": "INPO"},
        "columns": {"rate": "GPT-4.1"},
        "not_run": {"SFT model": "a", "DPO": "a", "MNPO": "a"},
    }
    (said,) = [
        note
        for note in rendered(three(1, 2, 3), **published, **MINI).notes
        if note.startswith("published rate of inpo")
    ]
    assert "printed with ± 0.14 (standard deviation over 3 runs)" in said


def test_the_same_records_give_the_same_bytes() -> None:
    assert to_csv(rendered(three(1, 2, 3))) == to_csv(rendered(three(1, 2, 3)))
    assert to_markdown(rendered(three(1, 2, 3))) == to_markdown(rendered(three(1, 2, 3)))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"paper": "1234.5678"}, "no published numbers of arXiv 1234.5678: choose among"),
        ({"paper": 2509.23102}, "published.paper is 2509.23102: Input should be a valid string"),
        ({"table": "9"}, "table.published.table names '9', which is no table of arXiv 2509"),
        ({"rows": {"start": "GPT"}}, "rows names 'GPT', which is no row of table 6: choose among "),
        ({"columns": {"rate": "WR"}}, "columns names 'WR', which is no column of table 6: choose"),
        ({"columns": {"x": "LC"}}, "columns names 'x', which is no column of means: choose among "),
        ({"not_run": {"GPT": "x"}}, "table.published.not_run names 'GPT', which is no row of "),
        ({"not_run": {"INPO": "x"}}, "says both that 'INPO' is run and that it is not: keep one"),
        ({"rows": {"start": "INPO"}}, "passes over Llama-3-8B-it; TD-MNPO of table 6: map each "),
        ({"rows": {}}, "names no rows or no columns: give both"),
        ({"comparable": False}, "table.published.reason is empty: say why it is not comparable"),
        ({"comparable": "no"}, "published.comparable is 'no': Input should be a valid boolean"),
        ({"colums": {}}, "table.published has no key 'colums': did you mean 'columns'"),
        ({"seeds": "paired"}, "published.seeds is 'paired'"),
    ],
)
def test_a_wrong_node_is_one_sentence(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ImpossibleSettingError, match=sentence) as caught:
        table_specification(node(**wrong))
    assert str(caught.value).count("\n") == 0


def test_only_means_stand_beside_printed_numbers() -> None:
    gap = {"_target_": "nlhf_repro.reporting.columns.GeometricMeanGap", **vars(GAP)}
    with pytest.raises(ImpossibleSettingError, match="'gap', which is no column of means: choose"):
        table_specification({**node(columns={"gap": "LC"}), "columns": [gap, column()]})
    with pytest.raises(ImpossibleSettingError, match="called 'published rate': give each a header"):
        table_specification({**node(), "columns": [column(), column("published rate")]})
    with pytest.raises(ImpossibleSettingError, match=r"needs table\.grid_points = rows"):
        table_specification({**node(), "grid_points": "columns"})


def test_a_row_that_the_experiment_has_not_is_refused() -> None:
    with pytest.raises(ImpossibleSettingError, match="rows names 'mnpo', which is no row of the e"):
        rendered(three(1, 2, 3)[:2])


def test_it_is_refused_before_anything_runs() -> None:
    published = (
        "{paper:'2509.23102',table:'6',rows:{nobody:INPO,a:Llama-3-8B-it,b:TD-MNPO},"
        "columns:{exploitability:LC},comparable:false,reason:mini,seeds:independent}"
    )
    with pytest.raises(ImpossibleSettingError, match="'nobody', which is no row of the experiment"):
        load_experiment("one_world", [f"+table.published={published}"], None)
