"""Plans of experiments whose files are not there: what settings say, and what is lacking."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from pathlib import Path

import pytest
import yaml
from bundles import nlhf
from command import REPOSITORY

from nlhf_repro.benchmarks import source_files
from nlhf_repro.benchmarks.alpaca_eval.asking import AlpacaEval
from nlhf_repro.benchmarks.arena_hard.asking import ArenaHard
from nlhf_repro.benchmarks.mt_bench.asking import MTBench
from nlhf_repro.benchmarks.official_counts import official_count
from nlhf_repro.interfaces import Decoding, ImpossibleSettingError
from nlhf_repro.pipeline.lacking import is_lacking
from nlhf_repro.pipeline.planned import _requests

PAPER = sorted(
    path.stem
    for path in (REPOSITORY / "conf/experiment/paper").glob("*.yaml")
    if path.stem != "default"
)
GREEDY = Decoding(0.0, 8, None, None, {})
REVISIONS = ("model.revision=a1", "oracle.revision=b2")


@pytest.fixture(autouse=True)
def nothing_there(tmp_path, monkeypatch):
    """An empty folder, an empty cache, and no network."""

    def refused(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "500")  # for paths in one piece
    monkeypatch.setenv("NLHF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


def planned(name: str, *overrides: str) -> list[list[str]]:
    """The plan's lines: a header, one for dashes, the rows and their sum."""
    status, output, errors = nlhf("plan", name, "scale=paper", *overrides, "--format", "markdown")
    assert (status, errors) == (0, "")
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in output.splitlines()
        if line.startswith("|")
    ]


def shown(name: str, *overrides: str) -> str:
    """What a plan prints, its lines joined."""
    status, output, errors = nlhf("plan", name, "scale=paper", *overrides)
    assert (status, errors) == (0, "")
    return " ".join(output.split())


@pytest.mark.parametrize("name", PAPER)
def test_every_experiment_of_the_papers_is_planned_without_its_files(tmp_path, name):
    told = shown(name, "seeds.values=[0]")
    assert "Lacking: prompts.path = " in told and "give a file of JSON lines" in told
    assert "Lacking: model." in told
    composed = yaml.safe_load((REPOSITORY / f"conf/experiment/paper/{name}.yaml").read_text())
    assert all(f" {row} 1 0 " in told for row in composed.get("rows", ()))  # others inherit theirs
    counted = told.partition("counted by their number")[2]
    for benchmark, size in (("alpaca_eval", 805), ("arena_hard", 500), ("mt_bench", 80)):
        assert (f"fetch {benchmark}." in told) == bool(
            re.search(rf" {size}\b", counted.partition(";")[0])
        )
    assert "unknown: no questions here" not in told
    assert list(tmp_path.iterdir()) == []


def test_what_lacks_is_said_once_with_its_remedy():
    told = shown("inpo_table1", "oracle.revision=b2", "seeds.values=[0]")
    assert "oracle.revision = null" not in told
    for each in (
        "model.revision = null of RLHFlow/LLaMA3-SFT on the hub",
        "reference_outputs.json is not there: run nlhf fetch alpaca_eval.",
        "question_v0.1.jsonl is not there: run nlhf fetch arena_hard.",
        "question.jsonl is not there: run nlhf fetch mt_bench.",
        "alpaca_eval_lc 805, arena_hard 500, mt_bench 80; nlhf fetch gets the files.",
        "Rows without their files or revisions count as not complete",
    ):
        assert told.count(each) == 1, each
    told = shown("egpo_matrix", "seeds.values=[0]")
    assert told.count("Lacking: oracle.name_or_path = ./egpo_judge is no folder: give") == 1


def official_alpaca_eval(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of our own in place of the official ones, as many questions as those have."""
    rows = [
        {"instruction": f"question {number}", "output": "no", "dataset": "d", "generator": "g"}
        for number in range(805)
    ]
    files = {"reference_outputs.json": json.dumps(rows), "df_gamed.csv": "index\n"}
    entries = []
    (folder / "cache" / "alpaca_eval").mkdir(parents=True)
    (folder / "catalogue").mkdir()
    for name, text in files.items():
        (folder / "cache" / "alpaca_eval" / name).write_text(text)
        entry = {"name": name, "purpose": "a test", "url": "https://example.invalid/{revision}"}
        entry |= {"revision": "1", "bytes": None, "licence": "ours"}
        entries.append(entry | {"sha256": hashlib.sha256(text.encode()).hexdigest()})
    (folder / "catalogue" / "alpaca_eval.yaml").write_text(yaml.safe_dump({"files": entries}))
    monkeypatch.setattr(source_files, "CATALOGUE", folder / "catalogue")


def test_counts_without_files_are_those_with_them(tmp_path, monkeypatch):
    seeds = "seeds.values=[0,1]"
    without = planned("sppo_table2", seeds)
    (tmp_path / "prompts.jsonl").write_text(json.dumps({"prompt": "?"}))
    official_alpaca_eval(tmp_path, monkeypatch)
    given = (seeds, "prompts.path=prompts.jsonl", *REVISIONS)
    assert planned("sppo_table2", *given) == without
    assert without[-1][8] == "6,440"  # 4 rows, 2 seeds, 805 questions
    told = shown("sppo_table2", *given)
    assert "Lacking" not in told and "counted by" not in told and "not complete" not in told


BENCHMARKS = {
    "alpaca_eval": lambda source: AlpacaEval(
        source=source,
        opponent="official" if source == "official" else "reference_policy",
        configuration="weighted_alpaca_eval_gpt4_turbo",
        seed=0,
        repeats=1,
        metric="win_rate",
        maximum_unusable_share=0.02,
        decoding=GREEDY,
    ),
    **{
        category: lambda source, version=version, category=category: ArenaHard(
            version=version,
            category=category if source == "official" else None,
            source=source,
            opponent="official" if source == "official" else "reference_policy",
            repeats=1,
            metric="win_rate",
            maximum_unusable_share=0.02,
            decoding=GREEDY,
            judge_temperature=0.0,
            judge_max_tokens=8,
        )
        for version, category in (
            ("v0.1", "arena-hard-v0.1"),
            ("v2.0", "hard_prompt"),
            ("v2.0", "creative_writing"),
        )
    },
    **{
        mode: lambda source, mode=mode: MTBench(
            mode=mode,
            source=source,
            opponent="reference_policy" if mode == "pairwise" else None,
            repeats=1,
            maximum_unusable_share=0.02,
            decoding=GREEDY,
            judge_temperature=0.0,
            judge_max_tokens=8,
        )
        for mode in ("single", "pairwise")
    },
}


@pytest.mark.parametrize(
    ("name", "questions"),
    [
        ("alpaca_eval", 805),
        ("arena-hard-v0.1", 500),
        ("hard_prompt", 500),
        ("creative_writing", 250),
        ("single", 80),
        ("pairwise", 80),
    ],
)
def test_official_counts_are_those_of_as_many_questions_in_a_file(tmp_path, name, questions):
    make = BENCHMARKS[name]
    turns = 2 if name in ("single", "pairwise") else 1
    rows = [
        {"identifier": number, "turns": [f"{number}?"] * turns, "category": "writing"}
        for number in range(questions)
    ]
    own = tmp_path / "own.jsonl"
    own.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = official_count(make("official"))
    assert found.questions == questions
    assert found.requests == _requests(make(str(own)))
    assert official_count(make(str(own))) is None
    with pytest.raises(ImpossibleSettingError) as refusal:
        _requests(make("official"))
    assert is_lacking(refusal.value)
    with pytest.raises(ImpossibleSettingError) as refusal:
        _requests(make(str(tmp_path / "none.jsonl")))
    assert is_lacking(refusal.value)


def test_questions_of_ones_own_that_are_not_there_are_not_counted():
    own = ("seeds.values=[0]", "benchmark.mt_bench.source=mine.jsonl")
    lines = planned("dno_table1", *own)
    assert {line[8] for line in lines[2:]} == {"unknown: no questions here"}
    told = shown("dno_table1", *own)
    assert "Lacking: benchmark.mt_bench.source = mine.jsonl is no file: check the path." in told
    assert "Judge calls of mt_bench are unknown, as the questions are not there" in told
    assert "gpt-4 judges what is left; calls and money: unknown, no questions here." in told
    assert "gpt-4-1106-preview judges what is left with at most 2,415 calls" in told


def test_a_judge_that_is_not_there_is_lacking_and_is_counted():
    judge = ("judge=local_model", "judge.name_or_path=./no_judge")
    told = shown("sppo_table2", "seeds.values=[0]", *judge)
    assert told.count("Lacking: judge.name_or_path = ./no_judge is no folder") == 1
    assert "./no_judge judges what is left with at most 3,220 calls" in told


def test_wrong_settings_are_refused_and_so_is_a_run_without_its_files(tmp_path):
    plan = ("plan", "sppo_table2", "scale=paper")
    for override in ("oracle.revison=b2", "training.learning_rate=fast", "seeds.values=[0,0]"):
        assert nlhf(*plan, override)[0] == 2, override
    (tmp_path / "cache/alpaca_eval").mkdir(parents=True)
    (tmp_path / "cache/alpaca_eval/reference_outputs.json").write_text("[]")
    status, output, errors = nlhf(*plan, *REVISIONS)
    assert (status, output) == (2, "") and "differs from its SHA-256" in errors
    (tmp_path / "cache/alpaca_eval/reference_outputs.json").unlink()
    status, output, errors = nlhf("reproduce", "sppo_table2", "scale=paper")
    assert (status, output) == (2, "") and "is not there: run nlhf fetch alpaca_eval" in errors
    status, output, errors = nlhf("reproduce", "comal_matrix", "scale=paper")
    assert (status, output) == (2, "") and "revision = null" in errors
