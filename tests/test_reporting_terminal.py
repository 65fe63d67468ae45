"""What a terminal shows of a table: nothing is lost but what it says stands elsewhere."""

from __future__ import annotations

import pytest

from nlhf_repro.reporting import Answer, Cell, Table, TableRow
from nlhf_repro.reporting.terminal import SENTENCES, to_summary, verdict


def table(columns=6, **changes):
    header = ("row", *(f"column {n}" for n in range(columns)))
    cells = tuple(Cell(f"{n}.5 [{n}, {n + 1}]") for n in range(columns))
    rows = (TableRow("INPO", cells), TableRow("theirs", cells, published=True))
    fields = {"notes": ("One world.", "Variants."), "reach": ("One world.",)} | changes
    return Table("Title", "Caption.", header, rows, **fields)


@pytest.mark.parametrize("width", [30, 60, 100, 400])
def test_every_column_stands_in_one_block_that_fits(width):
    text = to_summary(table(), (), "FILE", width)
    lines = text.splitlines()
    for n in range(6):
        assert sum(f"column {n}" in line for line in lines) == 1
        assert sum(f"{n}.5 [{n}, {n + 1}]" in line for line in lines) == 1
    assert max(map(len, lines)) <= width
    heads = [line for line in lines if line.startswith("row")]
    assert len(heads) == sum(line.startswith("INPO") for line in lines)
    assert len(heads) == (1 if width > 100 else len(heads))


def test_a_column_wider_than_the_terminal_stays_whole():
    wide = Table("T", "", ("row", "x"), (TableRow("a", (Cell("9" * 50),)),), ())
    assert "9" * 50 in to_summary(wide, (), "FILE", 20)


def test_what_is_left_out_is_counted_and_said_to_be_elsewhere():
    text = to_summary(table(), (), "x.md", 200)
    assert "theirs" not in text and "Variants" not in text and "- One world." in text
    assert text.endswith(
        "Further notes (1) and rows of the paper that were not run (1): in x.md.\n"
    )


def test_a_table_without_a_reach_prints_all_its_notes():
    text = to_summary(table(reach=()), (), "FILE", 200)
    assert "- One world." in text and "- Variants." in text and "Further notes" not in text


def test_the_verdict_has_differences_in_full_and_the_undecided_together():
    answers = [
        Answer("different", "A is better than B by 2.", "A", "B", "p < 0.001"),
        Answer("undecided", "C and B cannot be told apart.", "C", "B", "p = 0.4"),
        Answer("undecided", "D and B cannot be told apart.", "D", "B", "p = 1"),
        Answer("refused", "E is not compared with B: no runs."),
    ]
    assert list(verdict(answers)) == [
        "A is better than B by 2.",
        "Not told apart from B: C (p = 0.4), D (p = 1).",
        "E is not compared with B: no runs.",
    ]
    lines = to_summary(table(), answers, "FILE", 200).splitlines()
    assert lines.index("- A is better than B by 2.") < lines.index("- One world.")


def test_a_verdict_on_many_rows_says_how_many_more_there_are():
    many = [Answer("different", f"{n}.", str(n), "B", "") for n in range(SENTENCES + 3)]
    told = list(verdict(many))
    assert len(told) == SENTENCES + 1 and told[-1] == "and 3 more differences"
    undecided = [Answer("undecided", "", str(n), "B", "p = 1") for n in range(SENTENCES + 2)]
    (line,) = verdict(undecided)
    assert line.endswith("and 2 more.") and f"{SENTENCES - 1} (p = 1)" in line


def test_a_path_is_never_broken():
    path = "/a" * 80 + "/question.jsonl"
    text = to_summary(table(reach=(), notes=(f"{path} is not there.",)), (), "FILE", 40)
    assert path in text
