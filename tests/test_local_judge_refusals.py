"""What local judges refuse: tastes that cannot be, and questions that they cannot read."""

from __future__ import annotations

from typing import Any

import pytest
from judging import panel, replies, request

from nlhf_repro.interfaces import ImpossibleSettingError, Judge, Message, Prompt
from nlhf_repro.judges.unrelated import UnrelatedTaste
from nlhf_repro.judges.verdicts import Manner

UNRELATED = UnrelatedTaste(10.0, 0.0, 0.0, 0.0)


def test_an_unrelated_taste_that_cannot_be_is_refused() -> None:
    with pytest.raises(ImpossibleSettingError, match=r"judge.sharpness = -1 must be from"):
        UnrelatedTaste(-1, 0.0, 0.0, 0.0)
    with pytest.raises(ImpossibleSettingError, match=r"judge.position_bias = nan"):
        Manner(float("nan"), 0.0, 0.0)


def test_what_the_annotators_cannot_read_is_refused() -> None:
    foreign = Prompt("x", (Message("user", "hello"),), {})
    with pytest.raises(ImpossibleSettingError, match=r"prompt x has no details"):
        replies(panel().judge(0), [request("token", "a", "b", prompt=foreign)])


@pytest.mark.parametrize(
    "asked",
    [
        request("token", "a", "b", choices=("A", "B", "C")),
        request("label", "a", "b", choices=("A", "B", "C", "D")),
        request("label", "a"),
        request("rating", "a", "b"),
    ],
    ids=lambda each: f"{each.material.form}{len(each.material.answers)}",
)
@pytest.mark.parametrize("judge", [panel().judge(0), UNRELATED.judge(0)], ids=lambda x: x.name)
def test_a_question_of_no_known_form_is_refused(judge: Judge, asked: Any) -> None:
    with pytest.raises(ValueError, match=rf"of the form {asked.material.form} has"):
        replies(judge, [asked])
