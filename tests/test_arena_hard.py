"""Arena-Hard: both protocols' labels, parsers and losses, and scores clustered by question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judgment_files import BASELINE, game, new_row, old_row, write_lines

from nlhf_repro.benchmarks.arena_hard import (
    Judgment,
    Question,
    pairwise_wins,
    read_judgments,
    read_questions,
    score_judgments,
)
from nlhf_repro.benchmarks.arena_hard.labels import VERDICTS, parse_label
from nlhf_repro.interfaces import UnusableAnnotationsError
from nlhf_repro.uncertainty import estimate

ALL_V01 = ["A>>B", "A>B", "A=B", "B>A", "B>>A"]
NAME = "score/arena-hard-v0.1"


def read(folder: Path, rows: list[dict[str, Any]], **options: Any) -> tuple[Judgment, ...]:
    return read_judgments([write_lines(folder / "m.jsonl", rows)], **options)


def only_score(folder: Path, rows: list[dict[str, Any]], **options: Any) -> Any:
    (scores,) = score_judgments(read(folder, rows), **options)
    return scores


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("so [[A>>B]]", "A>>B", "A>>B"),
        ("[[A>B]] or rather [[B>A]]", None, "B>A"),
        ("[[A>B]] again [[A>B]]", "A>B", "A>B"),
        ("so [A=B]", None, "A=B"),
        ("so [[a>b]]", None, "A>B"),
        ("[A>B] and then [[B>>A]]", "B>>A", "B>>A"),
        ("[[A>>A]]", "A>>A", "A>>A"),
        ("[[C]] [[]] none", None, None),
        ("", None, None),
    ],
)
def test_parsers_of_both_versions(text: str, old: str | None, new: str | None) -> None:
    assert parse_label(text, "v0.1") == old
    assert parse_label(text, "v2.0") == new


# Scores of the model: first game has the baseline as A, second the model (facts of v2.0's table).
@pytest.mark.parametrize(
    ("label", "share_of_a", "weight"),
    [
        ("A>B", 1, 1),
        ("A>>B", 1, 3),
        ("A=B", 0.5, 1),
        ("A<B", 0, 1),
        ("A<<B", 0, 3),
        ("B>A", 0, 1),
        ("B>>A", 0, 3),
        ("B=A", 0.5, 1),
        ("B<A", 1, 1),
        ("B<<A", 1, 3),
    ],
)
def test_every_label_has_its_share_and_weight(
    tmp_path: Path, label: str, share_of_a: float, weight: float
) -> None:
    (judgment,) = read(tmp_path, [new_row("q", label, label)])
    assert judgment.outcomes() == [(1 - share_of_a, weight), (share_of_a, weight)]
    (older,) = read(tmp_path, [old_row("q", label, label)])
    known = label in ALL_V01
    assert older.outcomes() == (judgment.outcomes() if known else [])
    assert older.losses() == ([] if known else ["unknown verdict"] * 2)


def test_the_verdicts_of_a_version_are_closed() -> None:
    assert list(VERDICTS["v0.1"]) == ALL_V01
    assert len(VERDICTS["v2.0"]) == 10


def test_an_odd_label_costs_one_game_in_v01_and_the_question_in_v20(tmp_path: Path) -> None:
    (old,) = read(tmp_path, [old_row("q", "A>>A", "A>B")])
    assert old.outcomes() == [(1.0, 1.0)] and old.losses() == ["unknown verdict"]
    (new,) = read(tmp_path, [new_row("q", "A>>A", "A>B")])
    assert new.outcomes() == []
    assert new.losses() == ["unknown verdict", "other game of the question unusable"]


def test_reasons_of_lost_games(tmp_path: Path) -> None:
    rows = [old_row("q", "A>B", "A>B")]
    rows[0]["games"] = [game(None, "[[A>B]] and [[B>A]]"), game(None, "no idea")]
    assert read(tmp_path, rows)[0].losses() == ["several verdicts", "no verdict"]
    assert read(tmp_path, [new_row("q", "A>B", "A>B", games=[None])])[0].losses() == [
        "no verdict",
        "no verdict",
    ]
    assert read(tmp_path, [new_row("q", 7, ["A"])])[0].losses() == ["unknown verdict"] * 2


def test_score_is_the_weighted_win_rate_with_a_clustered_error(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = generator.choice(ALL_V01, size=(60, 2))
    rows = [old_row(f"q{i:02}", *pair) for i, pair in enumerate(labels.tolist())]
    scores = only_score(tmp_path, rows)
    share = {"A>>B": (1, 3), "A>B": (1, 1), "A=B": (0.5, 1), "B>A": (0, 1), "B>>A": (0, 3)}
    s, w, single = np.zeros(60), np.zeros(60), np.zeros(60)
    for i, (first, second) in enumerate(labels.tolist()):
        for value, weight in ((1 - share[first][0], share[first][1]), share[second]):
            s[i] += value * weight
            w[i] += weight
            single[i] += value / 2
    theta = s.sum() / w.sum()
    error = np.sqrt(60 / 59 * ((s - theta * w) ** 2).sum()) / w.sum()
    inference = estimate(scores.metrics[NAME].values[None])
    assert inference.estimate == pytest.approx(100 * theta, abs=1e-10)
    assert inference.standard_error == pytest.approx(100 * error, rel=1e-12)
    plain = scores.metrics["unweighted_score/arena-hard-v0.1"]
    np.testing.assert_allclose(plain.values, 100 * single, atol=1e-10)


def test_rows_in_any_order_and_position_of_the_sides(tmp_path: Path) -> None:
    rows = [old_row("a", "A>B", "B>>A"), old_row("b", "B>A", "A>B"), old_row("c", "A=B", "A>B")]
    one, other = only_score(tmp_path, rows), only_score(tmp_path, rows[::-1])
    by = dict(zip(one.metrics[NAME].questions, one.metrics[NAME].values, strict=True))
    assert by == pytest.approx(
        dict(zip(other.metrics[NAME].questions, other.metrics[NAME].values, strict=True))
    )
    assert one.diagnostics.position_flip_rate == pytest.approx(1 / 3)  # the tie becomes a win
    assert one.diagnostics.verdicts == {"A>B": 3, "B>>A": 1, "B>A": 1, "A=B": 1}
    assert one.diagnostics.rows == 6 and one.diagnostics.identical_outputs == 0


def test_all_wins_score_100_and_one_question_has_no_error(tmp_path: Path) -> None:
    scores = only_score(tmp_path, [old_row("a", "B>>A", "A>>B")])
    assert scores.metrics[NAME].values == pytest.approx([100.0])
    assert np.isnan(estimate(scores.metrics[NAME].values[None]).standard_error)


def test_losses_above_the_threshold_are_refused_and_below_it_shown(tmp_path: Path) -> None:
    rows = [old_row(f"q{i}", "B>A", "A>B") for i in range(50)]
    rows[0] = old_row("q0", "A>>A", "A>B")
    scores = only_score(tmp_path, rows)
    assert scores.diagnostics.unusable == {"unknown verdict": 1}
    assert not any("if all that" in note for note in scores.notes)  # 1 % of 100 games
    rows[1] = old_row("q1", "A>>A", "A>B")
    note = only_score(tmp_path, rows).notes[-1]
    assert (
        "2 of 100" in note and "94.23 if" in note and "100.00 if" in note
    )  # 98 of 98, or of 98 + 2 x 3
    rows[2] = old_row("q2", "A>>A", "A>B")
    with pytest.raises(UnusableAnnotationsError, match=r"3 of 100 .* more than the 2 % allowed"):
        only_score(tmp_path, rows)
    assert only_score(tmp_path, rows, maximum_lost=0.03)


def test_nearly_all_labels_missing_is_refused(tmp_path: Path) -> None:
    rows = [old_row(f"q{i}", None, None) for i in range(94)]
    rows += [old_row(f"r{i}", "B>A", "A>B") for i in range(6)]
    with pytest.raises(UnusableAnnotationsError, match="188 of 200"):
        only_score(tmp_path, rows)


def test_a_degenerate_judge_and_a_constant_answer_show(tmp_path: Path) -> None:
    rows = [old_row(f"q{i}", "A=B", "A=B") for i in range(30)]
    scores = only_score(tmp_path, rows)
    assert scores.diagnostics.verdicts == {"A=B": 60}
    assert "one and the same answer to 30 of 30 questions" in scores.notes
    same = [old_row(f"q{i}", "A=B", "A=B") for i in range(2)]
    same[1]["games"] = [game("A=B", answers=("x", "x")), game("A=B", answers=("x", "x"))]
    assert only_score(tmp_path, same).diagnostics.identical_outputs == 1
    silent = [{**old_row("q", "A=B", "A=B"), "games": [{"score": "A=B"}, {"score": "A=B"}]}]
    assert only_score(tmp_path, silent).diagnostics.identical_outputs is None


def test_labels_that_the_parser_does_not_read_are_noted(tmp_path: Path) -> None:
    rows = [old_row("a", "A>B", "A>B"), old_row("b", "A>B", "A>B")]
    rows[0]["games"][0]["judgment"] = "It is [[B>A]]"
    (note,) = [each for each in only_score(tmp_path, rows).notes if "parser" in each]
    assert note.startswith("1 of 4 recorded labels differ")


def test_categories_are_never_pooled(tmp_path: Path) -> None:
    creative = {"category": "creative_writing", "baseline": "gemini-2.0-flash-001"}
    rows = [new_row("a", "B>A", "A>B"), new_row("b", "A>B", "B>A"), new_row("c", "A=B", "A=B")]
    rows[2] |= creative
    write_lines(
        tmp_path / "question.jsonl",
        [
            {"uid": "a", "category": "hard_prompt", "subcategory": "coding"},
            {"uid": "b", "category": "hard_prompt", "subcategory": "math"},
            {"uid": "c", "category": "creative_writing", "subcategory": "creative_writing"},
        ],
    )
    questions = read_questions(tmp_path / "question.jsonl")
    writing, hard = score_judgments(read(tmp_path, rows), questions)
    assert (writing.opponent, hard.opponent) == ("gemini-2.0-flash-001", "o3-mini-2025-01-31")
    means = {name: float(each.values.mean()) for name, each in hard.metrics.items()}
    expected = {"hard_prompt": 50, "coding": 100, "math": 0}
    kinds = ("score", "unweighted_score")
    assert means == pytest.approx(
        {f"{kind}/{of}": expected[of] for kind in kinds for of in expected}
    )
    assert set(writing.metrics) == {"score/creative_writing", "unweighted_score/creative_writing"}
    assert writing.notes == () and hard.diagnostics.missing == 0


def test_missing_and_foreign_questions(tmp_path: Path) -> None:
    judgments = read(tmp_path, [old_row("a", "A>B", "A>B")])
    (scores,) = score_judgments(judgments)
    assert "1 of the protocol's 500 questions" in scores.notes
    assert scores.diagnostics.missing is None
    known = {"a": Question("arena-hard-v0.1", None), "b": Question("arena-hard-v0.1", None)}
    with pytest.raises(UnusableAnnotationsError, match=r"2 of 4 .*2 missing"):
        score_judgments(judgments, known)
    (scores,) = score_judgments(judgments, known, maximum_lost=0.5)
    assert scores.diagnostics.missing == 1
    with pytest.raises(UnusableAnnotationsError, match="not in the list"):
        score_judgments(judgments, {"b": known["b"]})
    with pytest.raises(UnusableAnnotationsError, match="another category"):
        score_judgments(judgments, {"a": Question("hard_prompt", None)})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"instruction": "x", "preference": 1}], "no row has games, judge, model"),
        ([old_row("a", "A>B", "A>B"), {**old_row("b", "A>B", "A>B"), "judge": "other"}], "mixes"),
        ([old_row("a", "A>B", "A>B")] * 2, "repeat"),
        ([old_row("a", "A>B", "A>B", model=BASELINE)], "with itself"),
        ([old_row("a", "A>B", "A>B"), new_row("b", "A>B", "A>B")], "mix protocols"),
        ([{**old_row("a", "A>B", "A>B"), "games": "A>B"}], "no list of two games"),
        ([{**old_row("a", "A>B", "A>B"), "games": [None] * 3}], "no list of two games"),
        ([{**old_row("a", "A>B", "A>B"), "model": None}], "cannot be attributed"),
        ([{**new_row("a", "A>B", "A>B"), "category": 3}], "cannot be attributed"),
        ([new_row("a", "A>B", "A>B", baseline=None, category="poems")], "names no baseline"),
    ],
)
def test_unusable_files_are_refused(tmp_path: Path, rows: list[Any], message: str) -> None:
    with pytest.raises(UnusableAnnotationsError, match=message):
        read(tmp_path, rows)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableAnnotationsError, match="No Arena-Hard file"):
        read_judgments([])
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(UnusableAnnotationsError, match="is empty"):
        read_judgments([tmp_path / "empty.jsonl"])
    whole = write_lines(tmp_path / "whole.jsonl", [old_row("a", "A>B", "A>B")] * 2).read_text()
    (tmp_path / "cut.jsonl").write_text(whole[:-20])
    with pytest.raises(UnusableAnnotationsError, match="truncated"):
        read_judgments([tmp_path / "cut.jsonl"])


def test_judges_are_not_mixed_over_files(tmp_path: Path) -> None:
    first = write_lines(tmp_path / "a.jsonl", [old_row("a", "A>B", "A>B")])
    second = write_lines(tmp_path / "b.jsonl", [{**old_row("a", "A>B", "A>B", "n"), "judge": "x"}])
    with pytest.raises(UnusableAnnotationsError, match="mix judges: judge-1, x"):
        read_judgments([first, second])


def test_a_round_robin_has_wins_by_question_and_no_score(tmp_path: Path) -> None:
    rows = [
        new_row("a", "B>A", "A>>B", model="m", baseline="n"),
        new_row("a", "A>B", "A=B", model="n", baseline="o"),
        new_row("b", "A>B", "B>A", model="m", baseline="o"),
    ]
    judgments = read(tmp_path, rows)
    names, questions, wins = pairwise_wins(judgments)
    assert (names, questions) == (("m", "n", "o"), ("a", "b"))
    assert wins.tolist() == [
        [[0, 4, 0], [0, 0, 0.5], [0, 1.5, 0]],
        [[0, 0, 0], [0, 0, 0], [2, 0, 0]],
    ]
    with pytest.raises(UnusableAnnotationsError, match="met 2 baselines"):
        score_judgments(judgments)


def test_the_stated_baseline_and_a_judge_of_itself_are_noted(tmp_path: Path) -> None:
    rows = [{**old_row("a", "A>B", "B>A"), "judge": "m"}]
    (scores,) = score_judgments(read(tmp_path, rows, baseline="sft"))
    assert scores.opponent == "sft"
    assert "opponent sft is not the protocol's gpt-4-0314" in scores.notes
    assert "the judge judges its own answers" in scores.notes
