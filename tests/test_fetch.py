"""`nlhf fetch` and its catalogue."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import REPOSITORY, nlhf
from file_server import BODY, serving

from nlhf_repro.benchmarks import source_files as catalogue
from nlhf_repro.benchmarks.source_files import benchmarks, fetched, sha256_of, source_files
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.verbs.fetch import fetch, size

OFFICIAL = [file for benchmark in benchmarks() for file in source_files(benchmark)]
SHARED = Path(os.environ.get("NLHF_DATA", REPOSITORY.parent / "shared" / "data"))
TOY = """# A toy (nobody)
files:
  - name: questions.jsonl
    purpose: the questions
    url: https://nowhere.invalid/{revision}/questions.jsonl
    revision: 0123456789012345678901234567890123456789
    sha256: null
    bytes: null
    licence: CC BY-NC 4.0
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A catalogue of one unpinned file, a cache, and a mirror's server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("NLHF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(catalogue, "CATALOGUE", tmp_path)
    (tmp_path / "toy.yaml").write_text(TOY)
    with serving() as server:
        yield server


def test_there_are_the_three_benchmarks():
    assert list(benchmarks()) == ["alpaca_eval", "arena_hard", "mt_bench"]
    assert all(re.search(r"\(arXiv:\d{4}\.\d{5}\)$", line) for line in benchmarks().values())


@pytest.mark.parametrize("file", OFFICIAL, ids=lambda file: f"{file.benchmark}/{file.name}")
def test_every_official_file_is_fixed_to_a_commit_and_has_a_licence(file):
    assert re.fullmatch("[0-9a-f]{40}", file.revision)
    assert file.url.startswith("https://") and f"/{file.revision}/" in file.url
    assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
    assert file.licence and file.purpose and "/" not in file.name
    assert sum(other.path(REPOSITORY) == file.path(REPOSITORY) for other in OFFICIAL) == 1


def test_only_one_official_file_waits_for_its_first_download():
    unpinned = [file.name for file in OFFICIAL if file.sha256 is None]
    assert unpinned == ["baseline_gemini-2.0-flash-001.jsonl"]


def test_the_data_of_alpaca_eval_is_not_for_commercial_use():
    data = {"reference_outputs.json", "df_gamed.csv", "instruction_difficulty.csv"}
    licences = {file.name: file.licence for file in source_files("alpaca_eval")}
    assert {name for name, licence in licences.items() if "CC BY-NC 4.0" in licence} == data


@pytest.mark.parametrize("file", OFFICIAL, ids=lambda file: f"{file.benchmark}/{file.name}")
def test_the_catalogue_agrees_with_the_files_themselves(file):
    path = file.path(SHARED)
    if not path.exists():
        pytest.skip(f"{path} is absent: set NLHF_DATA to a folder with the benchmarks' files")
    assert sha256_of(path) == file.sha256
    assert path.stat().st_size == file.bytes


def test_the_prompt_of_the_installed_alpaca_eval_is_the_pinned_one():
    package = importlib.util.find_spec("alpaca_eval")
    assert package is not None and package.origin is not None
    folder = Path(package.origin).parent / "evaluators_configs"
    pinned = {file.name: file.sha256 for file in source_files("alpaca_eval")}
    for name, path in {
        "judge_prompt.txt": "alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt",
        "judge_config_gpt4_turbo.yaml": "weighted_alpaca_eval_gpt4_turbo/configs.yaml",
    }.items():
        assert sha256_of(folder / path) == pinned[name]


def test_fetch_prints_the_licence_gets_the_file_and_scorers_find_it(toy, tmp_path, capfd):
    path = tmp_path / "cache" / "toy" / "questions.jsonl"
    with pytest.raises(ImpossibleSettingError, match=f"{path} is not there: run nlhf fetch toy"):
        fetched("toy", "questions.jsonl")
    assert fetch("toy", None, toy.url) == 0
    output, errors = capfd.readouterr()
    assert errors == ""
    assert output.splitlines() == [
        "licence CC BY-NC 4.0: questions.jsonl",
        f"fetched and recorded: {path} (109 kB)",
    ]
    assert fetched("toy", "questions.jsonl") == path
    with pytest.raises(ImpossibleSettingError, match=r"choose one of questions\.jsonl"):
        fetched("toy", "answers.jsonl")
    path.chmod(0o644)
    path.write_bytes(BODY[:-1])
    with pytest.raises(ImpossibleSettingError, match="differs from its SHA-256: run nlhf fetch"):
        fetched("toy", "questions.jsonl")
    assert fetch("toy", None, toy.url) == 0
    assert f"nlhf: {path} differs from its SHA-256" in capfd.readouterr().err
    assert fetched("toy", "questions.jsonl").read_bytes() == BODY


def test_a_file_put_by_hand_is_verified_by_the_command(toy, tmp_path):
    path = tmp_path / "cache" / "toy" / "questions.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    with pytest.raises(ImpossibleSettingError, match="not verified yet: run nlhf fetch toy"):
        fetched("toy", "questions.jsonl")
    assert fetch("toy", None, toy.url) == 0
    assert fetched("toy", "questions.jsonl") == path
    assert toy.asked == []


def test_another_cache_is_named_for_the_commands_that_read_it(toy, tmp_path, capfd):
    other = tmp_path / "other"
    assert fetch("toy", str(other), toy.url) == 0
    assert f"set NLHF_CACHE={other} for the commands" in capfd.readouterr().out
    assert (other / "toy" / "questions.jsonl").exists()


def test_one_failed_file_does_not_keep_the_others_away(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        server.behaviors["/mt_bench/judge_prompts.jsonl"] = "missing"
        status, output, errors = nlhf(
            tmp_path, "fetch", "mt_bench", "--cache", "files", "--source", server.url
        )
    assert status == 1
    assert output.startswith("licence Apache-2.0: question.jsonl, judge_prompts.jsonl, ")
    first, second, third = errors.splitlines()
    assert "question.jsonl has SHA-256" in first and "was not kept" in first
    assert "judge_prompts.jsonl answers 404 Not Found" in second
    assert "reference_answer_gpt-4.jsonl has SHA-256" in third
    assert not list((tmp_path / "files").rglob("*.jsonl"))


def test_fetch_alone_lists_sizes_licences_and_the_place(tmp_path):
    status, output, errors = nlhf(tmp_path, "fetch", NLHF_CACHE=str(tmp_path / "files"))
    assert (status, errors) == (0, "")
    line = next(line for line in output.splitlines() if "reference_outputs.json" in line)
    assert "1.9 MB" in line and "absent" in line and "CC BY-NC 4.0" in line
    assert f"in {tmp_path / 'files' / 'mt_bench'}; get them with: nlhf fetch mt_bench" in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["mt-bench"], "choose one of alpaca_eval, arena_hard, mt_bench"),
        (["mt_bench", "--source", "mirror"], "--source mirror is no address"),
        (["mt_bench", "arena_hard"], "arena_hard has no place"),
    ],
)
def test_refusals(tmp_path, arguments, sentence):
    status, output, errors = nlhf(tmp_path, "fetch", *arguments, NLHF_CACHE=str(tmp_path / "x"))
    assert (status, output) == (2, "")
    assert sentence in errors and len(errors.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_help_imports_no_downloader(tmp_path):
    program = (
        "import sys\nfrom nlhf_repro.cli import main\n"
        "try:\n    main(['fetch', '--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'pooch', 'requests'} & set(sys.modules)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    assert "--source" in done.stdout


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "size unknown"), (999, "999 B"), (48929, "49 kB"), (1899765, "1.9 MB")],
)
def test_sizes_for_people(count, text):
    assert size(count) == text
