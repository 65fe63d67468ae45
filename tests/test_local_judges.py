"""Judges that weigh answers: by hand where a formula gives the reply, and as benchmarks read it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from judging import FAMILY, PLAIN, panel, probability, replies, request
from summary_texts import CASUAL, FORMAL, STYLES, VIVID, annotators, post, posts

from nlhf_repro.benchmarks.arena_hard.labels import VERDICTS, parse_label
from nlhf_repro.benchmarks.mt_bench.ratings import parse_rating
from nlhf_repro.config import compose_config, resolved_config
from nlhf_repro.conformance.judge_requests import CHOICES, HOSTILE
from nlhf_repro.interfaces import ImpossibleSettingError, Judge, JudgeFamily
from nlhf_repro.judges.agreement import agreement
from nlhf_repro.judges.annotator_panel import beginnings
from nlhf_repro.judges.unrelated import LETTERS, UnrelatedTaste, letter_shares
from nlhf_repro.judges.verdicts import CUTS, verdict
from nlhf_repro.pipeline.parts import build
from nlhf_repro.seeds import generator_for

PADDED = f"{FORMAL} the the the the"
MIX = [*STYLES, PADDED, "so basically neighbor", "", *HOSTILE[:6]]
UNRELATED = UnrelatedTaste(10.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("labels", "weights"),
    [
        (2, {0.01: 0, -0.01: 1}),
        (3, {0.3: 0, 0.2: 1, -0.2: 1, -0.3: 2}),
        (5, {1.6: 0, 1.4: 1, 0.3: 1, 0.2: 2, -0.2: 2, -0.3: 3, -1.4: 3, -1.6: 4}),
    ],
)
def test_a_weight_has_its_label(labels: int, weights: dict[float, int]) -> None:
    assert len(CUTS[labels]) == labels - 1
    choices = [f"[[{number}]]" for number in range(labels)]
    asked = request("label", "a", "b", choices=choices)
    for weight, number in weights.items():
        assert verdict(asked, weight, 0.99).text.endswith(f"verdict is: [[{number}]]")


def test_a_first_token_has_the_members_probability() -> None:
    """P itself without bias and noise; the bias is added to its log-odds, whatever is first."""
    asked = [request("token", x, y) for x in STYLES for y in (FORMAL, PADDED)]
    first, second = zip(*(each.material.answers for each in asked), strict=True)
    p = panel().member(3, 0).preference([post()] * len(asked), first, second)
    for bias in (0.0, 0.7):
        given = replies(panel(**{**PLAIN, "position_bias": bias}).judge(3), asked)
        odds = p / (1 - p) * np.exp(bias)
        for reply, chance in zip(given, odds / (1 + odds), strict=True):
            assert abs(probability(reply, "m") - chance) < 1e-12
            assert abs(probability(reply, "M") - (1 - chance)) < 1e-12
            assert reply.text == next(iter(reply.first_token))
            assert (reply.text == "m") == (chance >= 0.5)


def test_at_noise_1_two_labels_are_drawn_with_the_members_probability() -> None:
    """An annotator of the population at a time, to five standard errors."""
    judge = panel(position_bias=0.0, verdict_noise=1.0).judge(0)
    number = 4000
    asked = [
        request("label", FORMAL, VIVID, choices=("A", "B"), name=str(n)) for n in range(number)
    ]
    share = sum(reply.text.endswith("A") for reply in replies(judge, asked)) / number
    (p,) = judge.preference(asked[:1])
    assert abs(share - p) < 5 * np.sqrt(p * (1 - p) / number)


def test_a_member_has_the_populations_tastes_and_other_shares() -> None:
    stream = generator_for("judge", "annotator_panel", 2, 4)
    weights = np.array([0.36, 0.34, 0.30]) * np.exp(0.5 * stream.standard_normal(3))
    own = annotators(
        world=2, group_weights=(weights / weights.sum()).tolist(), length_bias=0.15, noise=1.0
    )
    pairs = [(x, y) for x in MIX for y in MIX]
    first, second = zip(*pairs, strict=True)
    prompts = [post()] * len(pairs)
    answers = panel().member(2, 4).preference(prompts, first, second)
    assert np.array_equal(answers, own.preference(prompts, first, second))
    same = panel(taste_spread=0.0, length_bias=0.0, noise=1.0).member(2, 4)
    assert np.array_equal(
        same.preference(prompts, first, second),
        annotators(world=2).preference(prompts, first, second),
    )


def test_five_draws_are_five_tastes_that_agree_with_the_oracle_in_part() -> None:
    """The share that tables print, on demonstrations: no judge is the oracle, and none is blind."""
    shown = posts(training=100, demonstration_count=300).demonstrations(0)
    prompts = [each.prompt for each in shown[:200]]
    first, second = ([x.response for x in part] for part in (shown[:200], shown[100:]))
    true = annotators().preference(prompts, first, second)
    found = [
        agreement(panel().member(0, draw).preference(prompts, first, second), true)
        for draw in range(5)
    ]
    assert len(set(found)) == 5 and min(found) > 0.7 and max(found) < 0.97
    asked = [
        request("token", x, y, prompt=prompt)
        for prompt, x, y in zip(prompts, first, second, strict=True)
    ]
    assert abs(agreement(UNRELATED.judge(0).preference(asked), true) - 0.5) < 0.15


def test_agreement_by_hand() -> None:
    assert agreement([0.9, 0.2, 0.6], [0.8, 0.4, 0.1]) == pytest.approx(2 / 3)
    assert agreement([0.5, 1.0], [0.9, 0.5]) == 0.5
    assert np.isnan(agreement([], []))
    with pytest.raises(ValueError, match="give one a pair"):
        agreement([0.5], [0.5, 0.5])
    with pytest.raises(ValueError, match="no number from 0 to 1"):
        agreement([float("nan")], [0.5])


def test_padding_pays_with_the_judge_and_costs_with_the_oracle() -> None:
    judge = panel(taste_spread=0.0).judge(0)
    (judged,) = judge.preference([request("token", PADDED, FORMAL)])
    (true,) = annotators().preference([post()], [PADDED], [FORMAL])
    assert true < 0.45 < 0.55 < judged


def test_a_rating_is_the_share_of_a_ladder_that_is_beaten() -> None:
    assert beginnings("a b") == ("", "a", "a b") and beginnings("") == ("",)
    assert len(beginnings("word " * 100)) == 17
    judge = panel(**PLAIN).judge(0)
    steps = beginnings(CASUAL)
    member = panel().member(0, 0)
    ladder = member.preference([post()] * len(steps), [FORMAL] * len(steps), steps).mean()
    asked = request("rating", FORMAL, reference=CASUAL)
    assert judge.preference([asked])[0] == ladder
    (reply,) = replies(judge, [asked])
    assert reply.text.endswith(f"Rating: [[{int(ladder * 10) + 1}]]")
    worse = [request("rating", text) for text in ("", "so basically neighbor borrowed", CASUAL)]
    shares = judge.preference(worse)
    assert 0 < shares[0] < 0.15 < shares[1] < 0.6 < shares[2] < 1  # the ladder of no reference


@pytest.mark.parametrize("judge", [panel().judge(0), UNRELATED.judge(0)], ids=lambda x: x.name)
def test_benchmarks_read_what_is_said(judge: Judge) -> None:
    pairs = [request("label", x, y) for x in MIX for y in MIX]
    labels = [parse_label(each.text, "v0.1") for each in replies(judge, pairs)]
    assert {*labels} <= set(VERDICTS["v0.1"]) and len({*labels}) >= 4
    assert labels == [parse_label(each.text, "v2.0") for each in replies(judge, pairs)]
    singles = [request("rating", x) for x in MIX]
    ratings = [parse_rating(each.text) for each in replies(judge, singles)]
    assert all(x is not None and 1 <= x <= 10 for x in ratings) and len({*ratings}) >= 3


@pytest.mark.parametrize("family", ["annotator_panel", "unrelated"])
def test_garbage_is_a_share_of_the_replies_and_holds_no_verdict(family: str) -> None:
    made = {
        "annotator_panel": lambda rate: panel(garbage_rate=rate),
        "unrelated": lambda rate: UnrelatedTaste(10.0, 0.0, 0.0, rate),
    }[family]
    asked = [
        request(form, *(FORMAL, VIVID)[: 1 if form == "rating" else 2], name=f"{form} {n}")
        for n in range(300)
        for form in CHOICES
    ]
    for rate in (0.1, 1.0):
        given = replies(made(rate).judge(0), asked)
        lost = [
            not any(choice in each.text for choice in asked[n].material.choices)
            for n, each in enumerate(given)
        ]
        assert abs(np.mean(lost) - rate) <= 5 * np.sqrt(rate * (1 - rate) / len(asked))
    assert not any({"m", "M"} & set(each.first_token) for each in given)
    assert all(np.exp(list(x.first_token.values())).sum() < 1 for x in given)


def test_an_unrelated_taste_is_for_letters() -> None:
    assert letter_shares("Ab-b \ud800é")[:3].tolist() == [1 / 3, 2 / 3, 0]
    assert not letter_shares("123 ").any()
    worth = generator_for("judge", "unrelated", 1, 2).standard_normal(len(LETTERS))
    judge = UNRELATED.judge(1)
    gap = (worth[0] + 2 * worth[1]) / 3 - worth[2]
    asked = [request("token", "ab b", "C", draw=2), request("rating", "C", draw=2)]
    expected = [1 / (1 + np.exp(-10 * gap)), 1 / (1 + np.exp(-10 * worth[2]))]
    assert np.allclose(judge.preference(asked), expected, rtol=0, atol=1e-12)


def test_over_draws_an_unrelated_taste_has_no_favourite() -> None:
    """To five standard errors, though every draw has one."""
    asked = [request("token", FORMAL, VIVID, draw=draw) for draw in range(1000)]
    shares = UNRELATED.judge(0).preference(asked)
    assert shares.std() > 0.15
    assert abs(shares.mean() - 0.5) < 5 * shares.std() / np.sqrt(len(asked))


def test_five_thousand_replies_take_about_a_second() -> None:
    """Processor time, of any form."""
    asked = [
        request(form, *(f"{x} {n}", y)[: 1 if form == "rating" else 2], draw=n % 5)
        for n in range(139)
        for x in STYLES
        for y in (*STYLES, PADDED)
        for form in CHOICES
    ]
    assert len(asked) > 5000
    for judge in (panel().judge(0), UNRELATED.judge(0)):
        before = time.process_time()
        replies(judge, asked)
        assert time.process_time() - before < 3.0


def test_a_verdict_belongs_to_the_question_and_to_the_draw() -> None:
    """What is asked further about the same answers is another question, with another draw."""
    judge = panel(verdict_noise=3.0).judge(0)
    asked = [
        request("label", FORMAL, VIVID, draw=draw, name=str(n))
        for n in range(20)
        for draw in (0, 1)
    ]
    said = [each.text for each in replies(judge, asked)]
    assert len(set(said)) > 5
    assert said == [each.text for each in replies(panel(verdict_noise=3.0).judge(0), asked)]
    assert said != [each.text for each in replies(panel(verdict_noise=3.0).judge(1), asked)]


def test_the_panel_is_of_the_annotators_that_the_run_has() -> None:
    chosen = ["experiment=mini/default", "judge=annotator_panel", "oracle.cycle_strength=4"]
    node = resolved_config(compose_config(chosen))["judge"]
    family = build(node)
    assert isinstance(family, JudgeFamily) and isinstance(family.judge(0), Judge)
    assert family.oracle.cycle_strength == 4
    assert family.judge(0).identity["oracle"]["cycle_strength"] == 4


@pytest.mark.parametrize("oracle", ["drifting_annotators", "reward_model"])
def test_a_panel_with_annotators_of_its_own_stands_beside_any_oracle(oracle: str) -> None:
    def node(name: str) -> Any:
        chosen = ["experiment=mini/default", f"oracle={oracle}", f"judge={name}"]
        return resolved_config(compose_config(chosen))["judge"]

    family = build(node("mini_world_panel"))
    assert (family.oracle, family.judge(1).panel) == (FAMILY, family)
    own, others = node("mini_world_panel"), node("annotator_panel")
    assert [{**x, "oracle": None} for x in (own, others)] == [{**others, "oracle": None}] * 2
    with pytest.raises(ImpossibleSettingError, match="take judge=mini_world_panel, whose"):
        build(others)


def test_the_panel_of_the_run_is_no_judge_of_its_own_oracle() -> None:
    chosen = ["experiment=mini/default", "oracle=llm_judge"]
    sentence = r"^oracle\.judge\.oracle would take its value from what it is a part of: set it"
    with pytest.raises(ImpossibleSettingError, match=sentence):
        resolved_config(compose_config([*chosen, "judge@oracle.judge=annotator_panel"]))
    own = resolved_config(compose_config([*chosen, "judge@oracle.judge=mini_world_panel"]))
    assert build(own["oracle"]).judge.oracle == FAMILY


@dataclass(frozen=True)
class Lengths:
    """A family of another kind."""

    noise: float = 1.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"oracle": Lengths()}, "judge.oracle = Lengths has no group_weights"),
        ({"oracle": FAMILY.oracle(0)}, "judge.oracle = AnnotatorOracle has no group_weights"),
        ({"taste_spread": -0.1}, "judge.taste_spread = -0.1"),
        ({"noise": 0.0}, "judge.noise = 0.0 must be from"),
        ({"length_bias": 1e7}, "judge.length_bias = 10000000.0 must be from"),
        ({"position_bias": 21.0}, "judge.position_bias = 21.0"),
        ({"verdict_noise": -1.0}, "judge.verdict_noise = -1.0"),
        ({"garbage_rate": 1.1}, "judge.garbage_rate = 1.1"),
    ],
)
def test_a_panel_that_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ImpossibleSettingError) as caught:
        panel(**changes)
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)
