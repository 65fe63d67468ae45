"""Reading and scoring AlpacaEval's annotations: paired by instruction, every row accounted for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import alpaca_rows
import numpy as np
import pytest

from nlhf_repro.benchmarks.alpaca_eval import (
    Reference,
    read_gamed_rows,
    read_reference,
    score_file,
)
from nlhf_repro.benchmarks.clustered import standard_error
from nlhf_repro.interfaces import ModelScores, UnusableAnnotationsError

COUNT = 60


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("reference")
    return read_reference(
        alpaca_rows.write_questions(folder / "questions.json", COUNT),
        alpaca_rows.write_gamed(folder / "df_gamed.csv", COUNT),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "annotations.json"


def scored(path: Path, rows: Any, *arguments: Any, **settings: Any) -> ModelScores:
    (scores,) = score_file(alpaca_rows.write(path, rows), *arguments, **settings)
    return scores


def refusal(path: Path, rows: Any, *arguments: Any, **settings: Any) -> str:
    with pytest.raises(UnusableAnnotationsError) as caught:
        score_file(alpaca_rows.write(path, rows), *arguments, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_win_rates_are_means_over_instructions(path: Path, reference: Reference) -> None:
    rows = alpaca_rows.annotations(COUNT)
    scores = scored(path, rows, reference)
    shares = np.array([row["preference"] for row in rows]) - 1
    assert scores.metrics["win_rate"].values.mean() == pytest.approx(100 * shares.mean())
    assert scores.metrics["discrete_win_rate"].values.mean() == pytest.approx(
        100 * (shares > 0.5).mean()
    )
    assert set(scores.metrics) == {"win_rate", "discrete_win_rate", "lc_win_rate"}
    assert all(metric.questions == reference.questions for metric in scores.metrics.values())
    assert (scores.name, scores.opponent) == ("ours", alpaca_rows.BASELINE)
    assert scores.judge == alpaca_rows.JUDGE
    assert scores.diagnostics.rows == sum(scores.diagnostics.verdicts.values()) == COUNT
    assert scores.diagnostics.missing == 0


def test_the_order_of_rows_changes_nothing(path: Path, reference: Reference) -> None:
    rows = alpaca_rows.annotations(COUNT)
    for arguments in ((), (reference,)):
        first = scored(path, rows, *arguments)
        for seed in range(3):
            order = np.random.default_rng(seed).permutation(COUNT)
            other = scored(path, [rows[index] for index in order], *arguments)
            for name, metric in first.metrics.items():
                assert other.metrics[name].questions == metric.questions
                np.testing.assert_array_equal(other.metrics[name].values, metric.values)


def test_length_control_takes_away_what_length_gave(path: Path, reference: Reference) -> None:
    rows = alpaca_rows.annotations(COUNT, 4, longer=3.0, length_effect=-4.0, strength=0.0)
    metrics = scored(path, rows, reference).metrics
    assert metrics["lc_win_rate"].values.mean() < metrics["win_rate"].values.mean() - 2


def test_repeated_rows_are_an_error_and_no_smaller_interval(path: Path) -> None:
    rows = alpaca_rows.annotations(COUNT)
    assert "120 of 180 rows" in refusal(path, 3 * rows)
    assert "1 of 61 rows" in refusal(path, [*rows, rows[7] | {"preference": 1.0}])
    assert "'Explain item" in refusal(path, 3 * rows)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"annotator": "gpt-4.1"}, "mixes 2 values of 'annotator'"),
        ({"annotator": None}, "1 of 60 rows .* no 'annotator'"),
        ({"generator_1": "other"}, "mixes 2 values of 'generator_1'.*one baseline"),
        ({"generator_2": None}, "Row 3 .* no 'generator_2'"),
        ({"instruction": "foreign"}, "1 of 60 instructions .* not among .* 60, such as 'foreign'"),
    ],
)
def test_one_wrong_row_is_named(
    path: Path, reference: Reference, change: dict[str, Any], sentence: str
) -> None:
    rows = alpaca_rows.annotations(COUNT)
    rows[2] |= change
    with pytest.raises(UnusableAnnotationsError, match=sentence):
        score_file(alpaca_rows.write(path, rows), reference)


def test_a_model_against_itself_is_refused(path: Path) -> None:
    rows = [row | {"generator_2": alpaca_rows.BASELINE} for row in alpaca_rows.annotations(9)]
    assert "with itself, which is 50 % by construction" in refusal(path, rows)


def test_other_files_are_named_by_what_they_lack(path: Path) -> None:
    assert "not AlpacaEval's annotations.json: no row has generator_1" in refusal(path, [{"a": 1}])
    outputs = [{"instruction": "a", "output": "b", "generator": "c"}]
    assert "no row has generator_1, generator_2, output_1" in refusal(path, outputs)


def test_unusable_rows_are_counted_up_to_the_allowed_share(path: Path) -> None:
    rows = alpaca_rows.annotations(COUNT)
    changes = [
        {"preference": None}, {"preference": float("nan")}, {"preference": 2.5},
        {"preference": "2"}, {"preference": True}, {"output_2": None}, {"instruction": " "},
    ]  # fmt: skip
    for row, change in zip(rows, changes, strict=False):
        row |= change
    message = refusal(path, rows)
    assert "7 of 60 judgments of 'ours'" in message
    assert "2 without a preference" in message
    scores = scored(path, rows, maximum_unusable_share=0.2)
    assert scores.diagnostics.unusable == {
        "without a preference": 2, "with a preference outside 1 to 2": 1,
        "with a preference that is no number": 2, "without an output": 1,
        "without an instruction": 1,
    }  # fmt: skip
    assert len(scores.metrics["win_rate"].values) == 53
    assert "7 of 60 rows unusable, left out" in scores.notes


def test_missing_questions_count_as_lost(path: Path, reference: Reference) -> None:
    rows = alpaca_rows.annotations(COUNT)[4:]
    assert "4 of 60 judgments of 'ours'" in refusal(path, rows, reference)
    scores = scored(path, rows, reference, maximum_unusable_share=0.1)
    assert scores.diagnostics.missing == 4
    assert "4 questions missing" in scores.notes
    assert scored(path, rows).diagnostics.missing is None


def test_difficulties_follow_the_instruction(path: Path, reference: Reference) -> None:
    """Dropping a row leaves the others' difficulties in place, which upstream shifts."""
    rows = alpaca_rows.annotations(COUNT)
    full = scored(path, rows, reference).metrics["lc_win_rate"].values.mean()
    fewer = scored(path, rows[1:], reference, maximum_unusable_share=0.1).metrics["lc_win_rate"]
    assert fewer.values.mean() == pytest.approx(full, abs=2)


def test_foreign_instructions_get_the_minimal_fit_only(path: Path, reference: Reference) -> None:
    rows = [row | {"instruction": f"My {n}."} for n, row in enumerate(alpaca_rows.annotations(30))]
    assert "30 of 30 instructions" in refusal(path, rows, reference)
    assert "length_controlled_minimal" in refusal(path, rows, reference)
    scores = scored(path, rows)
    assert set(scores.metrics) == {"win_rate", "discrete_win_rate", "lc_win_rate_minimal"}
    assert any("not comparable" in note for note in scores.notes)


def test_draws_in_either_notation_are_one(path: Path) -> None:
    rows = alpaca_rows.annotations(COUNT)
    for row in rows[:20]:
        row["preference"] = 0
    old = scored(path, rows)
    for row in rows[:20]:
        row["preference"] = 1.5
    new = scored(path, rows)
    assert old.diagnostics == new.diagnostics
    assert old.diagnostics.verdicts["draw"] == 20
    for name, metric in new.metrics.items():
        np.testing.assert_array_equal(metric.values, old.metrics[name].values)
    assert (new.metrics["discrete_win_rate"].values == 50).sum() == 20


def test_several_models_come_apart(path: Path) -> None:
    rows = alpaca_rows.annotations(COUNT, 0, "one") + alpaca_rows.annotations(COUNT, 1, "another")
    rows = [rows[index] for index in np.random.default_rng(0).permutation(2 * COUNT)]
    another, one = score_file(alpaca_rows.write(path, rows))
    assert (another.name, one.name) == ("another", "one")
    alone = scored(path, alpaca_rows.annotations(COUNT, 0, "one"))
    for name, metric in alone.metrics.items():
        np.testing.assert_array_equal(metric.values, one.metrics[name].values)


def test_another_judge_or_baseline_is_noted(path: Path, reference: Reference) -> None:
    rows = [
        row | {"annotator": "mine", "generator_1": "gpt4"} for row in alpaca_rows.annotations(COUNT)
    ]
    notes = " ".join(scored(path, rows, reference).notes)
    assert "come from the judge weighted_alpaca_eval_gpt4_turbo" in notes
    assert "come from the baseline gpt4_1106_preview" in notes
    assert "differ from the 805" in notes


def test_a_constant_answer_and_identical_outputs_show(path: Path) -> None:
    rows = alpaca_rows.annotations(COUNT)
    rows[0]["output_2"] = rows[0]["output_1"]
    assert scored(path, rows).diagnostics.identical_outputs == 1
    null = [row | {"output_2": "pick me", "preference": 2.0} for row in rows]
    scores = scored(path, null)
    assert scores.metrics["lc_win_rate_minimal"].values.mean() == 100
    assert math.isnan(standard_error(scores.metrics["lc_win_rate_minimal"].values))


def test_the_present_outputs_must_have_been_judged(path: Path, tmp_path: Path) -> None:
    rows = alpaca_rows.annotations(COUNT)
    answers = [
        {"instruction": row["instruction"], "output": row["output_2"], "generator": "ours"}
        for row in rows
    ]
    outputs = alpaca_rows.write(tmp_path / "model_outputs.json", answers)
    assert scored(path, rows, outputs=outputs).diagnostics.missing == 0
    assert "1 of 60 judgments" in refusal(
        path, rows[1:], outputs=outputs, maximum_unusable_share=0.01
    )
    answers[5]["output"] += " more"
    alpaca_rows.write(outputs, answers)
    assert "has judged an output of 'ours'" in refusal(path, rows, outputs=outputs)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("False", "True", "is no gamed row"),
        ("False", "", "is no gamed row"),
        ("preference", "score", "no row has preference"),
        ("\n59,", "\n61,", "numbers 60 questions from 0 to 61"),
        ("\n7,gpt4_1106_preview_concise", "\n8,gpt4_1106_preview_concise", "two difficulties"),
    ],
)
def test_a_broken_reference_is_refused(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    questions = alpaca_rows.write_questions(tmp_path / "questions.json", COUNT)
    gamed = alpaca_rows.write_gamed(tmp_path / "df_gamed.csv", COUNT)
    gamed.write_text(gamed.read_text().replace("\r\n", "\n").replace(old, new))
    with pytest.raises(UnusableAnnotationsError, match=sentence):
        read_reference(questions, gamed)


def test_gamed_rows_may_lack_a_preference_but_not_a_file(tmp_path: Path) -> None:
    gamed = alpaca_rows.write_gamed(tmp_path / "df_gamed.csv", COUNT)
    lines = gamed.read_text().splitlines()
    lines[3] = lines[3].rsplit(",", 1)[0] + ","
    gamed.write_text("\n".join(lines))
    assert np.isnan(read_gamed_rows(gamed).shares).sum() == 1
    gamed.write_text(lines[0])
    with pytest.raises(UnusableAnnotationsError, match="holds no rows"):
        read_gamed_rows(gamed)
    with pytest.raises(UnusableAnnotationsError, match="cannot be read"):
        read_gamed_rows(tmp_path / "none.csv")
