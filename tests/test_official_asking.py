"""Official questions and prompts, read from fetched files: Python ones are parsed, never run."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from judged_by_function import answers, judged, longer
from judgment_files import official

from nlhf_repro.benchmarks import source_files
from nlhf_repro.benchmarks.arena_hard.asking import ArenaHard
from nlhf_repro.benchmarks.arena_hard.questions import BASELINES
from nlhf_repro.benchmarks.mt_bench import OFFICIAL_QUESTIONS
from nlhf_repro.benchmarks.mt_bench.asking import MTBench
from nlhf_repro.config import conf_directory
from nlhf_repro.interfaces import Decoding, ImpossibleSettingError

TEMPLATE = (
    "<|User Prompt|>\n{q}\n\n"
    "<|The Start of Assistant A's Answer|>\n{a}\n<|The End of Assistant A's Answer|>\n\n"
    "<|The Start of Assistant B's Answer|>\n{b}\n<|The End of Assistant B's Answer|>"
)
OLD = TEMPLATE.format(q="{question_1}", a="{answer_1}", b="{answer_2}")
NEW = TEMPLATE.format(q="{QUESTION}", a="{ANSWER_A}", b="{ANSWER_B}")
CODE_V01 = """
raise RuntimeError("this file is read, never run")
def judgment(conv, user_prompt):
    conv = [{"role": "system", "content": configs["system_prompt"]}]
    conv.append({"role": "user", "content": user_prompt})
    conv.append({"role": "assistant", "content": user_prompt})
    conv.append({"role": "user", "content": "go on, judge"})
"""
CODE_V20 = """
COMMON = "the common system prompt"
JUDGE_SETTINGS = {
    "hard_prompt": {"baseline": "o3-mini-2025-01-31", "system_prompt": COMMON},
    "creative_writing": {"baseline": "g", "system_prompt": "of " "writing"},
}
raise RuntimeError("this file is read, never run")
"""
QUESTIONS = {
    "v0.1": [("a1", "arena-hard-v0.1"), ("a2", "arena-hard-v0.1")],
    "v2.0": [("b1", "hard_prompt"), ("b2", "creative_writing"), ("b3", "hard_prompt")],
}


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def answer_row(question: str, model: str) -> dict[str, Any]:
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": {"answer": f"{model} to {question}"}},
    ]
    return {"uid": question, "model": model, "messages": messages}


@pytest.fixture
def arena(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with files of our own in upstream's formats, under a catalogue that pins them."""
    files = {
        "judge_config_v0.1.yaml": yaml.safe_dump(
            {"system_prompt": "old system", "prompt_template": [OLD]}
        ),
        "gen_judgment_v0.1.py": CODE_V01,
        "config_v2.0.yaml": yaml.safe_dump({"prompt_template": NEW}),
        "judge_settings_v2.0.py": CODE_V20,
    }
    for version, listed in QUESTIONS.items():
        rows = [
            {"uid": uid, "category": category, "prompt": f"prompt of {uid}"}
            for uid, category in listed
        ]
        files[f"question_{version}.jsonl"] = lines(rows)
        for category in {category for _, category in listed}:
            model = BASELINES[category]
            content = [answer_row(uid, model) for uid, found in listed if found == category]
            files[f"baseline_{model}.jsonl"] = lines(content)
    catalogue, cache = tmp_path / "sources", tmp_path / "cache"
    (cache / "arena_hard").mkdir(parents=True)
    catalogue.mkdir()
    entries = []
    for name, text in files.items():
        (cache / "arena_hard" / name).write_text(text)
        entry = {"name": name, "purpose": "a test", "url": "https://example.invalid/{revision}"}
        entry |= {"revision": "1", "bytes": None, "licence": "ours"}
        entries.append(entry | {"sha256": hashlib.sha256(text.encode()).hexdigest()})
    (catalogue / "arena_hard.yaml").write_text(yaml.safe_dump({"files": entries}))
    monkeypatch.setattr(source_files, "CATALOGUE", catalogue)
    monkeypatch.setenv("NLHF_CACHE", str(cache))
    return cache / "arena_hard"


def arena_hard(version: str, category: str, **changes: Any) -> Any:
    settings = {
        "version": version,
        "category": category,
        "source": "official",
        "opponent": "official",
        "repeats": 1,
        "metric": "win_rate",
        "maximum_unusable_share": 0.02,
        "decoding": Decoding(0.0, 4096, None, None, {}),
        "judge_temperature": 0.0,
        "judge_max_tokens": 4096 if version == "v0.1" else 16000,
    }
    return ArenaHard(**{**settings, **changes})


@pytest.mark.parametrize(
    ("version", "category", "system", "keys"),
    [
        ("v0.1", "arena-hard-v0.1", "old system", ["a1", "a2"]),
        ("v2.0", "hard_prompt", "the common system prompt", ["b1", "b3"]),
        ("v2.0", "creative_writing", "of writing", ["b2"]),
    ],
)
def test_a_category_is_a_benchmark_with_its_own_baseline_and_prompt(
    arena: Path, tmp_path: Path, version: str, category: str, system: str, keys: list[str]
) -> None:
    bench = arena_hard(version, category)
    assert bench.comparable and [x.identifier for x in bench.questions()] == keys
    baseline, own = bench.baseline(), answers("own", dict.fromkeys(keys, ("{short}",)))
    assert baseline.name == BASELINES[category]
    requests = bench.requests(own, baseline)
    assert [x.content for x in requests[0].messages] == [
        system,
        TEMPLATE.format(
            q=f"prompt of {keys[0]}", a=f"{baseline.name} to {keys[0]}", b="{short}"
        ),
    ]  # fmt: skip
    bench.write(tmp_path / "out", own, baseline, judged(bench, requests, longer), "j")
    metric, notes = bench.score(tmp_path / "out", "own")
    assert metric.values.mean() == 0 and metric.metric == f"score/{category}"
    assert notes[0] == f"Arena-Hard {version}"
    assert not any(note.startswith("opponent") for note in notes)
    assert len(bench.fingerprint()) == 4


def test_v01_goes_on_in_upstreams_words(arena: Path) -> None:
    bench = arena_hard("v0.1", "arena-hard-v0.1")
    own = answers("own", {"a1": ("x",), "a2": ("x",)})
    (judgment, *_) = judged(bench, bench.requests(own, bench.baseline()), lambda _: "hm")
    assert len(judgment.replies) == 2
    unfinished = type(judgment)(judgment.request, judgment.replies[:1])
    assert bench.follow_up(unfinished).messages[-1].content == "go on, judge"


def test_settings_that_are_not_the_protocols_are_not_comparable(arena: Path) -> None:
    for changes in (
        {"judge_temperature": 0.5},
        {"judge_max_tokens": 100},
        {"decoding": Decoding(0.7, 4096, None, None, {})},
        {"opponent": "reference_policy"},
    ):
        assert not arena_hard("v0.1", "arena-hard-v0.1", **changes).comparable
    with pytest.raises(ImpossibleSettingError, match="choose hard_prompt or creative_writing"):
        arena_hard("v2.0", "arena-hard-v0.1")


def test_changed_and_absent_files_are_refused_before_anything_is_asked(arena: Path) -> None:
    bench = arena_hard("v2.0", "hard_prompt")
    (arena / "judge_settings_v2.0.py").write_text(CODE_V20.replace("common", "other"))
    with pytest.raises(ImpossibleSettingError, match="nlhf fetch arena_hard"):
        bench.fingerprint()
    (arena / "question_v2.0.jsonl").unlink()
    with pytest.raises(ImpossibleSettingError, match="is not there"):
        arena_hard("v2.0", "hard_prompt").questions()


def test_official_questions_of_arena_hard_compose_requests(arena: Path) -> None:
    for name, version, category, count in (
        ("question_v0.1.jsonl", "v0.1", "arena-hard-v0.1", 500),
        ("question_v2.0.jsonl", "v2.0", "hard_prompt", 500),
        ("question_v2.0.jsonl", "v2.0", "creative_writing", 250),
    ):
        configuration = "judge_config_v0.1.yaml" if version == "v0.1" else "config_v2.0.yaml"
        for each in (name, configuration):
            shutil.copy(official(f"arena_hard/{each}"), arena / each)
            _pin(arena, each)
        bench = arena_hard(version, category)
        keys = [x.identifier for x in bench.questions()]
        assert len(set(keys)) == count
        own, base = (answers(x, dict.fromkeys(keys, (x,))) for x in ("own", "base"))
        requests = bench.requests(own, base)
        assert len(requests) == 2 * count
        for request in requests[:20]:
            assert "{" not in request.messages[1].content.replace(
                request.material.conversation[0].content, ""
            )
            assert request.messages[1].content.count(request.material.answers[0]) >= 1


def test_official_questions_of_mt_bench_compose_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mt_bench"
    folder.mkdir()
    for name in ("question.jsonl", "judge_prompts.jsonl", "reference_answer_gpt-4.jsonl"):
        shutil.copy(official(f"mt_bench/{name}"), folder / name)
    monkeypatch.setenv("NLHF_CACHE", str(tmp_path))
    node = yaml.safe_load((conf_directory() / "benchmark" / "mt_bench.yaml").read_text())
    temperatures = node["decoding"]["category_temperatures"]
    settings: dict[str, Any] = {
        "source": "official",
        "repeats": 1,
        "maximum_unusable_share": 0.02,
        "decoding": Decoding(0.7, 1024, None, None, temperatures),
        "judge_temperature": 0.0,
        "judge_max_tokens": 2048,
    }
    bench = MTBench(mode="single", opponent=None, **settings)
    questions = bench.questions()
    assert bench.comparable and {x.identifier: x.category for x in questions} == OFFICIAL_QUESTIONS
    assert sum(bool(x.reference) for x in questions) == 30
    assert bench.decoding.temperature_of(questions[0]) == 0.7  # writing
    own = answers("own", {x.identifier: ("first {0}", "second") for x in questions})
    base = answers("base", {x.identifier: ("other", "other") for x in questions})
    requests = bench.requests(own, None)
    assert len(requests) == 160
    for question, first, second in zip(questions, requests[::2], requests[1::2], strict=True):
        assert "first {0}" in first.messages[1].content
        assert all(text in second.messages[1].content for text in question.turns)
        assert all(text in second.messages[1].content for text in question.reference)
    assert requests[0].messages[0].content == "You are a helpful assistant."
    bench.write(tmp_path / "out", own, None, judged(bench, requests, longer), "gpt-4")
    metric, notes = bench.score(tmp_path / "out", "own")
    assert metric.values.tolist() == [(9 + 6) / 2] * 80
    assert notes[:2] == ("MT-Bench, single", "verdicts: 6: 80, 9: 80")
    assert not any("other than the protocol's" in note or "own list" in note for note in notes)
    pairs = MTBench(mode="pairwise", opponent="reference_policy", **settings)
    assert not pairs.comparable and len(pairs.requests(own, base)) == 320
    assert len(pairs.fingerprint()) == 3


def _pin(folder: Path, name: str) -> None:
    """Set the test's catalogue to the file that is there now."""
    path = source_files.CATALOGUE / "arena_hard.yaml"
    node = yaml.safe_load(path.read_text())
    for entry in node["files"]:
        if entry["name"] == name:
            entry["sha256"] = source_files.sha256_of(folder / name)
    path.write_text(yaml.safe_dump(node))
