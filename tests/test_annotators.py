"""Annotators of summaries: utilities by hand, the majority's cycle, the best response there is."""

from __future__ import annotations

import sys
from itertools import product
from typing import Any

import numpy as np
import pytest
from summary_texts import (
    CASUAL,
    FORMAL,
    STYLES,
    VIVID,
    annotators,
    defaults,
    matrix,
    post,
    posts,
    strange_texts,
)

from nlhf_repro.games import cycle_share, majority_cycles
from nlhf_repro.interfaces import FeatureOracle, ImpossibleSettingError, TextOracleFamily
from nlhf_repro.oracles import readings as module
from nlhf_repro.oracles.annotators import AnnotatorGroups
from nlhf_repro.seeds import generator_for
from nlhf_repro.summaries import FEATURES, TOPICS


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


# --- by hand


def test_features_by_hand() -> None:
    text = "in summary neighbor borrowed the guitar cuz jealousy jealousy"
    read = annotators().features([post()], [text])
    names = dict(zip(FEATURES, read[0].tolist(), strict=True))
    assert names == {
        "coverage": 3,
        "inventions": 1,
        "repetitions": 1,
        "length": 9,
        "formal": 0.5,
        "casual": 0.5,
        "vivid": 0,
        "purity": 0.5,
        "opener": 1,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("the the zebra", {"length": 3}),  # what is no fact and no marker is no repetition
        ("summary summary", {"length": 2, "formal": 1, "purity": 1, "repetitions": 1}),
        ("basically so", {"length": 2, "casual": 1, "purity": 1}),  # an opener in another order
        ("the so yeah", {"length": 3, "casual": 1, "purity": 1}),  # and in another place
        ("ladder violin ladder", {"length": 3, "coverage": 1, "inventions": 1, "repetitions": 1}),
        ("so " * 40 + "ladder", {"length": 16}),  # words beyond the 16th are not read
        (" so \n yeah ", {"length": 2, "casual": 1, "purity": 1, "opener": 1}),
    ],
)
def test_features_of_what_is_no_summary(text: str, expected: dict[str, float]) -> None:
    (read,) = annotators().features([post()], [text])
    assert read.tolist() == [expected.get(name, 0) for name in FEATURES]


@pytest.mark.parametrize("group", [0, 1, 2])
def test_utility_of_a_group_by_hand(group: int) -> None:
    """1.5 [alpha 3 - beta 9 - gamma (1 + 1/2) + 1.5 / 2 + 1] + 2.5 (formal + casual) / 2."""
    alpha, beta, gamma = ((0.8, 0.06, 1.0), (0.6, 0.14, 0.8), (0.7, 0.09, 1.6))[group]
    styles = ((1, 0), (-1, 1), (0, -1))[group]
    weights = [float(each == group) for each in range(3)]
    oracle = annotators(group_weights=weights, world_spread=0.0)
    text = "in summary neighbor borrowed the guitar cuz jealousy jealousy"
    (utility,) = oracle.score([post()], [text])
    quality = alpha * 3 - beta * 9 - gamma * 1.5 + 1.5 / 2 + 1
    assert utility == pytest.approx(1.5 * quality + 2.5 * sum(styles) / 2, abs=1e-12)
    (empty,) = oracle.score([post()], [""])
    assert empty == 0
    (preference,) = oracle.preference([post()], [text], [""])
    assert preference == pytest.approx(sigmoid(utility), abs=1e-14)


def test_noise_divides_and_length_bias_adds() -> None:
    weights = {"group_weights": [0, 0, 1], "world_spread": 0.0}
    plain = annotators(**weights).score([post()], [CASUAL])
    halved = annotators(noise=2.0, **weights).score([post()], [CASUAL])
    longer = annotators(length_bias=0.2, **weights).score([post()], [CASUAL])
    np.testing.assert_allclose(halved, plain / 2, rtol=1e-14)
    np.testing.assert_allclose(longer, plain + 1.5 * 0.2 * 8, rtol=1e-14)


# --- the cycle


def test_the_majority_cycles_at_the_defaults() -> None:
    """sigmoid(2.5) of who likes the first a step more, sigmoid(-5) of who likes it two less."""
    edges = matrix(annotators(world_spread=0.0), post(), STYLES)[[0, 1, 2], [1, 2, 0]]
    sys.stdout.write(f"P(F>C), P(C>V), P(V>F) = {edges.round(4)}\n")
    near, far = sigmoid(2.5), sigmoid(-5)
    expected = [0.66 * near + 0.34 * far, 0.70 * near + 0.30 * far, 0.64 * near + 0.36 * far]
    np.testing.assert_allclose(edges, expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(edges, [0.612, 0.649, 0.594], atol=5e-4)


def test_the_majority_cycles_in_every_world() -> None:
    edges = np.array(
        [matrix(annotators(world), post(), STYLES)[[0, 1, 2], [1, 2, 0]] for world in range(40)]
    )
    assert edges.min() > 0.53, edges.min()
    assert edges.std(axis=0).min() > 0.02  # and no two worlds are alike


def test_without_a_cycle_styles_are_all_alike() -> None:
    oracle = annotators(cycle_strength=0.0)
    np.testing.assert_array_equal(matrix(oracle, post(), STYLES), 0.5)
    worse = " ".join(FORMAL.split()[:-1])  # one fact less
    assert oracle.preference([post()], [VIVID], [worse])[0] > 0.6


def test_the_cycle_turns_round_for_half_of_the_topics() -> None:
    shares = []
    for world in range(6):
        oracle = annotators(world, orientation="by_topic", world_spread=0.0)
        games = [matrix(oracle, post(topic, topic=topic), STYLES) for topic in TOPICS]
        forward = [game[0, 1] > 0.5 for game in games]
        assert sum(forward) == 2
        assert all(cycle_share(game) == 1 for game in games)
        shares.append(tuple(forward))
    assert len(set(shares)) > 1  # which topics is the world's choice
    fixed = [matrix(annotators(), post(topic, topic=topic), STYLES) for topic in TOPICS]
    assert all((game == fixed[0]).all() for game in fixed)


def test_demonstrations_cycle_now_and_then() -> None:
    shown = posts(training=100, demonstration_count=800).demonstrations(0)
    oracle = annotators()
    games = np.stack(
        [
            matrix(oracle, shown[i].prompt, tuple(each.response for each in shown[i::100]))
            for i in range(100)
        ]
    )
    cycles = majority_cycles(games)
    assert 0.005 < cycles.triples < 0.06
    assert 0.05 < cycles.games < 0.4


# --- what holds for any text


def test_answers_are_symmetric_to_the_bit() -> None:
    oracle, stream = annotators(), generator_for("test", "symmetry")
    texts = list(strange_texts(post(), 1000, stream))
    there = oracle.preference([post()] * 1000, texts, texts[::-1])
    back = oracle.preference([post()] * 1000, texts[::-1], texts)
    assert np.abs(there + back - 1).max() <= 1e-15
    assert there.std() > 0.2
    np.testing.assert_array_equal(oracle.preference([post()] * 1000, texts, texts), 0.5)


# --- one oracle, many worlds and calls


def test_the_world_decides() -> None:
    oracles = [annotators(world) for world in (7, 7, 8)]
    answers = [each.preference([post()], [FORMAL], ["ladder"]).tobytes() for each in oracles]
    assert answers[0] == answers[1] != answers[2]


def test_it_is_what_a_run_expects() -> None:
    family = AnnotatorGroups(**defaults("oracle/annotators"))
    assert isinstance(family, TextOracleFamily)
    assert isinstance(family.oracle(0), FeatureOracle)


def test_what_is_forgotten_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = list(strange_texts(post(), 90, generator_for("test", "memory")))
    whole = annotators().preference([post()] * 90, texts, texts[::-1])
    monkeypatch.setattr(module, "_KEPT_READINGS", 20)
    oracle = annotators()
    for start in range(0, 90, 10):
        some = slice(start, start + 10)
        answers = oracle.preference([post()] * 10, texts[some], texts[::-1][some])
        np.testing.assert_allclose(answers, whole[some], rtol=0, atol=1e-15)
        assert len(oracle.readings) <= 41


def test_no_reward_is_made_up_for_a_mixture() -> None:
    with pytest.raises(ImpossibleSettingError, match=r"3 groups .* have no common reward"):
        annotators().score([post()], [FORMAL])


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ({"topic": None}, r"prompt by hand has no details\['topic'\]"),
        ({"facts": {"who": "neighbor"}}, r"prompt by hand has no details\['facts'\]"),
        ({"facts": None}, r"for each of who, act, object, place, reason, outcome"),
        ({"facts": dict.fromkeys(("who", "act", "object"), "zebra")}, "take prompts=posts"),
    ],
)
def test_a_prompt_that_is_no_post_is_refused(details: dict[str, Any], message: str) -> None:
    with pytest.raises(ImpossibleSettingError, match=message):
        annotators().preference([post(**details)], [""], [FORMAL])


def test_two_posts_of_one_name_are_refused() -> None:
    oracle = annotators()
    oracle.preference([post()], [FORMAL], [""])
    oracle.preference([post()], [FORMAL], [""])  # the same post again
    other = {**post().details["facts"], "who": "cousin"}
    with pytest.raises(ValueError, match="two posts have the identifier by hand"):
        oracle.preference([post(facts=other)], [FORMAL], [""])
    with pytest.raises(ValueError, match="zip"):
        oracle.preference([post()], [FORMAL], ["", ""])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *product(["cycle_strength", "quality_weight"], [-0.1, np.inf, np.nan]),
        *product(["noise"], [0.0, -1.0, np.inf, np.nan]),
        *product(["length_bias"], [np.inf, np.nan]),
        *product(["world_spread"], [-0.1, 4.0]),
        *product(["words_read"], [0, 65]),
        *product(["group_weights"], [[1.0], [0.5, 0.6, 0.0], [-0.1, 0.6, 0.5], [np.nan, 1, 0]]),
        ("orientation", "sideways"),
    ],
)
def test_impossible_fields_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ImpossibleSettingError, match=rf"^oracle\.{field} = ") as caught:
        annotators(**{field: value})
    assert str(caught.value).count(". ") == 0
