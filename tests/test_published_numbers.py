"""The published numbers: well formed, complete, without typing errors where a row has a mean."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

import pytest
from conftest import CONF

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.reporting.published_numbers import (
    PublishedNumber,
    published_folder,
    published_numbers,
    read_published,
)

FILES = sorted((CONF.parent / "benchmarks" / "published").glob("*.csv"))
ALL = [number for path in FILES for number in read_published(path)]
INPO, SPPO, DNO, WORKFLOW, MNPO = (
    "2407.00617",
    "2405.00675",
    "2404.03715",
    "2405.07863",
    "2509.23102",
)
COUNTS = {  # how many numbers the collection holds: a lost or doubled line changes one
    INPO: {"1": 51, "2": 28, "3": 12, "4": 12, "5": 28, "abstract": 2},
    SPPO: {
        "1": 66,
        "2": 30,
        "3": 105,
        "Figure 2": 29,
        "Figure 3": 121,
        "Figure 4": 18,
        "README": 8,
        "text": 2,
    },
    DNO: {"1": 45, "2": 54, "3": 42, "4": 54, "text": 1, "margin-filter ablation": 4},
    WORKFLOW: {"1": 16, "2": 56, "3": 24, "4": 27, "6": 9, "text": 3},
    MNPO: {"2": 77, "3": 72, "4": 45, "5": 4, "6": 3, "7": 12, "8": 6},
    "2410.23223": {"win rates, Llama-3-8B-Instruct": 22, "benchmarks, Llama-3-8B-Instruct": 5},
    "2405.14734": {"README": 147, "README, Gemma-2-9b-it": 21},
    "2404.16767": {"README": 30},
    "2312.00886": {"1": 32, "Appendix 2": 5},
    "2403.08635": {"2": 2},
    "2503.08942": {"win rates": 90, "win rate against the reference per epoch": 50},
    "2503.00030": {"LC": 6},
    "2502.16852": {"abstract": 2},
}


def value(paper: str, table: str, row: str, column: str) -> PublishedNumber:
    (found,) = [
        x for x in published_numbers(paper) if (x.table, x.row, x.column) == (table, row, column)
    ]
    return found


def rows(paper: str, table: str) -> dict[str, dict[str, PublishedNumber]]:
    found: dict[str, dict[str, PublishedNumber]] = {}
    for x in published_numbers(paper):
        if x.table == table:
            found.setdefault(x.row, {})[x.column] = x
    return found


def test_every_file_is_of_one_paper_and_no_place_is_given_twice() -> None:
    assert len(FILES) == 15 and len(ALL) > 1500
    assert all(len({x.paper for x in read_published(path)}) == 1 for path in FILES)
    places = Counter((x.paper, x.table, x.row, x.column) for x in ALL)
    assert max(places.values()) == 1
    assert {text for x in ALL for text in vars(x).values() if text != text.strip()} == set()


@pytest.mark.parametrize("paper", COUNTS)
def test_every_number_of_a_table_is_there(paper: str) -> None:
    counted = Counter(x.table for x in published_numbers(paper))
    assert {table: counted[table] for table in COUNTS[paper]} == COUNTS[paper]


@pytest.mark.parametrize(
    ("paper", "table", "columns", "unlike"),
    [
        (INPO, "2", 6, {}),
        (INPO, "5", 6, {}),
        (SPPO, "3", 6, {}),
        (DNO, "3", 6, {"Orca epoch 1": "0.6505"}),
        (MNPO, "3", 7, {"SimPO": "69.89", "SPPO": "70.48"}),
        (MNPO, "4", 4, {}),
    ],
)
def test_averages_are_those_of_their_rows(
    paper: str, table: str, columns: int, unlike: dict[str, str]
) -> None:
    """A printed mean within half a digit of the row's, but where a note says what the row gives."""
    for label, row in rows(paper, table).items():
        average = row.pop("Average")
        assert len(row) == columns
        mean = sum(x.number for x in row.values()) / columns
        if label in unlike:
            assert unlike[label] in average.note and "derived by us" in average.note
            assert abs(mean - float(unlike[label])) < 0.006
            assert abs(mean - average.number) > 2 * average.half_digit
        else:
            # The entries are rounded as well: each by up to half of its own digit.
            rounding = average.half_digit + sum(x.half_digit for x in row.values()) / columns
            assert abs(mean - average.number) <= rounding + 1e-9, (label, mean)


@pytest.mark.parametrize(("paper", "table"), [(SPPO, "Figure 2"), (DNO, "1"), (DNO, "4")], ids=str)
def test_turns_average_to_mt_bench(paper: str, table: str) -> None:
    checked = 0
    for row in rows(paper, table).values():
        turns = [row[name].number for name in ("MT 1st", "MT 2nd") if name in row]
        if len(turns) == 2:
            assert abs(sum(turns) / 2 - row["MT average"].number) <= 0.0101
            checked += 1
    assert checked >= 6


def test_comal_averages_need_the_column_that_is_not_printed() -> None:
    for label, row in rows("2410.23223", "win rates, Llama-3-8B-Instruct").items():
        average = row.pop("Average")
        against = {"Iter-IPO (best)": 60.25, "INPO (best)": 64.22}
        beside = [50.0] if label.startswith("COMAL") else [50.0, 100 - against[label]]
        mean = (sum(x.number for x in row.values()) + sum(beside)) / (len(row) + len(beside))
        assert abs(mean - average.number) <= 0.0051 and "complement" in average.note


def test_pairwise_win_rates_of_sppo_are_complementary() -> None:
    matrix = rows(SPPO, "Figure 3")
    assert {len(row) for row in matrix.values()} == {11} and len(matrix) == 11
    for one, row in matrix.items():
        for other, x in row.items():
            assert x.number + matrix[other][one].number == pytest.approx(1, abs=0.0011)


def test_the_reference_column_of_egpo_is_an_epoch_late() -> None:
    """What the notes say of all ten entries, which ties two of its tables together."""
    names = {"OIPO1": "OIPO1", "OIPO2": "OIPO2", "NMD": "Nash-MD", "NMDPG": "Nash-MD-PG"}
    epochs = rows("2503.08942", "win rate against the reference per epoch")
    for label, row in rows("2503.08942", "win rates").items():
        name, epoch = label.split("-")
        before = epochs[names.get(name, name)][f"epoch {int(epoch) - 1}"]
        assert row["ref"].value == before.value and "one epoch before" in row["ref"].note


def test_rows_that_two_tables_print_agree() -> None:
    for oracle in ("RM", "PM"):
        for column in ("LC", "AH", "MT"):
            with_kl = value(INPO, "3", f"INPO with KL ({oracle})", column)
            assert with_kl.value == value(INPO, "1", f"INPO ({oracle})", column).value
    for column in ("LC", "WR", "Len"):
        for iteration in ("It1", "It2", "It3"):
            again = value(SPPO, "Figure 4", f"K = 5, {iteration}", column)
            assert again.value == value(SPPO, "1", f"Mistral-7B-SPPO {iteration}", column).value


@pytest.mark.parametrize(
    ("place", "printed", "unit", "trust"),
    [
        ((INPO, "1", "INPO (PM)", "LC"), "42.6", "%", "read in the paper"),
        ((INPO, "1", "SPPO (PM)", "AH"), "29.2", "%", "read in the paper"),
        ((INPO, "abstract", "INPO", "LC"), "41.5", "%", "second-hand"),
        ((SPPO, "1", "Mistral-7B-IPO It1", "LC"), "23.78", "%", "read in the paper"),
        ((SPPO, "README", "Gemma-2-9B-SPPO It3", "WR"), "47.74", "%", "read in its released code"),
        ((DNO, "2", "DNO, iteration 2", "New pairs, S over T"), "32.4", "thousands", None),
        ((WORKFLOW, "2", "Iterative DPO (theirs)", "AH"), "29.1", "%", None),
        (("2312.00886", "1", "MD1", "RLHF"), "0.598", None, "second-hand"),
        (("2405.14734", "README", "Mistral-7B-Base, SimPO", "AH"), "16.6", "%", None),
    ],
)
def test_single_values(
    place: tuple[str, str, str, str], printed: str, unit: str | None, trust: str | None
) -> None:
    found = value(*place)
    assert found.value == printed
    assert unit in (None, found.unit) and trust in (None, found.trust)


def test_inconsistencies_are_kept_with_their_notes() -> None:
    assert "18.18" in value(DNO, "1", "DNO-Lookahead epoch 1", "LC").note
    assert value(DNO, "text", "DNO-Lookahead epoch 1", "LC").value == "18.18"
    assert "62.2 in Table 4" in value(WORKFLOW, "3", "Iterative DPO", "TruthfulQA").note
    assert "25.45" in value(SPPO, "1", "Mistral-7B-IPO It1", "LC").note
    spread = value(MNPO, "7", "INPO", "GPT-4.1")
    assert spread.uncertainty == "± 0.14 (standard deviation over 3 runs)"
    assert "new training seed is not said" in spread.note


def test_the_files_ship_with_the_wheel() -> None:
    project = tomllib.loads((CONF.parent / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included["benchmarks/published"] == "nlhf_repro/published"
    assert published_folder().name == "published"


def test_an_unknown_paper_is_refused() -> None:
    with pytest.raises(ImpossibleSettingError, match=r"arXiv 2407.617: choose among .*2407.00617"):
        published_numbers("2407.617")


HEADER = "paper,version,table,row,column,value,unit,uncertainty,judge,trust,note\n"
LINE = "1,v1,1,a,LC,42.60,%,,,read in the paper,\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has other columns than paper, version"),
        (HEADER + LINE + LINE, "Line 3 of .* gives a second value of 1, 1, a, LC"),
        (HEADER + LINE.replace("42.60", "n/a"), "Line 2 of .* has the value 'n/a': give a number"),
        (HEADER + LINE.replace("42.60", "nan"), "has the value 'nan'"),
        (HEADER + LINE.replace("in the paper", "on a blog"), "has trust 'read on a blog': take"),
        (HEADER + LINE.replace(",a,", ",,"), "has no row: give one"),
        (HEADER + LINE.replace("v1,", ""), "has 10 entries: give 11"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(ImpossibleSettingError, match=sentence):
        read_published(path)


def test_digits_say_how_a_value_was_rounded(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(HEADER + LINE + LINE.replace(",a,", ",b,").replace("42.60", "42"))
    two, none = read_published(path)
    assert (two.half_digit, none.half_digit) == (0.005, 0.0) and two.number == 42.6
