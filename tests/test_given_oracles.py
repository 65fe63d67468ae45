"""Oracles that a user gives: a Python function, and a file of people's votes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from text_oracle_peers import prompts_of

from nlhf_repro.interfaces import ImpossibleSettingError, cost_of
from nlhf_repro.oracles.callable import CallableOracle
from nlhf_repro.oracles.human_votes import HumanVotes

FUNCTIONS = """
def longer(prompts, first, second):
    assert all(x.messages[-1].role == "user" for x in prompts)
    return [1.0 if len(a) > len(b) else 0.25 for a, b in zip(first, second)]

def scalar(prompts, first, second):
    return 0.5

def outside(prompts, first, second):
    return [0.5, 1.5]

def words(prompts, first, second):
    return ["yes"] * len(prompts)

def length(prompts, responses):
    return [len(x) for x in responses]

number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "users_functions.py"
    path.write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "users_functions", raising=False)
    return path


def given(preference: str, score: str | None = None, symmetric: bool = False) -> CallableOracle:
    scores = None if score is None else f"users_functions.{score}"
    return CallableOracle(f"users_functions.{preference}", scores, symmetric)


def test_a_function_answers_and_scores(module: Path) -> None:
    oracle = given("longer", "length").oracle(0)
    prompts = prompts_of(2)
    assert list(oracle.preference(prompts, ["aa", "a"], ["b", "bb"])) == [1.0, 0.25]
    assert list(oracle.score(prompts, ["aa", "a"])) == [2, 1]
    assert cost_of(oracle).ordered_passes == 1


def test_both_orders_are_averaged_on_request(module: Path) -> None:
    """(1 + 1 - .25) / 2 and its complement, and 1/2 of equal lengths."""
    oracle = given("longer", symmetric=True).oracle(0)
    answers = oracle.preference(prompts_of(3), ["aa", "a", "a"], ["b", "bb", "b"])
    assert list(answers) == [0.875, 0.125, 0.5]
    assert cost_of(oracle).ordered_passes == 2


def test_the_file_of_a_function_is_its_fingerprint(module: Path) -> None:
    before = given("longer", "length").fingerprint()
    assert set(before) == {"preference", "score"}
    module.write_text(FUNCTIONS + "\n# changed\n")
    after = given("longer", "length").fingerprint()
    assert before["preference"] != after["preference"] == after["score"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("scalar", r"scalar returned an array of shape \(\) for 2 items"),
        ("outside", r"outside returned 1\.5 for prompt p1, which is not a probability"),
        ("words", r"words returned no numbers"),
    ],
)
def test_replies_that_are_no_probabilities_are_refused(module, name, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        given(name).oracle(0).preference(prompts_of(2), ["a", "b"], ["c", "d"])


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (None, r"oracle\.preference is null"),
        ("nowhere_at_all.prefer", r"oracle\.preference = nowhere_at_all\.prefer cannot be"),
        ("users_functions.absent", r"oracle\.preference = users_functions\.absent cannot be"),
        ("users_functions.number", r"oracle\.preference = users_functions\.number is no function"),
        ("prefer", r"oracle\.preference = prefer cannot be imported"),
    ],
)
def test_what_is_no_function_is_refused(module: Path, path, sentence: str) -> None:
    with pytest.raises(ImpossibleSettingError, match=f"^{sentence}"):
        CallableOracle(path, None, False).oracle(0)


def test_scores_need_a_function(module: Path) -> None:
    with pytest.raises(ImpossibleSettingError, match=r"^oracle\.score is null"):
        given("longer").oracle(0).score(prompts_of(1), ["a"])


def votes(folder: Path, *rows: object, missing: str = "refuse") -> HumanVotes:
    path = folder / "votes.jsonl"
    path.write_text("".join(f"{x if isinstance(x, str) else json.dumps(x)}\n" for x in rows))
    return HumanVotes(str(path), missing)


def row(first: str, second: str, **given: object) -> dict[str, object]:
    return {"prompt": "p0", "response_a": first, "response_b": second, **given}


def test_a_preference_is_the_share_of_the_votes(tmp_path: Path) -> None:
    """3 to 1, a vote in the other order, and a tie: 3.5 of 6 for x."""
    family = votes(
        tmp_path,
        row("x", "y", votes_a=3, votes_b=1),
        row("y", "x", vote="a"),
        row("x", "y", vote="tie"),
        row("x", "line\u2028separator", vote="b"),
    )
    oracle = family.oracle(0)
    prompts = prompts_of(1) * 4
    first, second = ["x", "y", "z", "x"], ["y", "x", "z", "line\u2028separator"]
    np.testing.assert_allclose(
        oracle.preference(prompts, first, second), [3.5 / 6, 2.5 / 6, 0.5, 0.0], rtol=1e-15
    )
    assert oracle.counts == {"with votes": 3}
    assert cost_of(oracle).ordered_passes == 0


def test_a_pair_without_votes_is_refused_or_called_even(tmp_path: Path) -> None:
    known = row("x", "y", vote="a")
    unvoted = row("x", "z", votes_a=0, votes_b=0)
    with pytest.raises(ValueError, match="Nobody has voted on 'x' against 'z' for prompt p0"):
        votes(tmp_path, known, unvoted).oracle(0).preference(prompts_of(1), ["x"], ["z"])
    oracle = votes(tmp_path, known, missing="half").oracle(0)
    asked = (prompts_of(2), ["x", "x"], ["y", "y"])
    assert list(oracle.preference(*asked)) == [1.0, 0.5], "the second prompt is another one"
    assert oracle.counts == {"with votes": 1, "without votes": 1}


def test_questions_without_votes_are_noted(tmp_path: Path) -> None:
    oracle = votes(tmp_path, row("a", "b", vote="a"), missing="half").oracle(0)
    oracle.preference(prompts_of(1), ["a"], ["b"])
    assert oracle.notes == ()
    oracle.preference(prompts_of(1) * 2, ["a", "c"], ["c", "b"])
    assert oracle.notes == ("oracle: 2 of 3 questions without votes, each counted as 1/2",)


def test_the_file_of_votes_is_its_fingerprint(tmp_path: Path) -> None:
    one = votes(tmp_path, row("x", "y", vote="a")).fingerprint()
    assert one != votes(tmp_path, row("x", "y", vote="b")).fingerprint()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", r"line 1, is no JSON"),
        ("[1]", r"line 1, has not all of prompt, response_a, response_b"),
        (row("x", "x", vote="a"), r"line 1, has votes on a response against itself"),
        (row("x", "y", vote="c"), r"line 1, has the vote 'c': write a, b or tie"),
        (row("x", "y", votes_a=1), r"line 1, has votes_a, votes_b = \[1, None\]"),
        (row("x", "y", votes_a=-1, votes_b=2), r"line 1, has votes_a, votes_b = \[-1, 2\]"),
        (row("x", "y", votes_a=True, votes_b=2), r"line 1, has votes_a"),
        (row("x", "y", votes_a=0, votes_b=0), r"holds no vote"),
        ("", r"holds no vote"),
    ],
)
def test_lines_that_are_no_votes_are_refused(tmp_path: Path, line, sentence: str) -> None:
    with pytest.raises(ImpossibleSettingError, match=sentence):
        votes(tmp_path, line).oracle(0)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    family = HumanVotes(str(tmp_path / "none.jsonl"), "half")
    for use in (family.fingerprint, lambda: family.oracle(0)):
        with pytest.raises(ImpossibleSettingError, match=r"^oracle\.path = .* cannot be read"):
            use()


def test_votes_have_no_scores(tmp_path: Path) -> None:
    with pytest.raises(ImpossibleSettingError, match="no scores"):
        votes(tmp_path, row("x", "y", vote="a")).oracle(0).score(prompts_of(1), ["x"])
