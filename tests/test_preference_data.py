"""Preference data: the usual forms, one-sentence refusals, and parts whose prompts are disjoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nlhf_repro.interfaces import ImpossibleSettingError, Message, Prompt
from nlhf_repro.preferences.readers import fingerprint, read_preferences
from nlhf_repro.preferences.records import PreferenceRecord, conversation_key, split_by_prompt

USER = {"role": "user", "content": "say a"}
SYSTEM = {"role": "system", "content": "be brief"}


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


FORMS: dict[str, tuple[dict[str, Any], tuple[Message, ...], float]] = {
    "texts": ({"prompt": "say a", "chosen": "a", "rejected": "b"}, (Message("user", "say a"),), 1),
    "conversations": (
        {"chosen": [SYSTEM, USER, said("a")], "rejected": [SYSTEM, USER, said("b")]},
        (Message("system", "be brief"), Message("user", "say a")),
        1,
    ),
    "conversations with their prompt": (
        {"prompt": "say a", "chosen": [USER, said("a")], "rejected": [USER, said("b")], "x": 3},
        (Message("user", "say a"),),
        1,
    ),
    "answers as messages": (
        {"prompt": [USER], "chosen": [said("a")], "rejected": [said("b")]},
        (Message("user", "say a"),),
        1,
    ),
    "probabilities": (
        {"prompt": "say a", "response_a": "a", "response_b": "b", "probability": 0.25},
        (Message("user", "say a"),),
        0.25,
    ),
}


def lines(folder: Path, *rows: Any) -> str:
    path = folder / "data.jsonl"
    path.write_text("".join(f"{x if isinstance(x, str) else json.dumps(x)}\n" for x in rows))
    return str(path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_every_form_is_read(form: str, suffix: str, tmp_path: Path) -> None:
    row, messages, probability = FORMS[form]
    path = lines(tmp_path, row, row)
    if suffix == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = str(tmp_path / "data.parquet")
        pq.write_table(pa.Table.from_pylist([row, row]), path)
    found = read_preferences(path, None, None)
    assert len(found) == 2
    for record in found:
        assert record.prompt.messages == messages
        assert (record.first, record.second, record.probability) == ("a", "b", probability)
    assert found[0].prompt.identifier == found[1].prompt.identifier != ""


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 2 of fit.data = .* is no JSON"),
        ("[]", "line 2 of fit.data = .* is no object"),
        ({"prompt": "x"}, "line 2 .* has the columns prompt: give chosen and rejected"),
        ({"chosen": "a", "rejected": "b"}, "line 2 .* texts as chosen and rejected and no prompt"),
        ({"prompt": 3, "chosen": "a", "rejected": "b"}, "line 2 .* a prompt that is neither"),
        ({"chosen": [USER], "rejected": [USER]}, "line 2 .* do not agree up to one last message"),
        (
            {"chosen": [USER, said("a")], "rejected": [SYSTEM, USER, said("b")]},
            "line 2 .* do not agree up to one last message",
        ),
        ({"chosen": [said("a")], "rejected": [said("b")]}, "line 2 .* a prompt that is not what"),
        (
            {"prompt": "other", "chosen": [USER, said("a")], "rejected": [USER, said("b")]},
            "line 2 .* a prompt that is not what",
        ),
        ({**FORMS["probabilities"][0], "probability": 1.5}, "line 2 .* the probability 1.5"),
        ({**FORMS["probabilities"][0], "probability": True}, "line 2 .* the probability True"),
        ({**FORMS["probabilities"][0], "response_b": None}, "line 2 .* response_b that is no text"),
        (
            {**FORMS["probabilities"][0], "prompt": [USER, said("a")]},
            "line 2 .* ends with the assistant",
        ),
    ],
)
def test_a_malformed_row_is_named(row: Any, message: str, tmp_path: Path) -> None:
    path = lines(tmp_path, FORMS["texts"][0], row)
    with pytest.raises(ImpossibleSettingError, match=message) as caught:
        read_preferences(path, None, None)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImpossibleSettingError, match="cannot be read"):
        read_preferences(str(tmp_path / "none.jsonl"), None, None)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"no parquet")
    with pytest.raises(ImpossibleSettingError, match="cannot be read"):
        read_preferences(str(broken), None, None)
    with pytest.raises(ImpossibleSettingError, match="has no row"):
        read_preferences(lines(tmp_path), None, None)
    with pytest.raises(ImpossibleSettingError, match=r"give fit\.revision"):
        read_preferences("someone/data", None, "train")
    with pytest.raises(ImpossibleSettingError, match=r"fit\.revision = abc is of data sets on"):
        read_preferences(lines(tmp_path, FORMS["texts"][0]), "abc", None)


def test_results_are_kept_under_what_a_file_holds(tmp_path: Path) -> None:
    path = lines(tmp_path, FORMS["texts"][0])
    first = fingerprint(path, None, None)
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(Path(path).read_bytes())
    assert fingerprint(str(copy), None, None) == first
    copy.write_text(copy.read_text() + "\n")
    assert fingerprint(str(copy), None, None) != first
    pinned = fingerprint("someone/data", "abc", "train")
    assert pinned == {"data_set": "someone/data", "revision": "abc", "split": "train"}


def records(prompts: int, each: int) -> list[PreferenceRecord]:
    return [
        PreferenceRecord(
            Prompt(f"{number}-{copy}", (Message("user", f"say {number}"),), {}), "a", "b", 1.0
        )
        for copy in range(each)
        for number in range(prompts)
    ]


def test_no_prompt_is_in_two_parts() -> None:
    """Whatever the prompts are called; parts have the sizes asked for, and lose nothing."""
    given = records(50, 3)
    parts = split_by_prompt(given, [0.2, 0.1], "test")
    keys = [{conversation_key(x.prompt) for x in part} for part in parts]
    assert [len(each) for each in keys] == [10, 5, 35]
    assert not (keys[0] & keys[1] or keys[0] & keys[2] or keys[1] & keys[2])
    assert sorted(map(id, given)) == sorted(id(x) for part in parts for x in part)


def test_neither_order_nor_other_data_move_a_prompt() -> None:
    given = records(50, 2)
    held_out = {conversation_key(x.prompt) for x in split_by_prompt(given, [0.2], "test")[0]}
    turned = split_by_prompt(given[::-1], [0.2], "test")[0]
    assert {conversation_key(x.prompt) for x in turned} == held_out
    other = split_by_prompt(given, [0.2], "another")[0]
    assert {conversation_key(x.prompt) for x in other} != held_out


@pytest.mark.parametrize("shares", [[0.01], [0.6, 0.4], [1.0], [0.0]])
def test_parts_without_a_prompt_are_refused(shares: list[float]) -> None:
    with pytest.raises(ImpossibleSettingError, match="give shares that leave every part one"):
        split_by_prompt(records(5, 2), shares, "test")


def test_a_swapped_record_says_the_same() -> None:
    record = PreferenceRecord(Prompt("x", (Message("user", "say"),), {}), "a", "b", 0.25)
    assert (record.swapped().first, record.swapped().probability) == ("b", 0.75)
    assert record.swapped().swapped() == record
