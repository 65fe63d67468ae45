"""Academic tasks: lm-eval's files, its own means, and the error that a group's mean has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judgment_files import write_lines

from nlhf_repro.benchmarks.academic import read_run, score_run
from nlhf_repro.benchmarks.clustered import standard_error
from nlhf_repro.interfaces import UnusableAnnotationsError

DATE = "2026-01-02T03-04-05.678901"
Task = dict[str, list[Any]]  # values of each "metric,filter" by document


def sample(document: int, which: str, values: dict[str, Any]) -> dict[str, Any]:
    row = {"doc_id": document, "doc_hash": f"hash{document}", "filter": which}
    return row | {"metrics": list(values)} | values


def write_run(folder: Path, tasks: dict[str, Task], **changes: Any) -> Path:
    """Files of a run whose numbers are the means over documents, unless `changes` says else."""
    results: dict[str, dict[str, Any]] = {}
    for task, metrics in tasks.items():
        rows = []
        for which in {key.partition(",")[2] for key in metrics}:
            keys = [key for key in metrics if key.endswith(f",{which}")]
            for document in range(len(metrics[keys[0]])):
                values = {key.partition(",")[0]: metrics[key][document] for key in keys}
                rows.append(sample(document, which, values))
        write_lines(folder / f"samples_{task}_{DATE}.jsonl", rows)
        results[task] = {"alias": task}
        for key, documents in metrics.items():
            numbers = [x for x in documents if isinstance(x, int | float | list)]
            flat = np.concatenate([np.ravel(x) for x in numbers]) if numbers else np.zeros(1)
            results[task] |= {key: float(flat.mean()), key.replace(",", "_stderr,"): 0.01}
    record = {
        "results": results,
        "group_subtasks": {task: [] for task in tasks},
        "n-shot": dict.fromkeys(tasks, 0),
        "n-samples": {
            t: {"original": n, "effective": n}
            for t, m in tasks.items()
            for n in [len(next(iter(m.values())))]
        },
        "model_name": "m",
        "lm_eval_version": "0.4.13",
    }
    for key, value in changes.items():
        record[key.replace("_samples", "-samples")] = value
    path = folder / f"results_{DATE}.json"
    path.write_text(json.dumps(record))
    return path


def accuracies(seed: int, size: int, chance: float = 0.6) -> list[float]:
    return [float(x) for x in np.random.default_rng(seed).random(size) < chance]


def test_values_are_lm_evals_by_document(tmp_path: Path) -> None:
    acc = accuracies(0, 40)
    tasks: dict[str, Task] = {
        "arc": {"acc,none": acc, "acc_norm,none": acc[::-1]},
        "gsm8k": {"exact_match,strict-match": acc[:9], "exact_match,flexible-extract": acc[9:18]},
    }
    scores = score_run(read_run(write_run(tmp_path, tasks)))
    assert set(scores.metrics) == {
        "acc/arc",
        "acc_norm/arc",
        "exact_match,strict-match/gsm8k",
        "exact_match,flexible-extract/gsm8k",
    }
    metric = scores.metrics["acc/arc"]
    by_document = dict(zip(metric.questions, metric.values, strict=True))
    np.testing.assert_allclose(
        [by_document[f"arc:hash{i}"] for i in range(40)], 100 * np.array(acc)
    )
    assert metric.unit == "percent" and len(by_document) == 40
    assert standard_error(metric.values, metric.strata) == pytest.approx(
        100 * np.std(acc, ddof=1) / np.sqrt(40)
    )
    assert (scores.version, scores.judge, scores.name) == ("lm-eval 0.4.13", "none", "m")
    assert (
        scores.diagnostics.rows == 49 and "examples in the prompt: arc 0, gsm8k 0" in scores.notes
    )


def test_documents_of_equal_content_are_one_cluster(tmp_path: Path) -> None:
    path = write_run(tmp_path, {"arc": {"acc,none": [1.0, 1.0, 0.0, 1.0, 0.0]}})
    samples = tmp_path / f"samples_arc_{DATE}.jsonl"
    samples.write_text(samples.read_text().replace("hash1", "hash0"))
    metric = score_run(read_run(path)).metrics["acc/arc"]
    assert len(metric.values) == 4 and metric.values.mean() == pytest.approx(60)


def test_lists_of_instructions_are_averaged_over_instructions(tmp_path: Path) -> None:
    lists = [[True, False], [True], [False, True, True]]
    path = write_run(tmp_path, {"ifeval": {"inst_level_strict_acc,none": lists}})
    metric = score_run(read_run(path)).metrics["inst_level_strict_acc/ifeval"]
    assert metric.values.mean() == pytest.approx(100 * 4 / 6)
    s, w = np.array([1, 1, 2]), np.array([2, 1, 3])
    error = 100 * np.sqrt(3 / 2 * ((s - 4 / 6 * w) ** 2).sum()) / 6
    assert standard_error(metric.values, metric.strata) == pytest.approx(error)


def test_what_is_no_mean_over_documents_is_left_to_lm_eval(tmp_path: Path) -> None:
    results = {"wiki": {"word_perplexity,none": 12.0}, "qa": {"bleu,none": 30.0, "acc,none": 0.5}}
    tasks: dict[str, Task] = {
        "wiki": {"word_perplexity,none": [[-10.0, 5.0], [-20.0, 9.0]]},
        "qa": {"bleu,none": [{"a": 1}, {"a": 2}], "acc,none": [0.0, 1.0]},
    }
    scores = score_run(read_run(write_run(tmp_path, tasks, results=results)))
    assert set(scores.metrics) == {"acc/qa"}
    assert (
        "word_perplexity,none of wiki is not the mean over documents: see lm-eval" in scores.notes
    )
    assert "no metric of wiki is a mean over documents" in scores.notes
    assert "bleu,none of qa has no number a document" in scores.notes


def test_macro_average_has_the_error_of_the_plain_mean(tmp_path: Path) -> None:
    sizes = (20, 80, 400)
    tasks = {f"t{n}": {"acc,none": accuracies(n, n, 0.3 + n / 1000)} for n in sizes}
    path = write_run(tmp_path, tasks)
    metric = score_run(read_run(path), dict.fromkeys(tasks, "acc,none")).metrics["macro_average"]
    values = [100 * np.array(task["acc,none"]) for task in tasks.values()]
    error = np.sqrt(sum(x.var(ddof=1) / len(x) for x in values)) / 3
    assert standard_error(metric.values, metric.strata) == pytest.approx(error)
    assert metric.strata == tuple(f"t{n}" for n in sizes for _ in range(n))
    with pytest.raises(UnusableAnnotationsError, match="no accuracy 'f1/t20'"):
        score_run(read_run(path), {"t20": "f1,none"})


def grouped(folder: Path, number: float, error: object) -> Any:
    tasks = {f"t{n}": {"acc,none": accuracies(n, n, 0.3 + n / 1000)} for n in (20, 400)}
    members = {"g": ["inner"], "inner": ["t20", "t400"], "t20": [], "t400": []}
    groups = {"g": {"acc,none": number, "acc_stderr,none": error, "alias": "g"}}
    path = write_run(folder, tasks, groups=groups, group_subtasks=members)
    return score_run(read_run(path)), [np.array(task["acc,none"]) for task in tasks.values()]


def test_a_group_has_the_error_of_the_mean_that_lm_eval_took(tmp_path: Path) -> None:
    _, (small, large) = grouped(tmp_path, 0.5, "N/A")
    errors = np.array([100 * x.std(ddof=1) / np.sqrt(len(x)) for x in (small, large)])
    plain, _ = grouped(tmp_path, (small.mean() + large.mean()) / 2, 0.001)
    own = np.sqrt((errors**2).sum()) / 2
    assert standard_error(
        plain.metrics["acc/g"].values, plain.metrics["acc/g"].strata
    ) == pytest.approx(own)
    assert f"lm-eval prints a standard error of 0.100 for acc/g; it is {own:.3f}" in plain.notes
    pooled, _ = grouped(tmp_path, np.concatenate([small, large]).mean(), "N/A")
    metric = pooled.metrics["acc/g"]
    within = np.sqrt((20 / 420 * errors[0]) ** 2 + (400 / 420 * errors[1]) ** 2)
    assert metric.strata is None and metric.values.mean() == pytest.approx(
        100 * np.concatenate([small, large]).mean()
    )
    assert standard_error(metric.values, metric.strata) == pytest.approx(
        within, rel=0.01
    )  # ddof of 420, not of each
    odd, _ = grouped(tmp_path, 0.123, "N/A")
    assert "acc/g" not in odd.metrics
    assert "acc/g is neither the plain nor the pooled mean: see lm-eval" in odd.notes


def test_lost_values_and_limits(tmp_path: Path) -> None:
    values: list[Any] = [*accuracies(0, 99), None]
    tasks = {"arc": {"acc,none": values}}
    counts = {"arc": {"original": 1000, "effective": 100}}
    scores = score_run(read_run(write_run(tmp_path, tasks, n_samples=counts)))
    assert scores.diagnostics.unusable == {"no value of acc,none in arc": 1}
    unknown = read_run(write_run(tmp_path, tasks, n_samples={}))
    assert score_run(unknown).diagnostics.missing is None
    assert scores.diagnostics.missing == 900 and "arc: 100 of 1000 documents" in scores.notes
    assert not any("would be" in note for note in scores.notes)  # 1 %
    tasks["arc"]["acc,none"][0] = None
    right = sum(value for value in tasks["arc"]["acc,none"] if value is not None)
    (note,) = [
        note for note in score_run(read_run(write_run(tmp_path, tasks))).notes if "would" in note
    ]
    assert f"the acc/arc would be {right:.2f} if" in note and f"{right + 2:.2f} if" in note
    tasks["arc"]["acc,none"][:3] = [None, "yes", {}]
    with pytest.raises(UnusableAnnotationsError, match=r"4 of 100 judgments of acc,none of arc"):
        score_run(read_run(write_run(tmp_path, tasks)))


def test_samples_of_another_run_are_refused(tmp_path: Path) -> None:
    tasks = {"arc": {"acc,none": accuracies(0, 30)}}
    counts = {"arc": {"original": 40, "effective": 40}}
    with pytest.raises(UnusableAnnotationsError, match="30 documents where the results"):
        read_run(write_run(tmp_path, tasks, n_samples=counts))
    path = write_run(tmp_path, tasks, results={"arc": {"acc,none": 0.123}})
    with pytest.raises(UnusableAnnotationsError, match="they are of another run"):
        score_run(read_run(path))
    (tmp_path / f"samples_arc_{DATE}.jsonl").rename(tmp_path / "elsewhere.jsonl")
    with pytest.raises(UnusableAnnotationsError, match="--log_samples"):
        read_run(path)


def test_unusable_files_are_refused(tmp_path: Path) -> None:
    tasks = {"arc": {"acc,none": accuracies(0, 30)}}
    path = write_run(tmp_path, tasks, model_name="")
    with pytest.raises(UnusableAnnotationsError, match="names no model"):
        read_run(path)
    assert read_run(path, model="mine").model == "mine"
    samples = tmp_path / f"samples_arc_{DATE}.jsonl"
    samples.write_text(samples.read_text() * 2)
    with pytest.raises(UnusableAnnotationsError, match="repeat the doc_id and filter"):
        read_run(path, "m")
    write_lines(samples, [{**sample(0, "none", {"acc": 1.0}), "metrics": "acc"}])
    with pytest.raises(UnusableAnnotationsError, match="cannot be attributed"):
        read_run(path, "m")
    for text, message in (
        ("", "empty, truncated or not JSON"),
        ('{"results": {"arc"', "empty, truncated or not JSON"),
        ("[1]", "no single object"),
        ('{"acc": 1}', "no results file of lm-eval"),
        ('{"results": {"arc": 3}, "model_name": "m"}', "no table of numbers for 'arc'"),
    ):
        path.write_text(text)
        with pytest.raises(UnusableAnnotationsError, match=message):
            read_run(path)
    with pytest.raises(UnusableAnnotationsError, match="cannot be read"):
        read_run(tmp_path / "none.json")


@pytest.mark.slow
def test_files_that_lm_eval_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import lm_eval
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    sizes = {"own_a": 12, "own_b": 40}
    for task, size in sizes.items():
        documents = [{"q": f"{task} {i}", "label": i % 2} for i in range(size)]
        data = write_lines(tmp_path / f"{task}.jsonl", documents)
        (tmp_path / f"{task}.yaml").write_text(
            f"task: {task}\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\n"
            "test_split: test\noutput_type: multiple_choice\ndoc_to_text: '{{q}}'\n"
            "doc_to_choice: ['yes', 'no']\ndoc_to_target: label\n"
            "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
        )
    (tmp_path / "own.yaml").write_text(
        "group: own\ntask: [own_a, own_b]\n"
        "aggregate_metric_list: [{metric: acc, aggregation: mean, weight_by_size: false}]\n"
    )
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    tracker = EvaluationTracker(output_path=str(tmp_path / "out"))
    results = lm_eval.simple_evaluate(
        model="dummy", tasks=["own"], task_manager=manager, bootstrap_iters=200,
        evaluation_tracker=tracker, log_samples=True,
    )  # fmt: skip
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task in sizes:
        tracker.save_results_samples(task_name=task, samples=samples[task])
    (path,) = (tmp_path / "out").rglob("results_*.json")
    scores = score_run(read_run(path, model="dummy"))
    for task, size in sizes.items():
        metric = scores.metrics[f"acc/{task}"]
        assert len(metric.values) == size
        assert metric.values.mean() == pytest.approx(100 * results["results"][task]["acc,none"])
        error = results["results"][task]["acc_stderr,none"]
        assert standard_error(metric.values, metric.strata) == pytest.approx(100 * error)
    group = scores.metrics["acc/own"]
    assert group.values[np.array(group.strata) == "own_a"].size == 12
    parts = [standard_error(scores.metrics[f"acc/{task}"].values) for task in sizes]
    assert standard_error(group.values, group.strata) == pytest.approx(np.hypot(*parts) / 2)
