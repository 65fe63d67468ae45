"""Whatever stands in a file: a score that counts every row, or one sentence; nothing else."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import event, given, settings
from judgment_files import new_row, old_row, pair_row, ratings, write_lines

from nlhf_repro.benchmarks.academic import read_run, score_run
from nlhf_repro.benchmarks.arena_hard import (
    pairwise_wins,
    read_judgments,
    read_questions,
    read_styles,
    round_robins,
    score_judgments,
    score_round_robin,
    upstream_scores,
)
from nlhf_repro.benchmarks.arena_hard.labels import VERDICTS
from nlhf_repro.benchmarks.mt_bench import (
    OFFICIAL_QUESTIONS,
    read_categories,
    read_pairs,
    read_ratings,
    score_pairs,
    score_ratings,
    upstream_means,
)
from nlhf_repro.interfaces import ModelScores, UnusableAnnotationsError

ODD = ["A>B", "A>>A", "B<A", "[[7]]", "tie", "error", "acc", "a/../b", "\0", "\ud800", "x" * 300]
NAMES = st.text(max_size=8) | st.sampled_from(ODD)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | NAMES
JSON = st.recursive(
    LEAVES | st.sampled_from([10**400, -1, 3]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
FOLDER = Path(tempfile.mkdtemp())


def spoiled(rows: list[dict[str, Any]]) -> st.SearchStrategy[list[Any]]:
    """The rows with up to three fields, at any depth of one level, replaced or removed."""
    fields = sorted({key for row in rows for key in row})
    change = st.tuples(st.integers(0, len(rows) - 1), st.sampled_from(fields), st.none() | JSON)

    def apply(changes: list[tuple[int, str, Any]]) -> list[Any]:
        changed = [dict(row) for row in rows]
        for number, field, value in changes:
            changed[number][field] = value
        return changed

    return st.lists(change, max_size=3).map(apply)


def spoiled_games(make: Any) -> st.SearchStrategy[list[Any]]:
    """Rows whose games have good labels, odd ones, and anything else instead of a game."""
    labels = st.sampled_from([*VERDICTS["v2.0"], "A>>A", "C", None]) | JSON
    extras = {"judgment": JSON, "prompt": JSON}
    game = st.fixed_dictionaries({"score": labels}, optional=extras)
    games = st.lists(game, min_size=2, max_size=2) | st.lists(game | JSON, max_size=2)
    return st.lists(games, min_size=1, max_size=6).map(
        lambda rows: [make(f"q{i}", "A>B", "B>A") | {"games": g} for i, g in enumerate(rows)]
    )


def text(rows: list[Any]) -> Path:
    return write_lines(FOLDER / "rows.jsonl", rows)


def check(scores: tuple[ModelScores, ...], rows: int) -> None:
    """Every row is there, and every row that gave no value has a reason."""
    event("scored")
    assert sum(each.diagnostics.rows for each in scores) == rows
    for each in scores:
        assert 0 <= sum(each.diagnostics.unusable.values()) < each.diagnostics.rows
        assert each.metrics and all(len(m.values) for m in each.metrics.values())


OLD = [old_row(f"q{i}", "B>A", "A>B") for i in range(3)]
NEW = [new_row(f"q{i}", "B>A", "A>B") for i in range(3)]


@settings(max_examples=150, deadline=None)
@given(spoiled_games(old_row) | spoiled_games(new_row) | spoiled(OLD) | spoiled(NEW))
def test_arena_hard(rows: list[Any]) -> None:
    try:
        judgments = read_judgments([text(rows)])
        assert len(judgments) == len(rows)
        pairwise_wins(judgments)
        scores = score_judgments(judgments, maximum_lost=0.99)
    except UnusableAnnotationsError:
        return
    check(scores, 2 * len(rows))
    games = sum(len(each.outcomes()) for each in judgments)
    lost = sum(sum(each.diagnostics.unusable.values()) for each in scores)
    assert games + lost == 2 * len(rows)
    try:
        upstream_scores(judgments)
    except UnusableAnnotationsError:
        return


def meetings() -> st.SearchStrategy[list[Any]]:
    """Rows of a few models that meet each other, with odd labels; the same pair may come twice."""
    sides = st.lists(st.sampled_from("abcd"), min_size=2, max_size=2, unique=True)
    labels = st.sampled_from(4 * [*VERDICTS["v2.0"]] + ["A>>A", None])
    row = st.tuples(st.sampled_from(["q0", "q1", "q2"]), sides, labels, labels)
    usual = st.lists(row, min_size=6, max_size=14, unique_by=lambda x: (x[0], *sorted(x[1])))
    return (usual | st.lists(row, min_size=2, max_size=6)).map(
        lambda rows: [new_row(q, x, y, model=a, baseline=b) for q, (a, b), x, y in rows]
    )


@settings(max_examples=200, deadline=None)
@given(meetings())
def test_round_robins(rows: list[Any]) -> None:
    try:
        judgments = read_judgments([text(rows)])
        groups = round_robins(judgments)
        scored = [score_round_robin(group, maximum_lost=0.99) for group in groups]
    except UnusableAnnotationsError:
        return
    for group, (strengths, pairs) in zip(groups, scored, strict=True):
        check(pairs, 2 * len(group))
        games = sum(len(each.outcomes()) for each in group)
        lost = sum(sum(each.diagnostics.unusable.values()) for each in pairs)
        assert games + lost == 2 * len(group)
        assert sum(each.diagnostics.rows for each in strengths) == 4 * len(group)
        finite = [np.isfinite(m.values).all() for each in strengths for m in each.metrics.values()]
        assert all(finite) and len(finite) in (0, len(strengths))
        event("strengths" if finite else "no strengths")


RATINGS = ratings({})


@settings(max_examples=100, deadline=None)
@given(spoiled(RATINGS))
def test_mt_bench_ratings(rows: list[Any]) -> None:
    try:
        read = read_ratings(text(rows))
        upstream_means(read)
        scores = score_ratings(read, maximum_lost=0.99)
    except UnusableAnnotationsError:
        return
    check(scores, len(rows))


PAIRS = [pair_row(q, t, "model_1", "tie") for q in range(81, 161) for t in (1, 2)]


@settings(max_examples=100, deadline=None)
@given(spoiled(PAIRS))
def test_mt_bench_pairs(rows: list[Any]) -> None:
    try:
        scores = score_pairs(read_pairs(text(rows)), "base", OFFICIAL_QUESTIONS, 0.99)
    except UnusableAnnotationsError:
        return
    aside = sum(int(n.split()[0]) for s in scores[:1] for n in s.notes if "left aside" in n)
    check(scores, len(rows) - aside)


LISTS = [{"uid": "a", "category": "math"}, {"question_id": 3, "category": "math"}]
ANSWERS = [
    {
        "uid": f"q{i}",
        "model": "m",
        "metadata": {"token_len": 3, "header_count": {"h1": 1}},
        "messages": [{"content": {"answer": "x"}}],
        "choices": [{"turns": [{"content": "x"}]}],
    }
    for i in range(2)
]


@settings(max_examples=150, deadline=None)
@given(spoiled(LISTS) | spoiled(ANSWERS) | st.lists(JSON, max_size=3))
def test_question_lists_and_answers(rows: list[Any]) -> None:
    for read in (read_questions, read_categories, read_styles):
        try:
            found = read(text(rows))
        except UnusableAnnotationsError:
            continue
        assert len(found[1] if isinstance(found, tuple) else found) == len(rows)


SAMPLES = [
    {"doc_id": i, "doc_hash": f"h{i}", "filter": "none", "metrics": ["acc"], "acc": 1.0}
    for i in range(4)
]
RESULTS = {
    "results": {"arc": {"acc,none": 1.0}, "g": {"acc,none": 1.0}},
    "groups": {"g": {"acc,none": 1.0, "acc_stderr,none": 0.1}},
    "group_subtasks": {"g": ["arc"], "arc": []},
    "n-shot": {"arc": 0},
    "n-samples": {"arc": {"original": 4, "effective": 4}},
    "model_name": "m",
    "lm_eval_version": "0.4.13",
}


@settings(max_examples=200, deadline=None)
@given(spoiled(SAMPLES), spoiled([RESULTS]) | JSON.map(lambda x: [x]))
def test_academic(samples: list[Any], results: list[Any]) -> None:
    write_lines(FOLDER / "samples_arc_1.jsonl", samples)
    path = FOLDER / "results_1.json"
    path.write_text(json.dumps(results[0]))
    try:
        scores = score_run(read_run(path), {"arc": "acc,none"}, maximum_lost=0.99)
    except UnusableAnnotationsError:
        return
    check((scores,), len(samples))
