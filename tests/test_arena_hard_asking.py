"""Arena-Hard from answers to a score, with scripted judges whose score is known in closed form."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from judged_by_function import COMMON, answers, first_position, judged, longer, reply

from nlhf_repro.benchmarks.arena_hard import read_styles, upstream_scores
from nlhf_repro.benchmarks.arena_hard.asking import ArenaHard
from nlhf_repro.benchmarks.arena_hard.games import CHOICES, read_folder
from nlhf_repro.benchmarks.arena_hard.labels import VERDICTS
from nlhf_repro.interfaces import (
    ImpossibleSettingError,
    JudgedBenchmark,
    JudgeRequest,
    Judgment,
    UnusableAnnotationsError,
)

QUESTIONS = 12
POINTS = {"A>>B": [1.0] * 3, "A>B": [1.0], "A=B": [0.5], "B>A": [0.0], "B>>A": [0.0] * 3}


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    rows = [
        {
            "identifier": f"q/{n}",
            "turns": [f"Braces {{x}} of {n}?"],
            "category": "ours",
            "details": [{"fact": n}],
        }
        for n in range(QUESTIONS)
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def benchmark(questions: Path, version: str = "v2.0", **changes: Any) -> Any:
    settings = {**COMMON, "version": version, "metric": "win_rate", "category": None}
    settings |= {"source": str(questions), "opponent": "reference_policy"}
    return ArenaHard(**{**settings, **changes})


OWN = answers("own", {f"q/{n}": ("x" * (n + 1),) for n in range(QUESTIONS)})
BASE = answers("base", {f"q/{n}": ("y" * 6,) for n in range(QUESTIONS)})


def scored(bench: Any, folder: Path, script: Any, own: Any = OWN, base: Any = BASE) -> Any:
    bench.write(
        folder, own, base, judged(bench, bench.requests(own, base), script), "scripted judge"
    )
    return bench.score(folder, own.name)


def test_requests_show_both_orders_and_their_material(questions: Path) -> None:
    bench = benchmark(questions)
    assert isinstance(bench, JudgedBenchmark) and not bench.comparable
    requests = bench.requests(OWN, BASE)
    assert len({request.identifier for request in requests}) == len(requests) == 2 * QUESTIONS
    first, second = requests[6:8]
    assert first.material.answers == ("yyyyyy", "xxxx")
    assert second.material.answers == ("xxxx", "yyyyyy")
    for request in (first, second):
        assert request.material.choices == CHOICES and request.material.form == "label"
        assert request.material.details == {"fact": 3}
        assert request.material.identifier == "q/3/0"
        assert request.material.conversation[0].content == "Braces {x} of 3?"
        system, user = request.messages
        assert all(label in system.content for label in CHOICES)
        assert int.__lt__(*map(user.content.index, request.material.answers))
        assert (request.draw, request.temperature, request.max_tokens) == (0, 0.0, 100)
    shares = [VERDICTS["v0.1"][label.strip("[]")].share_of_a for label in CHOICES]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("version", ["v0.1", "v2.0"])
def test_a_judge_that_prefers_the_longer_answer_has_a_closed_form(
    tmp_path: Path, questions: Path, version: str
) -> None:
    metric, notes = scored(benchmark(questions, version), tmp_path / "out", longer)
    # Answers of 1 to 12 characters meet 6: by far shorter, once equal (weight 1), by far longer.
    expected = 100 * (6 * 2 * 3 + 2 * 0.5) / (11 * 2 * 3 + 2)
    assert metric.values.mean() == pytest.approx(expected, abs=1e-12)
    assert metric.metric == "score/own_questions" and len(metric.questions) == QUESTIONS
    assert f"own questions and judge prompts, under the rules of Arena-Hard {version}" in notes
    assert "verdicts: A=B: 2, A>>B: 11, B>>A: 11; 0.0 % flip with the position" in notes


def test_a_judge_of_positions_gives_half_and_always_flips(tmp_path: Path, questions: Path) -> None:
    metric, notes = scored(benchmark(questions), tmp_path / "out", first_position)
    assert metric.values.mean() == 50
    assert "verdicts: A>>B: 24; 100.0 % flip with the position" in notes


@pytest.mark.parametrize("version", ["v0.1", "v2.0"])
def test_every_pair_of_labels_counts_as_upstream_counts_it(
    tmp_path: Path, questions: Path, version: str
) -> None:
    pairs = list(product(POINTS, repeat=2))
    texts = {f"q/{n}": (str(n),) for n in range(len(pairs))}
    rows = [{"identifier": key, "turns": [key], "category": "c"} for key in texts]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    own, base = answers("a/b", texts), answers("base", texts)

    def script(request: JudgeRequest) -> str:
        number, game = request.identifier.removeprefix("q/").split("/game-")
        return f"so: [[{pairs[int(number)][int(game) - 1]}]]"

    bench = benchmark(questions, version)
    metric, notes = scored(bench, tmp_path / "out", script, own, base)
    rows = [[*(1 - np.array(POINTS[one])), *POINTS[two]] for one, two in pairs]
    expected = 100 * np.concatenate(rows).mean()
    assert metric.values.mean() == pytest.approx(expected)
    assert any("; 25 identical answers" in note for note in notes)
    (path,) = (tmp_path / "out" / "model_judgment").glob("*/*.jsonl")
    frame = pd.read_json(path, lines=True)  # as upstream's show_result reads it
    if version == "v2.0":
        points = frame.games.map(
            lambda x: POINTS[x[1]["score"]] + [1 - s for s in POINTS[x[0]["score"]]]
        )
        assert 100 * points.explode().astype(float).mean() == pytest.approx(expected)
    judgments, _ = read_folder(tmp_path / "out", "a/b")
    assert {each.model for each in judgments} == {"a/b"}
    if version == "v0.1":
        (table,) = upstream_scores([replace(x, baseline="gpt-4-0314") for x in judgments])
        assert table.score == pytest.approx(expected)


def test_replies_without_a_verdict_are_counted_and_refused_above_the_threshold(
    tmp_path: Path, questions: Path
) -> None:
    def script(request: JudgeRequest) -> str:
        if request.identifier == "q/0/game-1":
            return "I cannot decide."
        if request.identifier == "q/1/game-2":
            return "error: the content was refused"
        return longer(request)

    with pytest.raises(UnusableAnnotationsError, match=r"4 of 24 .*2 no verdict"):
        scored(benchmark(questions), tmp_path / "out", script)
    metric, notes = scored(
        benchmark(questions, maximum_unusable_share=0.2), tmp_path / "out", script
    )
    assert len(metric.questions) == QUESTIONS - 2  # v2.0 drops the whole question
    assert any("2 no verdict; 2 other game of the question unusable" in note for note in notes)
    old, _ = scored(
        benchmark(questions, "v0.1", maximum_unusable_share=0.2), tmp_path / "old", script
    )
    assert len(old.questions) == QUESTIONS  # v0.1 keeps the other game
    with pytest.raises(UnusableAnnotationsError):
        scored(benchmark(questions, maximum_unusable_share=0.2), tmp_path / "no", lambda _: "none")


def test_v01_asks_once_more_and_v20_does_not(tmp_path: Path, questions: Path) -> None:
    asked: list[JudgeRequest] = []

    def script(request: JudgeRequest) -> str:
        asked.append(request)
        return "[[B>A]]" if request.identifier.endswith("attempt-2") else "Let me think."

    bench = benchmark(questions, "v0.1")
    metric, _ = scored(bench, tmp_path / "out", script)
    assert len(asked) == 4 * QUESTIONS and metric.values.mean() == 50
    first, second = asked[:2]
    assert second.messages[: len(first.messages)] == first.messages
    assert [each.role for each in second.messages[2:]] == ["assistant", "user"]
    assert second.messages[2].content == "Let me think."
    assert second.identifier == f"{first.identifier}/attempt-2" and second.draw == first.draw
    (path,) = (tmp_path / "out" / "model_judgment").glob("*/own.jsonl")
    game = json.loads(path.read_text().splitlines()[0])["games"][0]
    assert game["judgment"] == "\nLet me think.\n[[B>A]]" and game["score"] == "B>A"
    asked.clear()
    with pytest.raises(UnusableAnnotationsError):
        scored(benchmark(questions), tmp_path / "new", script)
    assert len(asked) == 2 * QUESTIONS


@pytest.mark.parametrize(
    ("texts", "goes_on"),
    [
        (["nothing"], True),
        (["[A>B]"], True),  # single brackets are none of v0.1's labels
        (["[[A>B]] or [[B>A]]"], False),
        (["[[A>B]] yes [[A>B]]"], False),
        (["nothing", "nothing"], False),
    ],
)
def test_what_v01_follows_up(questions: Path, texts: list[str], goes_on: bool) -> None:
    bench = benchmark(questions, "v0.1")
    request = bench.requests(OWN, BASE)[0]
    judgment = Judgment(request, tuple(map(reply, texts)))
    assert (bench.follow_up(judgment) is not None) == goes_on
    refused = Judgment(request, (reply("", "error: no"),))
    assert bench.follow_up(refused) is None


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("[[A>B]] then [[B>A]]", None, "B>A"),
        ("[[a>b]]", None, "A>B"),
        ("[A=B]", None, "A=B"),
        ("[[B<A]]", "B<A", "B<A"),
        ("[[A>>A]]", "A>>A", "A>>A"),
    ],
)
def test_files_hold_what_the_versions_parser_reads(
    tmp_path: Path, questions: Path, text: str, old: str | None, new: str
) -> None:
    for version, expected in (("v0.1", old), ("v2.0", new)):
        bench = benchmark(questions, version)
        judgments = judged(bench, bench.requests(OWN, BASE), lambda _: text)
        bench.write(tmp_path / version, OWN, BASE, judgments, "j")
        (path,) = (tmp_path / version / "model_judgment" / "j").glob("*.jsonl")
        games = [json.loads(line)["games"] for line in path.read_text().splitlines()]
        assert {game["score"] for pair in games for game in pair} == {expected}


def test_style_control_takes_a_known_length_bias_away(tmp_path: Path, questions: Path) -> None:
    """Verdicts are drawn by sigmoid(3 x) of the relative difference x in length: no quality."""
    generator = np.random.default_rng(0)
    number = 400
    keys = [f"q/{n}" for n in range(number)]
    rows = [{"identifier": key, "turns": [key], "category": "c"} for key in keys]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = answers("own", {key: ("x" * int(generator.integers(20, 60)),) for key in keys})
    base = answers("base", dict.fromkeys(keys, ("y" * 20,)))

    def script(request: JudgeRequest) -> str:
        a, b = map(len, request.material.answers)
        wins = generator.random() < 1 / (1 + np.exp(-3 * (a - b) / (a + b)))
        return "[[A>B]]" if wins else "[[B>A]]"

    plain, _ = scored(benchmark(questions), tmp_path / "out", script, own, base)
    controlled, notes = benchmark(questions, metric="style_controlled").score(
        tmp_path / "out", "own"
    )
    assert plain.values.mean() > 65
    error = controlled.values.std(ddof=1) / np.sqrt(number)
    assert abs(controlled.values.mean() - 50) < 2.5 * error < 15
    assert controlled.metric == "style_controlled_score/own_questions"
    assert any("lengths in characters" in note for note in notes)


def test_settings_and_answers_that_make_no_sense_are_refused(
    tmp_path: Path, questions: Path
) -> None:
    with pytest.raises(ImpossibleSettingError, match="repeats = 0"):
        benchmark(questions, repeats=0)
    with pytest.raises(ImpossibleSettingError, match="maximum_unusable_share"):
        benchmark(questions, maximum_unusable_share=2)
    bench = benchmark(questions)
    with pytest.raises(ImpossibleSettingError, match="no baseline"):
        bench.requests(OWN, None)
    with pytest.raises(ImpossibleSettingError, match="both named 'own'"):
        bench.requests(OWN, OWN)
    with pytest.raises(ImpossibleSettingError, match="11 of 12 questions"):
        bench.requests(answers("own", {"q/1": ("x",)}), BASE)
    with pytest.raises(ImpossibleSettingError, match="is no file"):
        benchmark(tmp_path / "absent.jsonl").fingerprint()
    questions.write_text('{"identifier": "a", "turns": ["one", "two"], "category": "c"}')
    with pytest.raises(ImpossibleSettingError, match="several turns"):
        benchmark(questions).questions()
    with pytest.raises(ImpossibleSettingError, match="choose null"):
        benchmark(questions, category="hard_prompt")
    with pytest.raises(ImpossibleSettingError, match="answered the official questions"):
        benchmark(questions, opponent="official")


def test_token_counts_of_another_tokenizer_are_no_lengths_of_styles(
    tmp_path: Path, questions: Path
) -> None:
    counted = replace(OWN, tokens=dict.fromkeys(OWN.texts, (7,)))
    scored(benchmark(questions, "v0.1"), tmp_path / "out", longer, counted)
    path = tmp_path / "out" / "model_answer" / "own.jsonl"
    row = json.loads(path.read_text().splitlines()[0])
    assert row["conv_metadata"]["token_len"] == 7  # which upstream's table averages
    with pytest.raises(UnusableAnnotationsError, match=r"add_markdown_info\.py"):
        read_styles(path)


def test_a_baseline_from_a_file_is_read_back(tmp_path: Path, questions: Path) -> None:
    for version in ("v0.1", "v2.0"):
        bench = benchmark(questions, version)
        assert bench.baseline() is None
        scored(bench, tmp_path / version, longer)
        path = tmp_path / version / "model_answer" / "base.jsonl"
        given = benchmark(questions, version, opponent=str(path))
        assert given.baseline() == BASE
        assert set(given.fingerprint()) == {"source", "opponent"}
