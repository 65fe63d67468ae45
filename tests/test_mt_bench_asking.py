"""MT-Bench from answers to a score, with scripted judges whose score is known in closed form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from judged_by_function import COMMON, answers, first_position, judged, longer

from nlhf_repro.benchmarks.mt_bench import parse_winner, read_pairs, read_ratings, upstream_means
from nlhf_repro.benchmarks.mt_bench.asking import MTBench
from nlhf_repro.interfaces import (
    ImpossibleSettingError,
    JudgedBenchmark,
    JudgeRequest,
    UnusableAnnotationsError,
)

LENGTHS = {f"{n}": (1 + n, 3 + n % 4) for n in range(8)}  # of the answers to both turns
OWN = answers("own", {key: ("x" * one, "x" * two) for key, (one, two) in LENGTHS.items()})
BASE = answers("base", dict.fromkeys(LENGTHS, ("y" * 4, "y" * 4)))


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    rows = [
        {
            "identifier": int(key),
            "turns": [f"First {{of}} {key}?", f"Second of {key}?"],
            "category": "even" if int(key) % 2 == 0 else "odd",
            "details": [{"turn": 1}, {"turn": 2}],
            **({"reference": ["right one", "right two"]} if int(key) == 3 else {}),
        }
        for key in LENGTHS
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def benchmark(questions: Path, mode: str = "single", **changes: Any) -> Any:
    opponent = "reference_policy" if mode == "pairwise" else None
    settings = {**COMMON, "mode": mode, "source": str(questions), "opponent": opponent}
    return MTBench(**{**settings, **changes})


def scored(bench: Any, folder: Path, script: Any) -> Any:
    judgments = judged(bench, bench.requests(OWN, BASE), script)
    bench.write(folder, OWN, BASE, judgments, "scripted judge")
    return bench.score(folder, "own")


def test_requests_have_the_conversation_and_the_reference(questions: Path) -> None:
    bench = benchmark(questions)
    assert isinstance(bench, JudgedBenchmark)
    assert not bench.comparable and not bench.compares and bench.baseline() is None
    requests = bench.requests(OWN, None)
    assert [x.identifier for x in requests[:3]] == ["0/turn-1", "0/turn-2", "1/turn-1"]
    first, second = requests[6:8]
    assert [x.content for x in second.material.conversation] == [
        "First {of} 3?",
        "xxxx",
        "Second of 3?",
    ]
    assert [x.role for x in second.material.conversation] == ["user", "assistant", "user"]
    assert (first.material.answers, second.material.answers) == (("xxxx",), ("xxxxxx",))
    assert (first.material.reference, second.material.reference) == ("right one", "right two")
    assert "right two" in second.messages[1].content
    assert requests[0].material.reference is None
    assert "eference" not in requests[0].messages[1].content
    assert (first.material.details, second.material.details) == ({"turn": 1}, {"turn": 2})
    assert (first.material.identifier, second.material.identifier) == ("3/0", "3/1")
    assert first.material.choices == tuple(f"[[{n}]]" for n in range(1, 11))
    for part in ("First {of} 3?", "xxxx", "Second of 3?"):
        assert part in second.messages[1].content


def test_pairs_are_asked_in_both_orders(questions: Path) -> None:
    bench = benchmark(questions, "pairwise")
    assert bench.compares and bench.baseline() is None
    requests = bench.requests(OWN, BASE)
    assert len({x.identifier for x in requests}) == len(requests) == 4 * len(LENGTHS)
    one, two = requests[2:4]  # turn 2 of question 0
    assert (one.material.answers, two.material.answers) == (("xxx", "yyyy"), ("yyyy", "xxx"))
    assert one.material.choices == ("[[A]]", "[[C]]", "[[B]]")
    assert [x.role for x in one.material.conversation] == ["user", "user"]
    for label in one.material.choices:
        assert label in one.messages[0].content


def test_ratings_have_a_closed_form_and_the_files_are_upstreams(
    tmp_path: Path, questions: Path
) -> None:
    metric, notes = scored(benchmark(questions), tmp_path / "out", longer)
    means = {key: sum(lengths) / 2 for key, lengths in LENGTHS.items()}
    np.testing.assert_allclose(metric.values, [means[key] for key in metric.questions])
    assert metric.metric == "score" and set(metric.strata) == {"even", "odd"}
    assert any(note.startswith("own questions and judge prompts") for note in notes)
    path = tmp_path / "out" / "model_judgment"
    (path,) = path.glob("*_single.jsonl")
    row = json.loads(path.read_text().splitlines()[0])
    assert row["question_id"] == 0 and row["turn"] == 1 and row["score"] == 1
    assert list(row) == [
        "question_id",
        "model",
        "judge",
        "user_prompt",
        "judgment",
        "score",
        "turn",
        "tstamp",
    ]
    frame = pd.read_json(path, lines=True)[["model", "score", "turn"]]  # as show_result reads it
    frame = frame[frame["score"] != -1]
    average = frame[["model", "score"]].groupby(["model"]).mean()["score"]["own"]
    assert average == pytest.approx(np.mean(list(means.values())))
    (upstream,) = upstream_means(read_ratings(path))
    assert upstream.average == pytest.approx(average)
    answered = (tmp_path / "out" / "model_answer" / "own.jsonl").read_text().splitlines()
    assert json.loads(answered[1])["choices"] == [{"index": 0, "turns": ["xx", "xxxx"]}]


def test_a_pair_is_won_where_both_orders_agree(tmp_path: Path, questions: Path) -> None:
    bench = benchmark(questions, "pairwise")
    metric, notes = scored(bench, tmp_path / "longer", longer)
    share = {-1: 0, 0: 50, 1: 100}
    expected = {
        key: np.mean([share[int(np.sign(length - 4))] for length in lengths])
        for key, lengths in LENGTHS.items()
    }
    np.testing.assert_allclose(metric.values, [expected[key] for key in metric.questions])
    assert any("0.0 % flip with the position" in note for note in notes)
    (path,) = (tmp_path / "longer" / "model_judgment").glob("*_pair.jsonl")
    frame = pd.read_json(path, lines=True)  # as show_result reads it
    ties = (frame.g1_winner == "tie") | (frame.g1_winner != frame.g2_winner)
    wins = ((frame.g1_winner == "model_1") & ~ties).sum()
    assert 100 * (wins + ties.sum() / 2) / len(frame) == pytest.approx(metric.values.mean())
    assert {each.models for each in read_pairs(path)} == {("own", "base")}
    metric, notes = scored(bench, tmp_path / "first", first_position)
    assert metric.values.tolist() == [50.0] * len(LENGTHS)
    assert any("100.0 % flip with the position" in note for note in notes)


def test_a_baseline_from_a_file(tmp_path: Path, questions: Path) -> None:
    scored(benchmark(questions, "pairwise"), tmp_path / "out", longer)
    path = tmp_path / "out" / "model_answer" / "base.jsonl"
    given = benchmark(questions, "pairwise", opponent=str(path))
    assert given.baseline() == BASE and set(given.fingerprint()) == {"source", "opponent"}
    assert set(benchmark(questions).fingerprint()) == {"source"}


@pytest.mark.parametrize(
    ("text", "recorded", "counts"),
    [
        ("[[7]] and later [[2]]", 7, True),
        ("[[7.5]]", 7.5, True),
        ("Rating: [6]", 6, True),
        ("[[0]]", 0, False),
        ("[[11]]", 11, False),
        ("[[-3]]", -1, False),
        ("seven", -1, False),
        ("[[" + "9" * 400 + "]]", -1, False),
        ("error: refused", -1, False),
    ],
)
def test_what_is_recorded_of_a_reply_and_what_counts(
    tmp_path: Path, questions: Path, text: str, recorded: float, counts: bool
) -> None:
    def script(request: JudgeRequest) -> str:
        return text if request.identifier == "2/turn-2" else longer(request)

    bench = benchmark(questions, maximum_unusable_share=0.1)
    metric, notes = scored(bench, tmp_path / "out", script)
    assert ("2" in metric.questions) == counts
    (path,) = (tmp_path / "out" / "model_judgment").glob("*_single.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    (row,) = [x for x in rows if (x["question_id"], x["turn"]) == (2, 2)]
    assert row["score"] == recorded and row["judgment"] == (
        "$ERROR$" if text.startswith("error") else text
    )
    assert any("; 1 " in note for note in notes) != counts
    if not counts:
        with pytest.raises(UnusableAnnotationsError, match="1 of 16"):
            benchmark(questions).score(tmp_path / "out", "own")


@pytest.mark.parametrize(
    ("text", "winner"),
    [
        ("[[A]]", "A"),
        ("so [[B]].", "B"),
        ("[[C]]", "tie"),
        ("[[B]] or [[A]]", "A"),  # upstream's precedence
        ("[A]", None),
        ("[[a]]", None),
        ("", None),
    ],
)
def test_labels_of_pairs(text: str, winner: str | None) -> None:
    assert parse_winner(text) == winner


def test_lost_verdicts_of_pairs_are_errors(tmp_path: Path, questions: Path) -> None:
    def script(request: JudgeRequest) -> str:
        return "no idea" if request.identifier == "1/turn-1/game-2" else longer(request)

    bench = benchmark(questions, "pairwise", maximum_unusable_share=0.1)
    metric, notes = scored(bench, tmp_path / "out", script)
    assert "1" not in metric.questions and len(metric.questions) == 7
    assert any("error: 1" in note and "1 no verdict" in note for note in notes)
    with pytest.raises(UnusableAnnotationsError):
        scored(bench, tmp_path / "none", lambda _: "no idea")


def test_settings_and_questions_that_make_no_sense_are_refused(
    tmp_path: Path, questions: Path
) -> None:
    with pytest.raises(ImpossibleSettingError, match="does not fit mode = single"):
        benchmark(questions, opponent="reference_policy")
    with pytest.raises(ImpossibleSettingError, match="does not fit mode = pairwise"):
        benchmark(questions, "pairwise", opponent=None)
    with pytest.raises(ImpossibleSettingError, match="judge_temperature = 3"):
        benchmark(questions, judge_temperature=3)
    with pytest.raises(ImpossibleSettingError, match="no baseline"):
        benchmark(questions, "pairwise").requests(OWN, None)
    with pytest.raises(ImpossibleSettingError, match="2 answers to 8 of 8"):
        benchmark(questions).requests(answers("own", dict.fromkeys(LENGTHS, ("x",))), None)
    row = {"identifier": "a", "turns": ["one"], "category": "c"}
    questions.write_text(json.dumps(row) + "\n")
    with pytest.raises(ImpossibleSettingError, match="have not two turns"):
        benchmark(questions).questions()
