"""Judged benchmarks from a policy to a table: what is asked once, kept, averaged and noted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import scripted_judges
from mini_world import run_record, run_tiny, stages, tiny_overrides

from nlhf_repro.cells import single_cell
from nlhf_repro.interfaces import (
    Answers,
    Decoding,
    ImpossibleSettingError,
    Judgment,
    Question,
)
from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy, most_positions
from nlhf_repro.models.encoding import prompt_tokens
from nlhf_repro.pipeline.cell import stage_store
from nlhf_repro.pipeline.evaluation_keys import answers_key, evaluation_key, judgments_key
from nlhf_repro.pipeline.keys import train_key
from nlhf_repro.pipeline.language.answering import (
    Answer,
    answer_questions,
    check_positions,
    prompt_of,
)
from nlhf_repro.pipeline.language.judged_notes import agreement_notes
from nlhf_repro.pipeline.language.shown_judgments import judged_names, shown_questions
from nlhf_repro.pipeline.language.task import LanguageTask, base_model
from nlhf_repro.pipeline.metrics import read_scores
from nlhf_repro.pipeline.records import DeclaredCell, row_records
from nlhf_repro.pipeline.scored import judge_of, judged_benchmark
from nlhf_repro.pipeline.stages import generators
from nlhf_repro.verbs.run import check_asked, check_parts

ALPACA = "alpaca_eval_mini"
JUDGE = (
    "~benchmark.alpaca_eval_mini.judge",
    "+benchmark.alpaca_eval_mini.judge._target_=scripted_judges.RuleJudge",
    "+benchmark.alpaca_eval_mini.judge.rule=longer",
)


def composed(*overrides: str) -> dict:
    arguments = [*tiny_overrides(benchmark=f"[{ALPACA}]"), *JUDGE, *overrides]
    return dict(single_cell(arguments).config)


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory):
    """A tiny cell with a judged benchmark beside an oracle's, and how often its judge was asked."""
    folder = tmp_path_factory.mktemp("judged")
    scripted_judges.ASKED.clear()
    result = run_tiny(folder, *JUDGE, benchmark=f"[oracle_win_rate,{ALPACA}]")
    return folder, result, list(scripted_judges.ASKED)


def evaluated(folder: Path, result) -> Path:
    key = run_record(result)["stages"]["evaluate"][ALPACA]
    return folder / "stages" / f"evaluate-{key[:16]}"


def test_every_question_is_asked_once_a_draw(cell) -> None:
    folder, _, asked = cell
    rows = pq.read_table(stages(folder, "judge")[0] / "judgments.parquet").to_pylist()
    assert len(rows) == len(asked) <= 500
    by_draw = [sum(x.draw == draw for x in asked) for draw in range(5)]
    assert len(set(by_draw)) == 1
    assert {x.material.details["topic"] for x in asked}  # local judges know the post


def test_scores_are_the_mean_over_draws_and_of_the_last_update_alone(cell) -> None:
    folder, result, _ = cell
    found = evaluated(folder, result)
    values = read_scores(found)["last"]
    assert values.shape == (3, 100)
    assert np.isnan(values[:-1]).all() and np.isfinite(values[-1]).all()
    draws = np.load(found / "judge_draws.npz")["last"]
    assert draws.shape == (3, 5, 100)
    np.testing.assert_allclose(draws[-1].mean(axis=0), values[-1], rtol=1e-12)
    assert set(np.round(values[-1], 9)) <= {10.0, 50.0, 90.0}


def test_the_notes_name_the_judge_and_that_numbers_are_not_published(cell) -> None:
    folder, result, _ = cell
    notes = json.loads((evaluated(folder, result) / "benchmark.json").read_text())["notes"]
    assert notes[0] == ("judge: rule: longer, 5 draws of it; not comparable with published numbers")
    assert run_record(result)["judges"][ALPACA]["judge"] == "rule: longer"
    lines = (result.directory / "metrics.jsonl").read_text().splitlines()
    assert [ALPACA in line for line in lines] == [False, False, True]


def test_upstream_files_hold_what_was_answered(cell) -> None:
    folder, result, _ = cell
    upstream = evaluated(folder, result) / "upstream" / "last"
    assert sorted(x.name for x in upstream.iterdir()) == [f"draw-{n}" for n in range(5)]
    rows = json.loads((upstream / "draw-0" / "annotations.json").read_text())
    answers = pq.read_table(stages(folder, "answer")[0] / "answers.parquet").to_pylist()
    assert len(rows) == 100 and len(answers) == 100
    assert {row["generator_2"] for row in rows} == {"policy"}


def test_a_report_shows_every_question_with_its_answers_and_scores(cell) -> None:
    folder, result, _ = cell
    chosen = tiny_overrides(benchmark=f"[oracle_win_rate,{ALPACA}]")
    config = dict(single_cell([*chosen, *JUDGE, f"output_dir={folder}"]).config)
    declared = [DeclaredCell("INPO", config["seed"], config["world"], result.key, config)]
    records, store = row_records(declared, folder), stage_store(folder)
    assert judged_names(config) == [ALPACA]
    shown = shown_questions(ALPACA, declared, records, store)
    rows = pq.read_table(stages(folder, "answer")[0] / "answers.parquet").to_pylist()
    other = pq.read_table(stages(folder, "answer")[1] / "answers.parquet").to_pylist()
    texts = [[x["text"] for x in each if x["iterate"] == "last"] for each in (rows, other)]
    answers = [[prompt.answers[place].text for prompt in shown] for place in (0, 1)]
    assert sorted(answers) == sorted(texts)
    assert [x.label for x in shown[0].answers] == ["the reference", "INPO"]
    values = read_scores(evaluated(folder, result))["last"][-1]
    assert [prompt.answers[1].preferred for prompt in shown] == list(values / 100)
    assert all(prompt.answers[0].preferred is None for prompt in shown)


def test_scoring_again_asks_nobody_and_answers_nothing(cell) -> None:
    folder, _, _ = cell
    before = {stage: stages(folder, stage) for stage in ("train", "answer", "judge", "evaluate")}
    scripted_judges.ASKED.clear()
    changed = "benchmark.alpaca_eval_mini.metric=lc_win_rate"
    run_tiny(folder, *JUDGE, changed, benchmark=f"[{ALPACA}]")
    assert not scripted_judges.ASKED
    after = {stage: stages(folder, stage) for stage in before}
    assert {k: len(after[k]) - len(v) for k, v in before.items()} == {
        "train": 0,
        "answer": 0,
        "judge": 0,
        "evaluate": 1,
    }


def test_keys_say_what_has_to_be_done_again() -> None:
    def keys(*overrides: str) -> list[str]:
        config = composed(*overrides)
        return [
            train_key(config),
            answers_key(config, ALPACA),
            judgments_key(config, ALPACA),
            evaluation_key(config, ALPACA),
        ]

    node, base = f"benchmark.{ALPACA}", keys()
    changed = {
        "training.iterations=3": 0,
        f"{node}.decoding.temperature=0": 1,
        f"{node}.decoding.max_new_tokens=5": 1,
        f"{node}.judge.rule=shorter": 2,
        f"{node}.repeats=2": 2,
        f"{node}.seed=1": 2,
        f"{node}.metric=discrete_win_rate": 3,
        f"{node}.maximum_unusable_share=0.5": 3,
    }
    for override, first in changed.items():
        same = [one == other for one, other in zip(base, keys(override), strict=True)]
        assert same == [place < first for place in range(4)], override


def test_the_runs_judge_goes_before_the_benchmarks_own(tmp_path: Path) -> None:
    judge = ("+judge._target_=scripted_judges.RuleJudge", "+judge.rule=shorter")
    assert judgments_key(composed("~judge", *judge), ALPACA) != judgments_key(composed(), ALPACA)


def test_a_judged_benchmark_without_a_judge_is_refused_before_training() -> None:
    config = composed()
    del config["benchmark"][ALPACA]["judge"]
    with pytest.raises(ImpossibleSettingError, match="asks a judge, and there is none"):
        check_parts(config)
    config["judge"] = {"_target_": "nlhf_repro.oracles.noisy.Noisy", "flip_rate": 0.1}
    with pytest.raises(ImpossibleSettingError, match="is no judge"):
        check_parts(config)


def test_games_have_no_judged_benchmarks() -> None:
    config = dict(single_cell([f"benchmark=[{ALPACA}]", *JUDGE]).config)
    with pytest.raises(ImpossibleSettingError, match="scores answers of a language model"):
        check_parts(config)


def test_a_local_judge_is_set_beside_the_oracle_of_training() -> None:
    config = single_cell([*tiny_overrides(benchmark=f"[{ALPACA}]")]).config
    benchmark, judge = judged_benchmark(config, ALPACA), judge_of(config, ALPACA)
    oracle = LanguageTask(config, None).oracle()
    questions = benchmark.questions()
    good = Answers("a", {x.identifier: (oracle_writes(oracle, x),) for x in questions}, {})
    bad = Answers("b", {x.identifier: ("so so so so",) for x in questions}, {})
    asked = [Judgment(request, ()) for request in benchmark.requests(good, bad)]
    (note,) = agreement_notes(judge, oracle, asked)
    assert note.startswith("the judge prefers what the oracle of training prefers in 100%")
    assert agreement_notes(scripted_judges.RuleJudge("longer"), oracle, asked) == []


def oracle_writes(oracle, question: Question) -> str:
    return oracle.responder_response(prompt_of(question, 0, ()), 0)


def two_turns(count: int) -> list[Question]:
    posts = single_cell(tiny_overrides()).config
    prompts = LanguageTask(posts, None).prompts("evaluation")
    texts = [prompt.messages[-1].content for prompt in prompts]
    return [
        Question(
            f"q{n}",
            (texts[n], texts[n + 1]),
            "hot" if n % 2 else "cold",
            (dict(prompts[n].details), dict(prompts[n + 1].details)),
        )
        for n in range(count)
    ]


def test_the_second_turn_sees_the_first_answer_and_categories_their_temperature() -> None:
    task = LanguageTask(single_cell(tiny_overrides()).config, None)
    questions = two_turns(4)
    decoding = Decoding(1.0, 6, None, None, {"cold": 0.0})
    draws = generators(("test",))
    answered = answer_questions(task, None, questions, decoding, draws)
    assert all(len(answers) == 2 for answers in answered.values())
    prompt = prompt_of(questions[0], 1, answered["q0"])
    assert [x.role for x in prompt.messages] == ["user", "assistant", "user"]
    assert prompt.messages[1].content == answered["q0"][0].text
    assert prompt.details == questions[0].details[1]
    again = answer_questions(task, None, questions, decoding, generators(("other",)))
    same = {name: again[name][0] == answered[name][0] for name in answered}
    assert same["q0"] and same["q2"]  # greedy
    assert not (same["q1"] and same["q3"])


def test_answers_of_equal_policies_are_equal() -> None:
    task = LanguageTask(single_cell(tiny_overrides()).config, None)
    questions = [replace(x, turns=x.turns[:1]) for x in two_turns(3)]
    decoding = Decoding(1.0, 6, None, None, {})
    first = answer_questions(task, None, questions, decoding, generators(("test",)))
    second = answer_questions(task, None, questions, decoding, generators(("test",)))
    assert first == second


def test_turns_that_may_not_fit_are_refused_before_any_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each turn alone fits, and so do the prompts of both temperatures before their answers."""
    task = LanguageTask(single_cell(tiny_overrides()).config, None)
    questions, draws = two_turns(4), generators(("test",))
    model, tokenizer = base_model(task.config)
    most = most_positions(model.config)
    last = [prompt_of(x, 1, [Answer("", 0, True)]) for x in questions]
    longest = max(map(len, prompt_tokens(tokenizer, last)))
    fits = Decoding(1.0, (most - longest) // 2, None, None, {"cold": 0.0})
    check_positions(model.config, tokenizer, questions, fits)
    above = replace(fits, max_new_tokens=fits.max_new_tokens + 1)
    monkeypatch.setattr(CausalLanguageModelPolicy, "sample", None)
    with pytest.raises(ImpossibleSettingError, match=rf"has {most}: lower .*max_new_tokens"):
        answer_questions(task, None, questions, above, draws)


def test_questions_too_long_for_a_folders_model_are_refused_before_its_weights_are_read(
    tmp_path: Path,
) -> None:
    config = composed()
    model, tokenizer = base_model(config)
    model.config.max_position_embeddings = 30
    model.config.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    settings = {"name_or_path": str(tmp_path), "revision": None, "dtype": "float32", "lora": None}
    target = "nlhf_repro.models.pretrained.PretrainedCausalLM"
    placed = {"_target_": target, "device": "cpu", "gradient_checkpointing": False, **settings}
    with pytest.raises(ImpossibleSettingError, match="positions, but the model has 30: lower"):
        check_asked({**config, "model": placed})
    model.config.max_position_embeddings = 4096
    model.config.save_pretrained(tmp_path)
    check_asked({**config, "model": placed})
    assert not list(tmp_path.glob("*.safetensors"))
