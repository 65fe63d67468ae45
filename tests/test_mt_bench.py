"""MT-Bench: parsers, losses, strata, repeats, both modes of judging, upstream's means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judgment_files import pair_row, rating_row, ratings, write_lines

from nlhf_repro.benchmarks.mt_bench import (
    OFFICIAL_QUESTIONS,
    parse_rating,
    read_categories,
    read_pairs,
    read_ratings,
    score_pairs,
    score_ratings,
    upstream_means,
)
from nlhf_repro.interfaces import UnusableAnnotationsError


def scored(folder: Path, rows: list[dict[str, Any]], **options: Any) -> Any:
    (scores,) = score_ratings(read_ratings(write_lines(folder / "r.jsonl", rows)), **options)
    return scores


@pytest.mark.parametrize(
    ("text", "ours", "upstream"),
    [
        ("Rating: [[7]]", 7, 7),
        ("Rating: [[8.5]] then [[2]]", 8.5, 8.5),
        ("[3] but at last [[9]]", 9, 9),
        ("Rating: [6]", 6, 6),
        ("[[100]]", None, 100),
        ("[[0]]", None, 0),
        ("[[-1]] [[seven]]", None, None),
        ("no rating", None, None),
        ("[[10.]]", 10, 10),
    ],
)
def test_parser_with_and_without_the_range(
    text: str, ours: float | None, upstream: float | None
) -> None:
    assert parse_rating(text) == ours
    assert parse_rating(text, in_range=False) == upstream


def test_score_is_the_mean_of_question_means_over_eight_strata(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    table = generator.integers(1, 11, size=(80, 2)).astype(float)
    rows = ratings({(81 + q, t + 1): table[q, t] for q in range(80) for t in range(2)})
    generator.shuffle(rows)  # type: ignore[arg-type]
    scores = scored(tmp_path, rows)
    np.testing.assert_allclose(scores.metrics["score"].values, table.mean(axis=1))
    np.testing.assert_allclose(scores.metrics["first_turn"].values, table[:, 0])
    np.testing.assert_allclose(scores.metrics["second_turn"].values, table[:, 1])
    assert scores.metrics["score"].questions == tuple(map(str, range(81, 161)))
    assert scores.metrics["score"].strata == tuple(OFFICIAL_QUESTIONS.values())
    np.testing.assert_allclose(scores.metrics["score/math"].values, table[30:40].mean(axis=1))
    assert scores.metrics["score/math"].strata is None
    (means,) = upstream_means(read_ratings(tmp_path / "r.jsonl"))
    assert (means.first_turn, means.second_turn, means.average) == pytest.approx(
        (*table.mean(axis=0), table.mean())
    )


def test_losses_are_counted_and_refused_above_the_threshold(tmp_path: Path) -> None:
    rows = ratings({(81, 1): -1, (82, 2): 100, (83, 1): None})
    scores = scored(tmp_path, rows)
    assert scores.diagnostics.unusable == {"no rating": 2, "rating out of range": 1}
    assert scores.diagnostics.verdicts == {"5": 157, "-1": 1, "100": 1, "none": 1}
    assert len(scores.metrics["score"].values) == 77
    assert len(scores.metrics["first_turn"].values) == 78
    assert "4.85 if" in scores.notes[-1] and "5.19 if" in scores.notes[-1]  # (77 x 5 + 3 x 1) / 80
    with pytest.raises(UnusableAnnotationsError, match=r"120 of 160 judgments of m .*no rating"):
        scored(tmp_path, ratings({(q, t): -1 for q in range(81, 141) for t in (1, 2)}))
    (means,) = upstream_means(read_ratings(write_lines(tmp_path / "u.jsonl", rows)))
    assert means.rows == 158 and means.average == pytest.approx((157 * 5 + 100) / 158)


def test_missing_judgments_count_as_lost(tmp_path: Path) -> None:
    rows = ratings({})
    assert scored(tmp_path, rows[:-2]).diagnostics.missing == 1
    with pytest.raises(UnusableAnnotationsError, match=r"4 of 160 .*4 missing"):
        scored(tmp_path, rows[:-4])
    with pytest.raises(UnusableAnnotationsError, match="category 'humanities'"):
        scored(tmp_path, rows[:-20], maximum_lost=0.2)
    with pytest.raises(UnusableAnnotationsError, match=r"1 questions of m .* such as '7'"):
        scored(tmp_path, [*rows, rating_row(7, 1, 5)])


def test_two_generations_are_an_error_or_repeats(tmp_path: Path) -> None:
    rows = ratings({}) + ratings({(81, 1): 9})
    with pytest.raises(UnusableAnnotationsError, match="160 of 160 questions and turns"):
        scored(tmp_path, rows)
    scores = scored(tmp_path, rows, repeats=2)
    assert scores.metrics["first_turn"].values[0] == 7 and scores.diagnostics.duplicates == 160
    assert "2 repeats averaged in every question and turn" in scores.notes
    with pytest.raises(UnusableAnnotationsError, match="question 160, turn 2, with 1"):
        scored(tmp_path, rows[:-1], repeats=2)
    with pytest.raises(UnusableAnnotationsError, match="repeats is 0"):
        scored(tmp_path, rows, repeats=0)


def test_what_the_notes_say(tmp_path: Path) -> None:
    rows = ratings({})
    rows[0] |= {"judgment": "It is [[6]]", "judge": ["m", "single-v9"]}
    for row in rows:
        row["judge"] = ["m", row["judge"][1]]
        row["user_prompt"] = (
            "[The Start of Assistant's Answer]\nsame\n[The End of Assistant's Answer]"
        )
    notes = scored(tmp_path, rows).notes
    assert "the judge judges its own answers" in notes
    assert "judge prompts other than the protocol's: 'single-v9'" in notes
    assert "one and the same first answer to 80 of 80 questions" in notes
    assert any(note.startswith("1 of 160 recorded ratings differ") for note in notes)
    assert "categories fixed" in notes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"judge": ["other", "single-v1"]}, "mixes judges: judge-1, other"),
        ({"judge": None}, "cannot be attributed"),
        ({"turn": 3}, "cannot be attributed"),
        ({"turn": True}, "cannot be attributed"),
        ({"model": ""}, "cannot be attributed"),
        ({"question_id": None}, "cannot be attributed"),
    ],
)
def test_unusable_files_are_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    rows = ratings({})
    rows[3] |= changes
    with pytest.raises(UnusableAnnotationsError, match=message):
        scored(tmp_path, rows)


def test_foreign_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableAnnotationsError, match="not a file of MT-Bench single-answer"):
        scored(tmp_path, [pair_row(81, 1, "tie", "tie")])
    with pytest.raises(UnusableAnnotationsError, match="not a file of MT-Bench pairwise"):
        read_pairs(write_lines(tmp_path / "p.jsonl", ratings({})))


def all_pairs(changes: dict[tuple[int, int], tuple[object, object]]) -> list[dict[str, Any]]:
    keys = [(question, turn) for question in range(81, 161) for turn in (1, 2)]
    return [pair_row(*key, *changes.get(key, ("tie", "tie"))) for key in keys]


def paired(folder: Path, rows: list[dict[str, Any]], **options: Any) -> Any:
    pairs = read_pairs(write_lines(folder / "p.jsonl", rows))
    (scores,) = score_pairs(pairs, "base", **options)
    return scores


def test_a_pair_is_won_only_in_both_orders(tmp_path: Path) -> None:
    changes = {
        (81, 1): ("model_1", "model_1"),
        (81, 2): ("model_1", "model_2"),
        (82, 1): ("model_2", "model_2"),
        (82, 2): ("model_1", "tie"),
        (83, 1): ("model_1", "model_1"),
        (83, 2): ("model_1", "model_1"),
    }
    scores = paired(tmp_path, all_pairs(changes))
    assert scores.metrics["win_rate"].values[:4].tolist() == [75, 25, 100, 50]
    assert (scores.name, scores.opponent, scores.judge) == ("m", "base", "judge-1")
    assert scores.diagnostics.position_flip_rate == pytest.approx(2 / 160)
    wins = {"model_1": 8, "model_2": 3, "tie": 309}
    assert scores.diagnostics.verdicts == wins
    swapped = [
        row | {"model_1": "base", "model_2": "m", **{g: other.get(row[g], row[g]) for g in games}}
        for other, games in [
            ({"model_1": "model_2", "model_2": "model_1"}, ("g1_winner", "g2_winner"))
        ]
        for row in all_pairs(changes)
    ]
    np.testing.assert_array_equal(
        paired(tmp_path, swapped).metrics["win_rate"].values, scores.metrics["win_rate"].values
    )


def test_pairs_without_verdict(tmp_path: Path) -> None:
    changes = {(81, 1): ("error", "tie"), (82, 1): ("A", "tie"), (83, 2): ("error", "error")}
    scores = paired(tmp_path, all_pairs(changes))
    assert scores.diagnostics.unusable == {"no verdict": 2, "unknown verdict": 1}
    assert len(scores.metrics["win_rate"].values) == 77
    assert "48.12 if" in scores.notes[-1] and "51.88 if" in scores.notes[-1]
    changes |= {(84, 1): ("error", "tie")}
    with pytest.raises(UnusableAnnotationsError, match=r"4 of 160 judgments of m against base"):
        paired(tmp_path, all_pairs(changes))


def test_pairs_that_do_not_belong(tmp_path: Path) -> None:
    rows = all_pairs({})
    with pytest.raises(UnusableAnnotationsError, match="No pair has the baseline 'sft'"):
        score_pairs(read_pairs(write_lines(tmp_path / "p.jsonl", rows)), "sft")
    extra = pair_row(81, 1, "tie", "tie", model_1="x", model_2="y")
    assert "1 pairs without base left aside" in paired(tmp_path, [*rows, extra]).notes
    with pytest.raises(UnusableAnnotationsError, match="with itself"):
        paired(tmp_path, [*rows, extra | {"model_2": "x"}])
    again = pair_row(81, 1, "tie", "tie", model_1="base", model_2="m")
    with pytest.raises(UnusableAnnotationsError, match="repeat the models, question and turn"):
        paired(tmp_path, [*rows, again])
    with pytest.raises(UnusableAnnotationsError, match=r"No question of m .* two usable turns"):
        paired(tmp_path, [row for row in rows if row["turn"] == 1], maximum_lost=0.6)


def test_question_lists(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "q.jsonl", [{"question_id": 1, "category": "own"}])
    assert read_categories(path) == {"1": "own"}
    rows = [rating_row(1, 1, 4), rating_row(1, 2, 5)]
    assert scored(tmp_path, rows, categories={"1": "own"}).metrics["score"].values == [4.5]
    with pytest.raises(UnusableAnnotationsError, match="no question_id or no category"):
        read_categories(write_lines(path, [{"question_id": 1.5, "category": "own"}]))
