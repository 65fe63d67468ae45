"""Answers side by side, for people: in words, and with nothing in them being markup."""

from __future__ import annotations

import re

import pytest
from comparisons import finished_cells

from nlhf_repro.interfaces import ShownAnswer, ShownPrompt
from nlhf_repro.pipeline.cell import stage_store
from nlhf_repro.pipeline.keys import sample_key
from nlhf_repro.pipeline.language.comparison_stages import last_answers
from nlhf_repro.pipeline.language.round_robins import REFERENCE, shown_prompts
from nlhf_repro.pipeline.language.task import LanguageTask
from nlhf_repro.pipeline.records import row_records
from nlhf_repro.reporting import samples_page
from nlhf_repro.reporting.samples_page import NO_ANSWER, escaped, in_words

HOSTILE = (
    "a | b",
    "one\ntwo\r\nthree\u2028four",
    "\x00\x1b[31mred\x07",
    "\ud800 alone \udfff",
    "\\| \\",
    "<script>alert(1)</script> &lt;",
    "**bold** _it_ `code` ~~gone~~ $x$",
    "[link](http://example.com) ![x](y) www.example.com a@b.c",
    "# title",
    "- item",
    "1. item",
    "\u202egnihton\u202c",
    "| --- | --- |",
)
SUMMARY = {
    **{"coverage": 5.0, "inventions": 0.0, "repetitions": 0.0, "length": 11.0},
    **{"formal": 1.0, "casual": 0.0, "vivid": 0.0, "purity": 1.0, "opener": 1.0},
}


def page(text, label="row", features=None):
    answer = ShownAnswer(label, text, features or {})
    return samples_page("T", [ShownPrompt("p", "post", (answer,))])


def cells_of(line):
    """The cells of a line of a table, by GitHub's rule: a pipe parts them unless it is escaped."""
    return re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_breaks_the_table(text):
    for written in (page(text), page("fine", label=text)):
        written.encode()
        lines = [line for line in written.splitlines() if line.startswith("|")]
        assert len(lines) == 3 and [len(cells_of(line)) for line in lines] == [3, 3, 3]
        assert written.isascii() or all(x.isprintable() for x in written.replace("\n", ""))
    quoted = samples_page("T", [ShownPrompt(text, text, ())])
    assert sum(line.startswith(">") for line in quoted.splitlines()) == 1
    assert len(quoted.splitlines()) == len(
        samples_page("T", [ShownPrompt("p", "q", ())]).splitlines()
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_is_escaped_stays_markup(text):
    found = escaped(text)
    bare = re.sub(r"\\.", "", found)
    assert not set(bare) & set("\\`*_[]<>|~&$.:@")
    assert not found.startswith(("#", "-", "+", "="))


def test_words_stay_as_they_are():
    assert escaped("in short brother sold a lamp") == "in short brother sold a lamp"
    assert escaped("  two   spaces ") == "two spaces"
    assert escaped("\ud83d\ude00") == "\U0001f600"
    assert escaped("x\ud800y") == "x\ufffdy"
    assert "(nothing)" in page("")


def test_features_in_words():
    assert in_words(SUMMARY) == "covers 5 of 6 facts, invents nothing, formal"
    mixed = {**SUMMARY, "formal": 0.25, "vivid": 0.75, "inventions": 2.0, "repetitions": 1.0}
    assert in_words(mixed) == (
        "covers 5 of 6 facts, invents 2, mixed: vivid 75% and formal 25%, repeats 1"
    )
    assert in_words({**SUMMARY, "formal": 0.0}).endswith("no style")
    assert in_words({"letters": 3.0, "a|b": 0.5}) == "letters 3, a\\|b 0.5"
    assert in_words({}) == ""


def test_a_row_without_an_answer_is_there_and_says_so():
    assert f"| row | {NO_ANSWER} |" in page(None)


def test_the_page_shows_stored_answers_and_what_the_oracle_reads(tmp_path):
    cells = finished_cells(tmp_path, rows=("INPO",), seeds=(1, 0))
    store, records = stage_store(tmp_path), row_records(cells, tmp_path)
    shown = shown_prompts(cells, records, 3, store)
    config = cells[0].config
    task = LanguageTask(config, None)
    prompts = task.prompts("evaluation")
    stored = last_answers(store.folder("sample", sample_key(config)), prompts)
    assert [each.identifier for each in shown] == [each.identifier for each in prompts[:3]]
    for index, each in enumerate(shown):
        assert each.text == prompts[index].messages[0].content
        assert [answer.label for answer in each.answers] == [REFERENCE, "INPO"]
        assert each.answers[1].text == stored.responses[index][0]
        features = task.oracle().features([prompts[index]], [stored.responses[index][0]])[0]
        assert list(each.answers[1].features.values()) == features.tolist()
    assert samples_page("T", shown) == samples_page(
        "T", shown_prompts(cells, records, 3, stage_store(tmp_path))
    )
