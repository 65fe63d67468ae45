"""Academic tasks of the mini world, what is refused before work, and what is said of prompts."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from academic_tasks import ANSWER, CHOICE, LOGITS, harness, write_task
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from scripted_model import scripted

from nlhf_repro.benchmarks.academic.harness import HarnessTasks
from nlhf_repro.benchmarks.academic.mini import NOTE, MiniTasks, mini_folder
from nlhf_repro.benchmarks.academic.writing import revision
from nlhf_repro.benchmarks.clustered import standard_error
from nlhf_repro.config import conf_directory
from nlhf_repro.interfaces import ImpossibleSettingError, ModelBenchmark, UnusableAnnotationsError
from nlhf_repro.models.mini_llama import MiniLlama
from nlhf_repro.models.pretrained import with_adapters
from nlhf_repro.summaries import FACTS, SLOTS, VOCABULARY, markers, read

TASKS = ("mini_faithful", "mini_agreement", "mini_facts")
STYLES = ("formal", "casual", "vivid")


def configured(name: str) -> Any:
    with initialize_config_dir(str(conf_directory()), version_base="1.3"):
        node = compose(f"benchmark/{name}").benchmark[name]
    return instantiate(node, _convert_="all")


def documents(task: str) -> list[dict[str, Any]]:
    return [json.loads(x) for x in (mini_folder() / f"{task}.jsonl").read_text().splitlines()]


def tiny(seed: int = 0) -> tuple[Any, Any]:
    shape = MiniLlama(
        hidden_size=16, layers=1, heads=2, intermediate_size=24, positions=64, tied=False
    )
    return shape.base(VOCABULARY, seed)


# --- the tasks that ship


def test_documents_are_written_again_byte_for_byte(tmp_path: Path) -> None:
    runpy.run_path(str(mini_folder() / "write_tasks.py"))["write_all"](tmp_path)
    for task in TASKS:
        again = (tmp_path / f"{task}.jsonl").read_bytes()
        assert again == (mini_folder() / f"{task}.jsonl").read_bytes()


@pytest.mark.parametrize("task", TASKS)
def test_every_word_is_in_the_vocabulary(task: str) -> None:
    for document in documents(task):
        texts = (document["post"], *document.get("choices", ()), document.get("facts", ""))
        assert {*" ".join(texts).split()} <= {*VOCABULARY}
    assert len({document["post"] for document in documents(task)}) == 100


def test_one_summary_is_faithful_and_the_others_say_what_is_no_fact() -> None:
    for document in documents("mini_faithful"):
        words = document["choices"][document["answer"]].split()
        own = tuple(next(x for x in words if x in FACTS[slot]) for slot in SLOTS)
        features = read([own] * 4, document["choices"], 16)
        wrong = np.delete(features, document["answer"], axis=0)
        assert features[document["answer"], :2].tolist() == [6, 0]
        assert sorted(wrong[:, 1]) == [1, 1, 2] and {*wrong[:, 3]} == {features[0, 3]}
        assert {*own} <= {*document["post"].split()}
        others = {x for choice in document["choices"] for x in choice.split()} - {*own}
        taken = {x for x in others if any(x in facts for facts in FACTS.values())}
        assert len(taken) == 2 and taken <= {*document["post"].split()}


def test_one_summary_agrees_in_style() -> None:
    places = [document["answer"] for document in documents("mini_agreement")]
    assert {*places} == {0, 1, 2}
    for document in documents("mini_agreement"):
        pure = [
            sum(bool({*choice.split()} & {*markers(style)}) for style in STYLES) == 1
            for choice in document["choices"]
        ]
        assert [n for n, each in enumerate(pure) if each] == [document["answer"]]


@pytest.mark.parametrize(
    ("answer", "exact", "share"),
    [
        ("so yeah boss hid the violin at basement cuz hunger welp refund", 1.0, 1.0),
        ("boss hid violin basement hunger refund ladder", 0.0, 1.0),
        ("boss hid violin", 0.0, 0.5),
        ("", 0.0, 0.0),
    ],
)
def test_an_answer_is_read(answer: str, exact: float, share: float) -> None:
    score = runpy.run_path(str(mini_folder() / "mini_tasks.py"))["facts_named"]
    found = score({"facts": "boss hid violin basement hunger refund"}, [answer])
    assert found == {"exact_match": exact, "facts_acc": share}


@pytest.mark.slow
def test_the_mini_world_is_scored_and_says_that_it_is_mini(tmp_path: Path) -> None:
    benchmark = configured("academic_mini")
    assert isinstance(benchmark, ModelBenchmark) and not benchmark.comparable
    benchmark.check()
    scores, notes = benchmark.score_model(*tiny(), 0, tmp_path / "plain")
    assert notes[0] == NOTE and "not comparable with published numbers" in NOTE
    assert len(scores.values) == 300 and set(scores.strata or ()) == {*TASKS}
    parts = [scores.values[np.array(scores.strata) == task] for task in TASKS]
    assert scores.values.mean() == pytest.approx(np.mean([x.mean() for x in parts]))
    error = np.sqrt(sum(x.var(ddof=1) / len(x) for x in parts)) / 3
    assert standard_error(scores.values, scores.strata) == pytest.approx(error)
    assert parts[2].max() == 0  # an untrained model names no six facts
    assert any(note.startswith("all documents of mini_facts score alike") for note in notes)
    assert not any("tokenizer does not know" in note or "beginning" in note for note in notes)


@pytest.mark.slow
def test_adapters_that_change_nothing_score_the_same(tmp_path: Path) -> None:
    benchmark = MiniTasks(TASKS[:1], {}, 12, 5)
    model, tokenizer = tiny()
    plain, notes = benchmark.score_model(model, tokenizer, 0, tmp_path / "plain")
    lora = {"rank": 2, "alpha": 4, "target_modules": ["q_proj"]}
    adapted = with_adapters(model, lora, 0)
    found, _ = benchmark.score_model(adapted, tokenizer, 0, tmp_path / "adapted")
    np.testing.assert_array_equal(found.values, plain.values)
    assert found.questions == plain.questions
    assert "mini_faithful: 12 of 100 documents" in notes
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_B" in name:
                value.fill_(2.0)
    other, _ = benchmark.score_model(adapted, tokenizer, 0, tmp_path / "other")
    assert (other.values != plain.values).any()


# --- what is refused, and when


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tasks": []}, "must name at least one task"),
        ({"tasks": ["gsm8k", "gsm8k"]}, "none twice"),
        ({"limit": 0}, "limit = 0 must be at least 1"),
        ({"batch_size": 0}, "batch_size = 0 must be at least 1"),
        ({"shots": {"gsm8k": -1}}, r"shots.gsm8k = -1 must be at least 0"),
        ({"examples": "random"}, "choose from fixed, by_seed"),
    ],
)
def test_impossible_settings_are_refused_at_once(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ImpossibleSettingError, match=sentence):
        replace(configured_academic(), **changes)


def configured_academic() -> HarnessTasks:
    benchmark: HarnessTasks = configured("academic")
    return benchmark


def test_the_check_needs_neither_model_nor_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    academic = configured_academic()
    assert set(academic.tasks) == set(academic.shots) == set(academic.metrics)
    assert academic.comparable and not replace(academic, limit=10).comparable
    replace(academic, tasks=["hellaswag", "mmlu", "gsm8k", "truthfulqa_mc2", "openllm"]).check()
    with pytest.raises(ImpossibleSettingError, match=r"gsm88k is no task .* did you mean gsm8k\?"):
        replace(academic, tasks=["gsm88k"]).check()
    with pytest.raises(ImpossibleSettingError, match="is no folder"):
        replace(academic, include_path=str(tmp_path / "none")).check()
    loading = "nlhf_repro.benchmarks.academic.loading"
    monkeypatch.setattr(f"{loading}.find_spec", lambda name: None if name == "langdetect" else 1)
    with pytest.raises(ImpossibleSettingError, match=r"needs langdetect: pip install 'lm-eval\[i"):
        replace(academic, tasks=["ifeval"]).check()
    monkeypatch.setattr(f"{loading}.find_spec", lambda name: 1)
    monkeypatch.setattr(f"{loading}._nltk_places", lambda: [tmp_path])
    with pytest.raises(ImpossibleSettingError, match="downloader punkt_tab"):
        replace(academic, tasks=["leaderboard_ifeval"]).check()
    (tmp_path / "tokenizers" / "punkt_tab").mkdir(parents=True)
    replace(academic, tasks=["ifeval"]).check()
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    gpqa = replace(academic, tasks=["gpqa_main_zeroshot"])
    with pytest.raises(ImpossibleSettingError, match="gated data: accept the terms of Idavidrein"):
        gpqa.check()
    (tmp_path / "datasets--Idavidrein--gpqa").mkdir()
    gpqa.check()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    write_task(tasks, "pick", [{"question": "q1", "choices": ["a", "b"], "answer": 0}] * 3, CHOICE)
    two = CHOICE.replace("}]", "}, {metric: acc_norm, aggregation: mean, higher_is_better: true}]")
    document = {"question": "q1", "choices": ["a", "b"], "answer": 0}
    write_task(tasks, "both", [document], f"{two}num_fewshot: 0\ntag: marked\n")
    write_task(tasks, "tagged", [{**document, "n": 1}], f"{CHOICE}tag: marked\n")
    (tasks / "bare.yaml").write_text("group: bare\ntask: [pick, tagged]\n")
    return tasks


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tasks", "changes", "sentence"),
    [
        (["both"], {}, "metrics.both = null is no metric of both: choose from acc; acc_norm"),
        (["pick"], {"metrics": {"pick": "f1"}}, "metrics.pick = f1 is no metric .* from acc"),
        (["both"], {"shots": {"both": 3}}, "shots.both = 3, but both is a task without examples"),
        (["pick"], {"shots": {"pick": 1}}, "pick has no other documents for examples"),
        (["bare"], {}, "bare stands for 2 tasks and has no number of its own: name them"),
        (["marked"], {}, "marked stands for 2 tasks and has no number of its own"),
        (["gone"], {}, r"data of gone cannot be loaded \(FileNotFound"),
        (["hub"], {}, r"data of hub cannot be loaded \(ConnectionError.*: load it once where"),
        (["absent"], {}, "absent needs the package nobody_has_this: install it"),
    ],
)
def test_what_a_task_does_not_have_is_one_sentence(
    folder: Path, tmp_path: Path, tasks: list[str], changes: dict[str, Any], sentence: str
) -> None:
    write_task(folder, "gone", [], CHOICE)
    (folder / "gone.jsonl").unlink()
    write_task(folder, "hub", [], CHOICE.replace("output", "dataset_path: nobody/none\noutput"))
    text = (folder / "hub.yaml").read_text().split("\n")
    kept = [line for line in text if "json" not in line]
    (folder / "hub.yaml").write_text("\n".join(kept))
    (folder / "needy.py").write_text("import nobody_has_this\ndef load(data): return data\n")
    write_task(folder, "absent", [], f"{CHOICE}process_docs: !function needy.load\n")
    with pytest.raises(ImpossibleSettingError, match=sentence):
        harness(folder, *tasks, **changes).score_model(*scripted(LOGITS), 0, tmp_path / "out")


@pytest.mark.slow
def test_a_chat_template_must_be_there(folder: Path, tmp_path: Path) -> None:
    model, tokenizer = scripted(LOGITS)
    tokenizer.chat_template = None
    with pytest.raises(ImpossibleSettingError, match="no chat template: set"):
        harness(folder, "pick", apply_chat_template=True).score_model(
            model, tokenizer, 0, tmp_path / "out"
        )


# --- what is said of prompts and documents


@pytest.mark.slow
def test_prompts_that_the_model_cannot_see_whole_are_counted(tmp_path: Path) -> None:
    questions = ["a " * 30 + "q1", "q1", "q1 nowhere"]
    rows = [{"question": x, "choices": ["a", "b"], "answer": 0, "answers": "c"} for x in questions]
    write_task(tmp_path, "long", rows, CHOICE)
    write_task(tmp_path, "told", rows, ANSWER.replace("doc_to_target: answer", "doc_to_target: x"))
    model = scripted(LOGITS, positions=24)
    _, notes = harness(tmp_path, "long", "told").score_model(*model, 0, tmp_path / "out")
    for task in ("long", "told"):
        assert f"{task}: 1 of 3 prompts are longer than the model reads and lost their" in " ".join(
            notes
        )
        assert any(note.startswith(f"{task}: 1 of 3 prompts hold words") for note in notes)


@pytest.mark.slow
def test_documents_that_change_while_they_are_read_are_refused(tmp_path: Path) -> None:
    from nlhf_repro.benchmarks.academic.writing import _refuse_changed

    with pytest.raises(UnusableAnnotationsError, match="document 3 of t changed between"):
        _refuse_changed({"t": [{"doc_id": 3, "doc": {"q": "a"}, "doc_hash": "of another"}]})


def test_the_hubs_revision_is_recorded() -> None:
    address = f"hf://datasets/openai/gsm8k@{'0a' * 20}/main/test.parquet"
    info = SimpleNamespace(download_checksums={address: {}, "https://elsewhere/file": {}})
    task = SimpleNamespace(dataset={"test": SimpleNamespace(info=info)})
    assert revision(task) == f"openai/gsm8k@{'0a' * 20}"
    assert revision(object()) == ""
