"""What an oracle says of itself beside the scores that it was asked for."""

from __future__ import annotations

from types import SimpleNamespace

from test_llm_judge import oracle_of, said
from text_oracle_peers import prompts_of

from nlhf_repro.interfaces import JudgeReply, JudgeRequest
from nlhf_repro.pipeline.language.oracle_notes import oracle_notes


def reply(request: JudgeRequest) -> JudgeReply:
    """No verdict where `a` is first; of c and d the first place; else a tie."""
    first, second = request.material.answers
    if first == "a":
        return said("no idea")
    return said("Verdict: A" if {first, second} == {"c", "d"} else "Verdict: C")


def test_a_judge_says_what_its_replies_were() -> None:
    """a v b: none, tie; c v d: first, first; e v f: tie, tie. Of 5 verdicts 2 first, 0 second."""
    oracle = oracle_of(reply)
    assert oracle_notes(oracle) == [], "it was asked nothing"
    oracle.preference(prompts_of(3), ["a", "c", "e"], ["b", "d", "f"])
    assert oracle_notes(oracle) == [
        "oracle: peer",
        "1 of 6 replies without a verdict, each counted as 1/2",
        "verdicts for the place shown: 2 first, 3 tie (position bias +0.40); 1 of the pairs had "
        "both replies for the same place",
    ]


def test_what_an_oracle_counts_and_its_bias_are_said() -> None:
    oracle = SimpleNamespace(counts={"timeouts": 2, "refusals": 0}, position_bias=0.25)
    assert oracle_notes(oracle) == [
        "oracle counted: timeouts 2",
        "oracle: position bias +0.250 (0: the order changes nothing; 1: the first place always "
        "wins), both orders averaged",
    ]


def test_an_oracle_with_nothing_to_say_is_silent() -> None:
    assert oracle_notes(SimpleNamespace()) == []
    assert oracle_notes(SimpleNamespace(counts={}, position_bias=float("nan"))) == []
