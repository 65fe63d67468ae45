"""The questions of the mini benchmarks, and the files that questions are read from."""

from __future__ import annotations

import json
import runpy
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from conftest import CONF
from summary_texts import annotators, posts

from nlhf_repro.interfaces import ImpossibleSettingError, Message, Prompt, Question
from nlhf_repro.prompts.posts import SPLITS
from nlhf_repro.questions import mini_questions, read_questions, written_question
from nlhf_repro.seeds import seed_for
from nlhf_repro.summaries import FACTS, FEATURES, SLOTS, TOPICS

ROOT = CONF.parent
MINI = ROOT / "benchmarks" / "mini"
SHAPES = {  # questions, turns of each, categories
    "alpaca_eval": (100, 1, {20: 5}),
    "arena_hard": (60, 1, {20: 3}),
    "mt_bench": (40, 2, {10: 4}),
}
QUESTIONS = {name: read_questions(mini_questions(name)) for name in SHAPES}
ALL = [question for questions in QUESTIONS.values() for question in questions]
TURNS = [(text, details) for x in ALL for text, details in zip(x.turns, x.details, strict=True)]


def facts(details: object) -> tuple[str, ...]:
    assert isinstance(details, dict)
    return tuple(details["facts"][slot] for slot in SLOTS)


def test_the_files_are_what_their_script_writes() -> None:
    written = runpy.run_path(str(MINI / "make.py"))["texts"]()
    assert set(written) == {path.name for path in MINI.glob("*.jsonl")}
    for name, text in written.items():
        assert (MINI / name).read_bytes() == text.encode()


def test_every_file_ships() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    mini = {k: v for k, v in included.items() if k.startswith("benchmarks/mini/")}
    names = [*(f"{name}.jsonl" for name in SHAPES), "academic"]
    assert mini == {f"benchmarks/mini/{name}": f"nlhf_repro/mini/{name}" for name in names}


@pytest.mark.parametrize("name", SHAPES)
def test_the_shape_of_a_benchmark(name: str) -> None:
    count, turns, categories = SHAPES[name]
    questions = QUESTIONS[name]
    assert len({x.identifier for x in questions}) == len(questions) == count
    assert {len(x.turns) for x in questions} == {turns}
    assert Counter(Counter(x.category for x in questions).values()) == categories
    assert Counter(x.details[0]["topic"] for x in questions) == dict.fromkeys(TOPICS, count // 4)


def test_a_turn_is_a_post_of_known_words_that_tells_its_facts() -> None:
    known = set(posts().vocabulary())
    for text, details in TURNS:
        words = text.split(" ")
        assert set(words) <= known and 17 <= len(words) <= 41
        assert tuple(details["facts"]) == SLOTS and all(words.count(x) == 1 for x in facts(details))
        assert [t for t in TOPICS if set(TOPICS[t]) & set(words)] == [details["topic"]]


def test_distractors_make_the_categories_of_arena_hard() -> None:
    """Each has one word of another post's facts."""
    fact_words = {word for words in FACTS.values() for word in words}
    number = {"two_distractors": 2, "three_distractors": 3, "four_distractors": 4}
    for x in QUESTIONS["arena_hard"]:
        others = fact_words - set(facts(x.details[0]))
        assert sum(word in others for word in x.turns[0].split(" ")) == number[x.category]


def test_no_question_is_a_prompt_of_any_world() -> None:
    """Facts of the evaluation split: by the hash that splits posts, in every world."""
    own = {facts(details) for _, details in TURNS}
    assert len(own) == len(TURNS) == 240
    assert {SPLITS[seed_for("prompts", "posts", *each) % len(SPLITS)] for each in own} == {
        "evaluation"
    }
    for world in range(10):
        prompts = posts().prompts("evaluation", world)
        assert not own & {facts(x.details) for x in prompts}
        assert not {text for text, _ in TURNS} & {x.messages[0].content for x in prompts}
        assert not {x.identifier for x in ALL} & {x.identifier for x in prompts}


def test_references_are_flawless_summaries_and_turns_have_nothing_in_common() -> None:
    referenced = [x for x in QUESTIONS["mt_bench"] if x.reference]
    assert {x.category for x in referenced} == {"money", "travel"} and len(referenced) == 20
    assert not any(x.reference for name in ("alpaca_eval", "arena_hard") for x in QUESTIONS[name])
    for x in QUESTIONS["mt_bench"]:
        assert not set(facts(x.details[0])) & set(facts(x.details[1]))
    asked = [(x, turn) for x in referenced for turn in (0, 1)]
    prompts = [
        Prompt(f"{x.identifier}/{turn}", (Message("user", x.turns[turn]),), x.details[turn])
        for x, turn in asked
    ]
    read = annotators().features(prompts, [x.reference[turn] for x, turn in asked])
    columns = dict(zip(FEATURES, read.T, strict=True))
    assert set(columns["coverage"]) == {6} and set(columns["length"]) == {12}
    assert not columns["inventions"].any() and not columns["repetitions"].any()
    assert set(columns["purity"]) == set(columns["opener"]) == {1}


def test_a_users_own_file_needs_little(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('\n{"identifier": 7, "turns": ["why", "and"], "category": "x"}\n')
    assert read_questions(path) == (Question("7", ("why", "and"), "x", ({}, {}), ()),)
    (question,) = read_questions(path)
    path.write_text(written_question(question))
    assert read_questions(path) == (question,)
    with pytest.raises(ImpossibleSettingError, match=r"No mini/other.jsonl lies in or beside"):
        mini_questions("other")


SOUND = {"identifier": "a", "turns": ["x", "y"], "category": "c"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "Line 1 of FILE is no JSON"),
        ("[" * 100_000, "Line 1 of FILE is no JSON"),
        ("[]", "Line 1 of FILE is no JSON object: give identifier, turns, category"),
        ({"category": None}, "has a category that is no text"),
        ({"identifier": " "}, "has an identifier that is neither"),
        ({"identifier": True}, "has an identifier that is neither"),
        ({"turns": "x"}, "has turns that are no list of texts"),
        ({"turns": []}, "has turns that are no list of texts"),
        ({"turns": ["x", 1]}, "has turns that are no list of texts"),
        ({"reference": ["one"]}, "has 2 turns, and no list of as many texts as reference"),
        ({"details": [{}]}, "has 2 turns, and no list of as many objects as details"),
        ({"details": [{}, []]}, "has 2 turns, and no list of as many objects as details"),
        ({"answer": "x"}, "has the unknown key 'answer': choose from"),
        ("", "FILE holds no question"),
    ],
)
def test_a_broken_file_is_refused_in_a_sentence(tmp_path: Path, line: object, said: str) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text(line if isinstance(line, str) else json.dumps({**SOUND, **line}))  # type: ignore[dict-item]
    with pytest.raises(ImpossibleSettingError) as caught:
        read_questions(path)
    assert said.replace("FILE", str(path)) in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_missing_or_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text('{"identifier": "a", "turns": ["x"]}')
    with pytest.raises(ImpossibleSettingError, match=r"Line 1 of \S+ has no category: give"):
        read_questions(path)
    path.write_text(f"{json.dumps(SOUND)}\n{json.dumps(SOUND)}\n")
    with pytest.raises(ImpossibleSettingError, match=r"Line 2 .* identifier a of another question"):
        read_questions(path)
    with pytest.raises(ImpossibleSettingError, match=r"cannot be read"):
        read_questions(tmp_path)
