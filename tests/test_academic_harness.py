"""lm-eval asked of a model in memory: closed forms, its own numbers, examples and seeds."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from academic_tasks import (
    ANSWER,
    CHOICE,
    LOGITS,
    PICKS,
    harness,
    picks_and_answers,
    results,
    samples,
    shuffling,
    write_task,
)
from scripted_model import log_prob, scripted

from nlhf_repro.benchmarks.academic import read_run, score_run
from nlhf_repro.benchmarks.clustered import standard_error
from nlhf_repro.interfaces import ImpossibleSettingError, ModelBenchmark

pytestmark = pytest.mark.slow  # importing lm-eval takes seconds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return picks_and_answers(tmp_path)


# --- closed forms, and lm-eval's own numbers


def test_values_are_those_of_the_logits(folder: Path, tmp_path: Path) -> None:
    benchmark = harness(folder, "picks", "answers")
    assert isinstance(benchmark, ModelBenchmark) and benchmark.comparable
    scores, notes = benchmark.score_model(*scripted(LOGITS), 0, tmp_path / "out")
    right = [100.0 * (answer == pick) for *_, answer, pick in PICKS]
    rows = samples(tmp_path / "out", "picks")
    by_question = dict(zip(scores.questions, scores.values, strict=True))
    assert [by_question[f"picks:{row['doc_hash']}"] for row in rows] == right
    for (question, choices, *_), row in zip(PICKS, rows, strict=True):
        for choice, ((found, _),) in zip(choices, row["resps"], strict=True):
            expected = log_prob(LOGITS, question, choice.split())
            assert float(found) == pytest.approx(expected, abs=2e-6)
    answers = samples(tmp_path / "out", "answers")
    assert [row["filtered_resps"] for row in answers] == [["c d"]] * 3
    told = [100.0, 0.0, 100.0]
    assert [by_question[f"answers:{row['doc_hash']}"] for row in answers] == told
    assert (scores.metric, scores.unit, scores.is_plain_mean) == ("macro_average", "percent", True)
    errors = [np.std(x, ddof=1) / np.sqrt(len(x)) for x in (right, told)]
    assert standard_error(scores.values, scores.strata) == pytest.approx(np.hypot(*errors) / 2)
    assert notes[0].startswith("mean over 2 tasks of equal weight: acc/picks, exact_match/answers")
    assert "prompts without the chat template" in notes
    assert "examples in the prompt: picks 0, answers 0" in notes


def test_numbers_and_errors_agree_with_lm_evals(folder: Path, tmp_path: Path) -> None:
    from lm_eval.api.metrics import mean_stderr

    for task, key in (("picks", "acc,none"), ("answers", "exact_match,none")):
        record = tmp_path / task
        scores, _ = harness(folder, task).score_model(*scripted(LOGITS), 0, record)
        assert scores.metric == f"{key.removesuffix(',none')}/{task}"
        reported = json.loads(results(record).read_text())["results"][task][key]
        assert scores.values.mean() / 100 == pytest.approx(reported, abs=1e-12)
        own = mean_stderr([row[key.partition(",")[0]] for row in samples(record, task)])
        assert standard_error(scores.values) / 100 == pytest.approx(own, abs=1e-9)


def test_the_record_is_read_by_score(folder: Path, tmp_path: Path) -> None:
    from lm_eval.utils import get_file_task_name, get_results_filenames

    scores, _ = harness(folder, "picks").score_model(*scripted(LOGITS), 0, tmp_path)
    read = score_run(read_run(results(tmp_path)))
    assert (read.name, read.judge) == ("policy", "none") and read.version.startswith("lm-eval 0")
    np.testing.assert_array_equal(read.metrics["acc/picks"].values, scores.values)
    assert get_results_filenames([str(results(tmp_path))])
    assert get_file_task_name(next(tmp_path.glob("samples_*")).name) == "picks"


@pytest.mark.parametrize("by_size", [True, False])
def test_a_group_counts_as_one_task(folder: Path, tmp_path: Path, by_size: bool) -> None:
    write_task(folder, "more", [{"question": "q2", "choices": ["a", "b"], "answer": 1}] * 2, CHOICE)
    (folder / "own.yaml").write_text(
        "group: own\ntask: [picks, more]\naggregate_metric_list: "
        f"[{{metric: acc, aggregation: mean, weight_by_size: {by_size}}}]\n"
    )
    benchmark = harness(folder, "own", "answers")
    scores, notes = benchmark.score_model(*scripted(LOGITS), 0, tmp_path / "out")
    group = 100 * (4 / 5 * 5 + 2) / 7 if by_size else 100 * (4 / 5 + 1) / 2
    groups = json.loads(results(tmp_path / "out").read_text())["groups"]
    assert 100 * groups["own"]["acc,none"] == pytest.approx(group)
    means = [scores.values[np.array(scores.strata) == x].mean() for x in ("own", "answers")]
    assert means == pytest.approx([group, 200 / 3])
    assert "examples in the prompt: own 0, answers 0" in notes
    with pytest.raises(ImpossibleSettingError, match="picks is in own and in picks"):
        harness(folder, "own", "picks").score_model(*scripted(LOGITS), 0, tmp_path / "twice")


def test_a_stratified_group_keeps_its_error() -> None:
    """Pseudo-observations of one stratum have the mean and the error of the strata."""
    from nlhf_repro.benchmarks.academic.scores import _one_stratum
    from nlhf_repro.interfaces import MetricScores

    stream = np.random.default_rng(0)
    sizes = (40, 400)
    values = np.concatenate([stream.normal(10 * n, n, n) for n in sizes])
    labels = tuple(str(n) for n in sizes for _ in range(n))
    scores = MetricScores("acc/g", "percent", labels, values, True, labels)
    flat = _one_stratum(scores)
    assert flat.strata is None and not flat.is_plain_mean
    parts = [values[:40], values[40:]]
    assert flat.values.mean() == pytest.approx(sum(x.mean() for x in parts) / 2)
    exact = standard_error(values, labels)
    assert standard_error(flat.values) == pytest.approx(exact, rel=0.03)  # ddof of 440


# --- examples, seeds and documents


def with_examples(folder: Path) -> None:
    documents = [{"question": q, "choices": ["a", "b"], "answer": 0} for q in ("q1", "q2", "q3")]
    pool = [{"question": f"{x} then", "choices": ["a", "b"], "answer": 1} for x in "abcde"]
    write_task(folder, "pool", pool, CHOICE)
    write_task(folder, "shot", documents, f"{CHOICE}fewshot_split: train\n")
    text = (folder / "shot.yaml").read_text()
    extended = text.replace("{test: ", f"{{train: {folder / 'pool.jsonl'}, test: ")
    (folder / "shot.yaml").write_text(extended)


def prompts(record: Path) -> list[str]:
    return [row["arguments"]["gen_args_0"]["arg_0"] for row in samples(record, "shot")]


def test_examples_are_drawn_as_declared(folder: Path, tmp_path: Path) -> None:
    with_examples(folder)
    drawn: dict[tuple[str, int, int], list[str]] = {}
    kept = set()
    for examples, seed, again in (
        ("fixed", 0, 0), ("fixed", 1, 0), ("by_seed", 0, 0), ("by_seed", 0, 1), ("by_seed", 1, 0),
    ):  # fmt: skip
        record = tmp_path / f"{examples}{seed}{again}"
        benchmark = harness(folder, "shot", shots={"shot": 2}, examples=examples)
        scores, notes = benchmark.score_model(*scripted(LOGITS), seed, record)
        drawn[examples, seed, again] = prompts(record)
        kept.add(scores.questions)
        assert ("examples drawn anew for every seed" in notes) == (examples == "by_seed")
        assert "examples in the prompt: shot 2" in notes
    assert all(prompt.count("then") == 2 for prompt in drawn["fixed", 0, 0])
    assert drawn["fixed", 0, 0] == drawn["fixed", 1, 0]
    assert drawn["by_seed", 0, 0] == drawn["by_seed", 0, 1] != drawn["by_seed", 1, 0]
    assert len(kept) == 1  # documents pair whatever is drawn


def test_documents_that_a_task_shuffles_stay(folder: Path, tmp_path: Path) -> None:
    """As those of GPQA."""
    shuffling(folder)
    found = []
    for number, tasks in enumerate((["order"], ["order"], ["picks", "order"])):
        random.seed(number)  # noqa: TID251 - a state that must not matter
        record = tmp_path / str(number)
        harness(folder, *tasks).score_model(*scripted(LOGITS), number, record)
        found.append([(row["doc_hash"], row["doc"]["choices"]) for row in samples(record, "order")])
        assert all(row["acc"] == 1.0 for row in samples(record, "order"))
    assert found[0] == found[1] == found[2]
    assert len({tuple(choices) for _, choices in found[0]}) > 1


def test_a_seed_decides_what_is_sampled(folder: Path, tmp_path: Path) -> None:
    documents = [{"question": "then", "answer": "a", "n": n} for n in range(6)]
    sampled = ANSWER.replace("do_sample: false", "do_sample: true, temperature: 1.0")
    write_task(folder, "drawn", documents, sampled)
    texts = []
    for number, seed in enumerate((0, 0, 1)):
        record = tmp_path / str(number)
        harness(folder, "drawn").score_model(*scripted(LOGITS), seed, record)
        texts.append([row["filtered_resps"] for row in samples(record, "drawn")])
    assert texts[0] == texts[1] != texts[2]


def test_the_fingerprint_holds_the_data(folder: Path, tmp_path: Path) -> None:
    benchmark = harness(folder, "picks")
    before = benchmark.fingerprint()
    assert {"lm_eval", "picks.yaml", "picks.jsonl"} <= set(before)
    elsewhere = tmp_path / "elsewhere.jsonl"
    (folder / "picks.jsonl").rename(elsewhere)
    text = (folder / "picks.yaml").read_text()
    (folder / "picks.yaml").write_text(text.replace(str(folder / "picks.jsonl"), str(elsewhere)))
    moved = benchmark.fingerprint()
    elsewhere.write_text(elsewhere.read_text() + "\n")
    assert before != moved != benchmark.fingerprint()
    assert "picks.yaml" not in replace(benchmark, include_path=None).fingerprint()
