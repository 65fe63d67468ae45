"""The benchmarks' own files: what they score, and that upstream's numbers come out as well."""

from __future__ import annotations

import numpy as np
import pytest
from judgment_files import official

from nlhf_repro.benchmarks.arena_hard import (
    read_judgments,
    read_questions,
    score_judgments,
    upstream_scores,
)
from nlhf_repro.benchmarks.arena_hard.questions import SIZES
from nlhf_repro.benchmarks.clustered import standard_error
from nlhf_repro.benchmarks.mt_bench import (
    OFFICIAL_QUESTIONS,
    read_categories,
    read_ratings,
    score_ratings,
    upstream_means,
)
from nlhf_repro.interfaces import UnusableAnnotationsError


def test_arena_hard_question_lists_have_the_protocols_sizes() -> None:
    counts: dict[str, int] = {}
    for name in ("question_v0.1.jsonl", "question_v2.0.jsonl"):
        for question in read_questions(official(f"arena_hard/{name}")).values():
            counts[question.category] = counts.get(question.category, 0) + 1
    assert counts == SIZES


def test_arena_hard_judgments() -> None:
    judgments = read_judgments([official("arena_hard/judgments_gpt-4o.jsonl.gz")])
    (scores,) = score_judgments(judgments)
    assert scores.diagnostics.unusable == {} and scores.diagnostics.rows == 258
    assert not any("parser" in note for note in scores.notes)  # labels are as the parser reads them
    assert scores.diagnostics.position_flip_rate == pytest.approx(22 / 129)
    metric = scores.metrics["score/arena-hard-v0.1"]
    assert metric.values.mean() == pytest.approx(100 * 432 / 470)
    (upstream,) = upstream_scores(judgments)
    assert upstream.rows == 470 and upstream.score == pytest.approx(metric.values.mean())
    rows = np.repeat([s for x in judgments for s, _ in x.outcomes()],
                     [int(w) for x in judgments for _, w in x.outcomes()])  # fmt: skip
    naive = 100 * rows.std(ddof=1) / np.sqrt(470)
    assert 1.55 < standard_error(metric.values, metric.strata) / naive < 2.0
    questions = read_questions(official("arena_hard/question_v0.1.jsonl"))
    with pytest.raises(UnusableAnnotationsError, match="742 missing"):
        score_judgments(judgments, questions)


def test_mt_bench_questions_are_the_official_ones() -> None:
    assert read_categories(official("mt_bench/question.jsonl")) == OFFICIAL_QUESTIONS


def test_mt_bench_judgments() -> None:
    ratings = read_ratings(official("mt_bench/judgments_gpt-4_single.jsonl.gz"))
    upstream = {each.model: each for each in upstream_means(ratings)}
    assert len(upstream) == 4
    for scores in score_ratings(ratings):
        metric, means = scores.metrics["score"], upstream[scores.name]
        assert (scores.diagnostics.rows, scores.diagnostics.unusable) == (160, {})
        assert scores.notes == ("categories fixed",)
        assert metric.values.mean() == pytest.approx(means.average)
        assert scores.metrics["first_turn"].values.mean() == pytest.approx(means.first_turn)
        rows = np.array([each.recorded for each in ratings if each.model == scores.name])
        clustered = metric.values.std(ddof=1) / np.sqrt(80)
        assert 1.1 < clustered / (rows.std(ddof=1) / np.sqrt(160)) < 1.3
        assert 0.65 < standard_error(metric.values, metric.strata) / clustered < 0.9
