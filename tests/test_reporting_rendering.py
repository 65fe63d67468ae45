"""Renderers to the letter: digits, Markdown, LaTeX escapes, CSV round trip."""

import csv
import math
from io import StringIO

import numpy as np
import pytest
from reporting_rows import GAP, lognormal, record, specification, texts

from nlhf_repro.reporting import (
    Cell,
    Table,
    TableRow,
    render_cost_table,
    render_table,
    to_csv,
    to_latex,
    to_markdown,
)
from nlhf_repro.reporting.columns import LedgerTotal
from nlhf_repro.reporting.numbers import additive_interval, positive_interval, share_text


def test_markdown_of_an_exact_table_to_the_letter():
    # log gaps -6 ln 10 -+ ln 2: mean -6 ln 10, sd sqrt(2) ln 2, se ln 2, t(1, 0.975) = 12.706.
    row = record("A|b", [[0.5e-6, 2e-6]], exact=True)
    half = 12.706204736174694 * math.log(2)
    low, high = 1e-6 * math.exp(-half), 1e-6 * math.exp(half)
    table = render_table([row], specification(GAP, LedgerTotal("asked", "comparisons")))
    assert table.rows[0].cells[1].lower == pytest.approx(low, rel=1e-9)
    assert table.rows[0].cells[1].upper == pytest.approx(high, rel=1e-9)
    assert to_markdown(table) == (
        "### Title\n\nCaption.\n\n"
        "| row  | K x n     | gap                      | asked |\n"
        "|------|-----------|--------------------------|-------|\n"
        "| A\\|b | exact x 2 | 1.0e-6 [1.5e-10, 6.7e-3] | 400   |\n\n"
        "- Estimand of a mean: its expectation over further games; settings and budget are held "
        "fixed.\n"
        "- K x n: training seeds x games, the same games for every row.\n"
        "- exact (all rows): no training variance; games are the cluster.\n"
        "- gap: geometric mean of duality_gap (last iterate) over seeds and games at the end of "
        "training [95% interval of the log gap, games as clusters].\n"
        "- asked: oracle comparisons of a training problem at the end of training, exact.\n"
        "- Untuned: the settings are those that the experiment declares; no search chose them, and "
        "others may order the rows otherwise.\n"
    )


def test_latex_escapes_every_special_character():
    cells = (Cell("2.1e-4 [1.8e-4, 2.5e-4]"), Cell("> 100†"))
    table = Table("50% & more", "", ("row", "a_b", "#"), (TableRow(r"x\y{$}^~", cells),), ("n_1",))
    text = to_latex(table)
    assert r"\caption{50\% \& more.}" in text
    assert r"row & a\_b & \# \\" in text
    assert (
        r"x\textbackslash{}y\{\$\}\textasciicircum{}\textasciitilde{} & "
        r"2.1$\cdot 10^{-4}$ [1.8$\cdot 10^{-4}$, 2.5$\cdot 10^{-4}$] & $>$ 100\dag{} \\" in text
    )
    assert text.count("{") == text.count("}")


def test_csv_gives_back_the_numbers_exactly():
    rows = [record('a, "b"', lognormal(0)), record("c", lognormal(1))]
    table = render_table(rows, specification(GAP, against="c"))
    lines = list(csv.DictReader(StringIO(to_csv(table))))
    assert len(lines) == sum(len(row.cells) for row in table.rows)
    line = next(line for line in lines if line["row"] == 'a, "b"' and line["column"] == "gap")
    cell = table.rows[0].cells[1]
    assert [float(line[key]) for key in ("estimate", "lower", "upper")] == [
        cell.estimate,
        cell.lower,
        cell.upper,
    ]
    assert (line["seeds"], line["clusters"], line["level"]) == ("5", "40", "algorithm")
    assert line["p_value"] == ""


def test_rendering_twice_gives_the_same_bytes():
    rows = [record("a", lognormal(0)), record("b", lognormal(1))]
    first, second = (render_table(rows, specification(GAP, against="a")) for _ in range(2))
    for write in (to_markdown, to_latex, to_csv):
        assert write(first) == write(second)


def test_cost_table_is_the_median_over_seeds():
    row = record("a", lognormal(0, (3, 2)), measured={"seconds": np.array([1.0, 3.0, 2.0])})
    assert texts(render_cost_table([row, record("b", [[1.0]])])) == {
        "a": ["2.0 [1.0, 3.0]"],
        "b": ["not measured"],
    }


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((2.1e-4, 1.8e-4, 2.5e-4), "2.1e-4 [1.8e-4, 2.5e-4]"),
        ((2.112e-4, 2.11e-4, 2.114e-4), "2.112e-4 [2.110e-4, 2.114e-4]"),
        ((5271.3, 1071.0, 25938.0), "5300 [1100, 26000]"),
        ((0.213, math.nan, math.nan), "0.21"),
    ],
)
def test_digits_follow_the_interval(numbers, text):
    assert positive_interval(*numbers) == text


def test_additive_digits_and_shares():
    assert additive_interval(42.613, 39.5, 45.7) == "42.6 [39.5, 45.7]"
    assert additive_interval(0.5, 0.4, 0.6, sign=True) == "+0.50 [+0.40, +0.60]"
    assert additive_interval(-0.02, -3.7, 3.7, sign=True) == "0.0 [-3.7, +3.7]"
    assert additive_interval(0.02, -3.7, 3.7, sign=True) == "0.0 [-3.7, +3.7]"
    assert additive_interval(-0.02, -3.7, 3.7) == "0.0 [-3.7, 3.7]"
    assert additive_interval(-0.0, -0.0, -0.0, sign=True) == "0 [0, 0]"
    assert [share_text(v) for v in (0.0, 1e-6, 0.12, 0.99999, 1.0)] == [
        "0%",
        "0.1%",
        "12%",
        "99.9%",
        "100%",
    ]
