"""The report in headless Chromium: what is drawn, and the cue where a table is cut."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import report_material as made
from test_report_in_browser import CHROMIUM, api, browser  # noqa: F401

from nlhf_repro.reporting.axes import MARKED, QUARTILED
from nlhf_repro.reporting.columns import MeanValue
from nlhf_repro.reporting.report import report_document
from nlhf_repro.reporting.report.html import render

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")
COLUMNS = [
    MeanValue(f"measure {n}", "oracle_exploitability", "last", "last", True) for n in range(11)
]


def wide():
    """A section of more rows and columns than fit."""
    rows = [made.row(f"Row number {n} of a long table", 0.1 + 0.02 * n, n) for n in range(26)]
    asked = made.specification(made.EXPLOITABILITY, *COLUMNS, against=None)
    return made.material(rows, asked, name="wide", round_robin=None, samples=())


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A section with a row of a paper and with quartiles, and one that is wide and long."""
    document = report_document([made.material(), wide()])
    table = document["sections"][0]["table"]
    theirs = {"label": "theirs", "cells": table["rows"][0]["cells"], "published": True}
    table["rows"].append(theirs)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(document), encoding="ascii")
    return path.as_uri()


@pytest.fixture
def page(browser, address) -> Iterator:  # noqa: F811
    opened = browser.new_page(viewport={"width": 1100, "height": 900})
    opened.goto(address)
    opened.wait_for_selector("figure.curves svg path.line")
    yield opened
    opened.close()


def shadows(page, view):
    """Which edges of a table's box are shaded now."""
    page.wait_for_timeout(400)
    return [
        view.evaluate(f"x => getComputedStyle(x.parentNode, '::{edge}').opacity") == "1"
        for edge in ("before", "after")
    ]


def test_a_papers_rows_are_in_the_table_and_not_in_the_forest_plot(page):
    figure = page.locator("figure.forest").first
    labels = figure.locator("text.label").all_text_contents()
    assert labels == ["INPO", "Iterative DPO", "SPPO", "Nash-MD"]
    figure.locator("summary").click()
    assert figure.locator("table tbody tr").count() == 4
    assert page.locator("table[data-table='made_by_hand'] tbody tr").count() == 5


@pytest.mark.parametrize("dark", [False, True])
def test_a_table_that_is_cut_says_so_until_the_keyboard_has_scrolled_it(page, dark):
    if dark:
        page.get_by_role("button", name="Dark mode").click()
    table = page.locator("#experiment-wide .table").first
    view = table.locator(".scroll")
    cue = table.locator(".cue")
    assert cue.text_content() == "26 rows, 14 columns; scroll down and to the right for more"
    assert view.get_attribute("aria-describedby") == cue.get_attribute("id")
    assert shadows(page, view) == [True, True]
    shade = view.evaluate("x => getComputedStyle(x.parentNode, '::after').backgroundImage")
    red = float(re.search(r"srgb ([\d.]+)", shade)[1])
    assert (red > 0.5) == dark  # a shade of the ink, which is light in dark mode
    view.focus()
    page.keyboard.press("End")
    assert shadows(page, view) == [False, True]
    for _ in range(50):
        page.keyboard.press("ArrowRight")
    assert shadows(page, view) == [False, False]
    assert cue.is_visible()


def test_a_table_that_fits_has_no_cue_nor_one_that_is_filtered_until_it_does(page):
    whole = page.locator("table[data-table='made_by_hand-cost']")
    box = page.locator(".table", has=whole).first
    assert not box.locator(".cue").is_visible()
    assert shadows(page, box.locator(".scroll")) == [False, False]
    table = page.locator("#experiment-wide .table").first
    table.get_by_label("Filter rows").fill("[0.089,")
    page.wait_for_timeout(200)
    assert table.locator(".cue").text_content() == "1 row, 14 columns; scroll to the right for more"


def test_few_curves_have_quartiles_and_few_points_dots(page):
    few = page.locator("#experiment-made_by_hand figure.curves")
    assert few.locator("path.quartile").count() == 2 * 3
    assert few.locator("circle.dot").count() == 3 * 4
    assert few.get_by_label("Bands and quartiles").is_checked()
    many = page.locator("#experiment-wide figure.curves")
    many.get_by_label("Bands", exact=True).check()
    assert many.locator("path.band").count() == 26
    assert many.locator("path.quartile").count() == 0
    assert "quartiles" not in many.locator("figcaption").text_content()


def test_the_page_and_the_files_mark_and_thin_out_alike():
    script = render(report_document([made.games()]))
    assert f"const QUARTILED = {QUARTILED};" in script and f"const MARKED = {MARKED};" in script
