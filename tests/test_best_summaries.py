"""The best response to any mixture of summaries is among the enumerated types, as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from summary_texts import STYLES, annotators, matrix, post, posts, strange_texts

from nlhf_repro.games import nash_equilibrium
from nlhf_repro.seeds import generator_for
from nlhf_repro.summaries import TOPICS, every_type, type_features, undominated

SETTINGS: list[dict[str, Any]] = [
    {},
    {"orientation": "by_topic", "cycle_strength": 6.0, "world_spread": 0.3},
    {"length_bias": 0.3},  # every word is worth having
    {"length_bias": 0.1},  # to one group words are worth having, to the others not
    {"cycle_strength": 6.0},
    {"quality_weight": 0.2},
    {"cycle_strength": 0.0},
    {"group_weights": [0.0, 0.5, 0.5]},
    {"words_read": 6},
    {"noise": 4.0},
]


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
    turned = sorted(oracle.reversed_topics)[:1]
    for topic in [next(each for each in TOPICS if each not in oracle.reversed_topics), *turned]:
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


@pytest.mark.parametrize("cycle_strength", [2.5, 6.0])
def test_every_feature_vector_is_dominated_by_a_type(cycle_strength: float) -> None:
    """In every group at once, for posts of any topic: the best response to whatever is a type."""
    oracle = annotators(2, orientation="by_topic", cycle_strength=cycle_strength, world_spread=0.3)
    features = all_features(oracle.words_read)
    types = type_features(oracle.responder_types, oracle.words_read)
    for weights in oracle.utilities:
        left = features @ weights.T
        for utilities in types @ weights.T:
            left = left[(left > utilities + 1e-12).any(axis=1)]
        assert not len(left)


def test_a_type_is_preferred_as_its_text_whatever_the_topic() -> None:
    oracle = annotators(1, orientation="by_topic")
    prompts = [post(topic, topic=topic) for topic in TOPICS]
    found = oracle.responder_preference(prompts, [STYLES[0]] * len(prompts))
    for kind in range(len(oracle.responder_types)):
        own = [oracle.responder_response(prompt, kind) for prompt in prompts]
        expected = oracle.preference(prompts, own, [STYLES[0]] * len(prompts))
        np.testing.assert_allclose(found[:, kind], expected, rtol=0, atol=1e-15)


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
