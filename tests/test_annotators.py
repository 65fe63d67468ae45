"""Annotators of summaries: utilities by hand, the majority's cycle, the best response there is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from summary_texts import HAND_FACTS, annotators, defaults, post, posts, strange_texts

from nlhf_repro.games import cycle_share, majority_cycles, nash_equilibrium
from nlhf_repro.interfaces import FeatureOracle, ImpossibleSettingError, Prompt, TextOracleFamily
from nlhf_repro.oracles import annotators as module
from nlhf_repro.oracles.annotators import AnnotatorGroups, AnnotatorOracle
from nlhf_repro.seeds import generator_for
from nlhf_repro.summaries import FEATURES, TOPICS, every_type, type_features, undominated

FORMAL, CASUAL, VIVID = (
    " ".join([*opener.split(), *HAND_FACTS])
    for opener in ("in summary", "so basically", "just picture")
)
STYLES = (FORMAL, CASUAL, VIVID)
SETTINGS: list[dict[str, Any]] = [
    {},
    {"orientation": "by_topic"},
    {"length_bias": 0.3},  # every word is worth having
    {"length_bias": 0.1},  # to one group words are worth having, to the others not
    {"cycle_strength": 6.0},
    {"quality_weight": 0.2},
    {"cycle_strength": 0.0},
    {"group_weights": [0.0, 0.5, 0.5]},
    {"words_read": 6},
    {"noise": 4.0},
]


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def matrix(oracle: AnnotatorOracle, prompt: Prompt, texts: tuple[str, ...]) -> np.ndarray:
    pairs = list(product(texts, texts))
    first, second = zip(*pairs, strict=True)
    answers = oracle.preference([prompt] * len(pairs), first, second)
    return answers.reshape(len(texts), len(texts))


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
    """sigmoid(2.5) of who likes the first a step more, sigmoid(-5) of who likes it two steps less."""
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


@pytest.mark.parametrize("setting", [{}, {"cycle_strength": 1.0}, {"cycle_strength": 4.0}])
def test_the_equilibrium_mixes_three_natural_summaries(setting: dict[str, Any]) -> None:
    """Over all types, by linear programming: pure styles with the opener and all facts."""
    oracle = annotators(world_spread=0.0, **setting)
    own = tuple(oracle.responder_response(post(), i) for i in range(len(oracle.responder_types)))
    shares = nash_equilibrium(matrix(oracle, post(), own))
    found = {own[i]: shares[i] for i in np.flatnonzero(shares > 1e-9)}
    assert set(found) == set(STYLES)
    if not setting:
        expected = [0.4195, 0.2644, 0.3161]
        np.testing.assert_allclose([found[text] for text in STYLES], expected, atol=1e-4)
    else:
        assert min(found.values()) > 0.1


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


def all_features(words_read: int) -> np.ndarray:
    """Every feature vector that the constraints on words allow, one invention or repetition."""
    ranges = [range(7)] * 4 + [range(2)] * 3 + [range(words_read + 1)]
    grid = np.array(np.meshgrid(*ranges, indexing="ij")).reshape(8, -1)
    *counts, coverage, inventions, repetitions, opener, length = grid
    markers = np.stack(counts)
    used = markers.sum(axis=0)
    fits = used + coverage + inventions + repetitions + opener <= length
    fits &= (opener == 0) | (used > 0)
    shares = markers / np.maximum(used, 1)
    columns = [coverage, inventions, repetitions, length, *shares, shares.max(axis=0), opener]
    return np.stack(columns, axis=1)[fits].astype(np.float64)


def mixtures(stream: np.random.Generator, texts: list[str]) -> Iterator[list[str]]:
    yield [texts[0]]
    yield list(STYLES)
    for _ in range(6):
        yield [str(text) for text in stream.choice(texts, 6)]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_no_text_beats_the_best_type(setting: dict[str, Any]) -> None:
    """By brute force over features, and by thousands of texts; against random mixtures."""
    oracle = annotators(1, **setting)
    stream = generator_for("test", "best", str(setting))
    features = all_features(oracle.words_read)
    for topic in ("family", "travel"):
        prompt = post(topic, topic=topic)
        texts = [*STYLES, *strange_texts(prompt, 2000, stream)]
        weights = oracle.utilities[int(topic in oracle.reversed_topics)]
        utilities = features @ weights.T
        for mixture in mixtures(stream, texts):
            posts_asked = [prompt] * len(mixture)
            best = oracle.responder_preference(posts_asked, mixture).mean(axis=0).max()
            against = oracle.features(posts_asked, mixture) @ weights.T
            answers = np.zeros(len(features))
            for group, share in enumerate(oracle.shares):
                gaps = utilities[:, group, None] - against[:, group]
                answers += share * (0.5 + np.tanh(gaps / 2) / 2).mean(axis=1)
            assert answers.max() == pytest.approx(best, abs=1e-12)
            first = [text for text in texts for _ in mixture]
            asked = oracle.preference([prompt] * len(first), first, mixture * len(texts))
            assert asked.reshape(len(texts), -1).mean(axis=1).max() <= best + 1e-12


def test_texts_have_the_features_that_are_enumerated() -> None:
    """What a text has takes words: those of its markers, facts, inventions and repetitions."""
    oracle = annotators()
    texts = list(strange_texts(post(), 2000, generator_for("test", "features")))
    read = oracle.features([post()] * len(texts), texts)
    assert ((read[:, 4:7].sum(axis=1) == 0) | np.isclose(read[:, 4:7].sum(axis=1), 1)).all()
    known = {row.tobytes() for row in all_features(16).round(12)}
    simple = read[(read[:, 1] <= 1) & (read[:, 2] <= 1)]
    assert len(simple) > 800
    assert all(row.tobytes() in known for row in simple.round(12))


def test_every_type_is_a_text_for_every_post() -> None:
    prompts = posts(evaluation=30).prompts("evaluation", 3)
    oracle = annotators(3, orientation="by_topic", length_bias=0.1)
    assert len(oracle.responder_types) > 20
    expected = type_features(oracle.responder_types, oracle.words_read)
    for kind, features in enumerate(expected):
        texts = [oracle.responder_response(prompt, kind) for prompt in prompts]
        np.testing.assert_array_equal(oracle.features(prompts, texts), [features] * len(prompts))
        assert all(len(text.split(" ")) == oracle.responder_types[kind].length for text in texts)


def test_types_in_general_are_read_as_they_are_written() -> None:
    kinds = list(every_type(9))
    for kind, features in zip(kinds, type_features(kinds, 9), strict=True):
        shares = np.array(kind.markers) / max(sum(kind.markers), 1)
        expected = [kind.coverage, 0, 0, kind.length, *shares, shares.max(), kind.opener]
        np.testing.assert_array_equal(features, expected)


def test_undominated_rows_by_hand() -> None:
    rows = np.array([[0, 3], [1, 2], [1, 1], [2, 0], [1, 2], [0, 0]], dtype=np.float64)
    assert undominated(rows).tolist() == [0, 1, 3]


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
        assert len(oracle._index) <= 41


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
