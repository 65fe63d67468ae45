"""The report in headless Chromium: it renders, sorts, filters, and shows the CSV's numbers."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest
import report_material as made

from nlhf_repro.reporting.report import report_document, report_page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((path for path in map(shutil.which, NAMES) if path), None)
api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page of two experiments, one with hostile answers."""
    hostile = replace(made.prompts(3, text=made.HOSTILE), title="hostile prompts")
    material = made.material(samples=(made.prompts(25), hostile))
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report_page([material, made.games()]), encoding="ascii")
    return path.as_uri()


@pytest.fixture
def page(browser, address) -> Iterator:
    """The page, which has to end without an error and without having asked for anything."""
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda line: wrong.append(line.text))
    opened.on("request", lambda asked: asked.url == address or wrong.append(asked.url))
    opened.goto(address)
    opened.wait_for_selector("figure.curves svg path.line")
    yield opened
    opened.close()
    assert [x for x in wrong if not x.startswith("blob:")] == []


def shown_labels(page, name: str) -> list[str]:
    return page.locator(f"table[data-table='{name}'] tbody th:visible").all_text_contents()


def head(page, name: str, column: str):
    return page.locator(f"table[data-table='{name}'] thead th", has_text=column).first


def test_every_part_is_there(page):
    parts = page.locator("section.experiment").first.locator("h3").all_text_contents()
    assert parts == [
        "What was asked", "Read this first", "What lacks", "The answer", "Table", "Forest plot",
        "Learning curves", "Rows against each other", "Variance components", "Cost", "Samples",
        "Computing it again",
    ]  # fmt: skip
    assert page.locator("nav[aria-label='Experiments'] li").count() == 2
    assert page.locator("figure.forest circle.point").count() == 2 + 8
    assert page.locator("figure.curves").first.locator("path.band").count() == 3
    assert page.locator("td.heat").count() == 12
    assert page.locator("td.told").count() == 12  # every pair of this record is told apart
    assert page.locator("text=FloatingPointError: it diverged").first.is_visible()


def test_the_numbers_on_the_page_are_the_csvs(page):
    found = report_document([made.material()])["sections"][0]
    for table in (found["table"], found["meetings"]["table"], *found["costs"]):
        lines = list(csv.DictReader(io.StringIO(table["csv"])))
        cells = page.locator(f"table[data-table='{table['name']}'] tbody td").all()
        assert len(cells) == len(lines) > 0
        for cell, line in zip(cells, lines, strict=True):
            assert cell.text_content() == line["text"]
            for name, key in (("estimate", "estimate"), ("lower", "lower"), ("p", "p_value")):
                value = cell.get_attribute(f"data-{name}")
                assert (value is None) == (line[key] == "")
                assert value is None or float(value) == float(line[key])


def test_a_downloaded_csv_is_the_file(page):
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download Who is exploitable as CSV").first.click()
    assert waiting.value.suggested_filename == "made_by_hand.csv"
    written = waiting.value.path().read_text()
    assert written == report_document([made.material()])["sections"][0]["table"]["csv"]


def test_columns_sort_by_their_numbers_and_back(page):
    declared = ["INPO", "Iterative DPO", "SPPO", "Nash-MD"]
    table = "made_by_hand"
    button = head(page, table, "win rate").locator("button")
    estimates = page.locator(f"table[data-table='{table}'] tbody tr").evaluate_all(
        "rows => rows.map(row => Number(row.cells[4].dataset.estimate))"
    )
    ascending = [name for _, name in sorted(zip(estimates[:3], declared, strict=False))]
    button.click()
    assert shown_labels(page, table) == [*ascending, "Nash-MD"]  # without a number: last
    assert head(page, table, "win rate").get_attribute("aria-sort") == "ascending"
    button.focus()
    page.keyboard.press("Enter")
    assert shown_labels(page, table) == [*ascending[::-1], "Nash-MD"]
    head(page, table, "row").locator("button").click()
    assert shown_labels(page, table) == ["INPO", "Iterative DPO", "Nash-MD", "SPPO"]
    assert head(page, table, "win rate").get_attribute("aria-sort") == "none"
    for _ in range(2):
        head(page, table, "row").locator("button").click()
    assert shown_labels(page, table) == declared


def test_rows_filter_by_words(page):
    table = page.locator(".table", has=page.locator("table[data-table='made_by_hand']")).first
    table.get_by_label("Filter rows").fill("iterative dpo")
    assert shown_labels(page, "made_by_hand") == ["Iterative DPO"]
    assert table.locator("output").text_content() == "1 of 4 rows"
    table.get_by_label("Filter rows").fill("")
    assert len(shown_labels(page, "made_by_hand")) == 4


def test_curves_change_their_axis_and_hide_by_keyboard(page):
    figure = page.locator("figure.curves").first
    assert figure.locator("svg text.title", has_text="oracle comparisons").count() == 1
    figure.get_by_label("Over", exact=True).select_option("seconds")
    assert figure.locator("svg text.title", has_text="seconds of training").count() == 1
    figure.get_by_label("Show", exact=True).select_option(label="win rate")
    chosen = figure.locator("svg text.title", has_text="seconds of training")
    api.expect(chosen).to_have_count(1)  # it stays
    entry = figure.get_by_role("button", name="SPPO")
    entry.focus()
    page.keyboard.press("Space")
    assert entry.get_attribute("aria-pressed") == "false"
    assert figure.locator("path.line").count() == 2
    figure.locator(".chart > svg").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    said = figure.locator(".tip").text_content()
    assert said.startswith("INPO") and "seconds of training: 8" in said
    figure.locator("summary").click()
    assert figure.locator("table.plain tbody tr").count() == 12


def test_forest_plots_change_their_column(page):
    figure = page.locator("figure.forest").first
    assert figure.locator("line.neutral").count() == 1
    figure.get_by_label("Column").select_option(label="win rate")
    assert figure.locator("line.neutral").count() == 0
    assert figure.locator("circle.point").count() == 3


def test_samples_are_searched_filtered_and_paged(page):
    samples = page.locator(".samples")
    assert samples.locator("article").count() == 10
    samples.get_by_role("button", name="Next").click()
    assert samples.locator("article h4").first.text_content() == "Prompt prompt/10"
    samples.get_by_label("Search prompts and answers").fill("question 24?")
    assert samples.locator("article h4").all_text_contents() == ["Prompt prompt/24"]
    assert samples.locator("mark").first.text_content() == "question"
    samples.get_by_label("Search prompts and answers").fill("")
    samples.get_by_label("Answer of").select_option("INPO")
    samples.get_by_label("Verdict").select_option("even")
    assert samples.locator("article h4").all_text_contents() == [
        "Prompt prompt/5",
        "Prompt prompt/16",
    ]
    samples.get_by_role("checkbox", name="SPPO").uncheck()
    assert samples.locator("article").first.locator("h5").all_text_contents() == [
        "the reference",
        "INPO",
    ]


def test_hostile_answers_are_text(page):
    page.get_by_label("Answers to").select_option(label="hostile prompts")
    assert "</script><script>" in page.locator(".samples .words").first.text_content()
    assert page.locator(".samples script, .samples b").count() == 0
    assert page.title() == "Report: made_by_hand, games"


def test_dark_mode_follows_the_system_and_the_button(page):
    surface = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(surface)
    page.get_by_role("button", name="Dark mode").click()
    dark = page.evaluate(surface)
    assert dark != light
    page.get_by_role("button", name="Light mode").click()
    assert page.evaluate(surface) == light
    page.reload()
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(surface) == dark
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(surface) == light  # paper is white


@pytest.mark.parametrize("width", [380, 1600])
def test_nothing_hangs_over_the_edge(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.get_by_role("button", name="Unfold all").click()
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_keyboard_reaches_every_control_by_name(page):
    nameless = page.locator("button, select, input").evaluate_all(
        "nodes => nodes.filter(x => !(x.getAttribute('aria-label') || "
        "(x.tagName === 'BUTTON' && x.textContent.trim()) || "
        "[...(x.labels || [])].some(y => y.textContent.trim()))).length"
    )
    assert nameless == 0
    assert page.locator("svg[role=img]:not([aria-label])").count() == 0
    assert page.locator("th:not([scope])").count() == 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"


def test_a_prompt_without_text_is_named_alone(browser, tmp_path):
    shown = [replace(each, text="") for each in made.prompts(2).prompts]
    material = made.material(samples=(replace(made.prompts(2), prompts=tuple(shown)),))
    (tmp_path / "page.html").write_text(report_page([material]), encoding="ascii")
    opened = browser.new_page()
    opened.goto((tmp_path / "page.html").as_uri())
    samples = opened.locator(".samples")
    assert samples.locator("article h4").all_text_contents() == [
        "Prompt prompt/0",
        "Prompt prompt/1",
    ]
    assert samples.locator("blockquote").count() == 0
    assert samples.locator("section.answer").count() == 6
    opened.close()
