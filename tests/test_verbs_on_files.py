"""The verbs on files refuse misuse in a sentence, and start without what they do not need."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from command import REPOSITORY, nlhf
from verbs import ACADEMIC, DPO, MT_BENCH, NASH, group, refused

Capture = pytest.CaptureFixture[str]


def test_misuse_is_refused_in_a_sentence(capsys: Capture, tmp_path: Path) -> None:
    assert "has no file" in refused(capsys, "score", "alpaca_eval")
    assert "cannot be read" in refused(capsys, "score", "alpaca_eval", tmp_path / "none.json")
    assert "is no metric" in refused(capsys, "score", "alpaca_eval", NASH[0], "--metric", "lc")
    assert "--answers means nothing" in refused(
        capsys, "score", "mt_bench", MT_BENCH, "--answers", NASH[0]
    )
    assert "no percentage" in refused(capsys, "score", "mt_bench", MT_BENCH, "--max-unusable", 200)
    assert "is no figure" in refused(capsys, "score", "mt_bench", MT_BENCH, "--figure", "x.txt")
    assert "lm-eval's own numbers" in refused(capsys, "score", "academic", ACADEMIC, "--upstream")
    assert "--upstream is a table" in refused(
        capsys, "score", "mt_bench", MT_BENCH, "--upstream", "--format", "json"
    )


def test_words_of_the_command_are_refused_in_a_sentence(capsys: Capture) -> None:
    assert "invalid choice: 'elo'" in refused(capsys, "score", "elo", NASH[0])
    assert "required: second: see nlhf compare --help" in refused(capsys, "compare", NASH[0])
    assert "--bogus is no option of nlhf score" in refused(capsys, "score", "mt_bench", "--bogus")
    assert "invalid choice: 'yaml'" in refused(capsys, "plan", "--format", "yaml")
    assert "two rows of an experiment" in refused(capsys, "compare", "one_world:INPO", NASH[0])


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m nlhf_repro plan --effect 3 | true"
    done = subprocess.run(["bash", "-c", command], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("score", "alpaca_eval", NASH[0]),
        ("compare", NASH[1], DPO[1]),
        ("plan", "--effect", 3),
    ],
    ids=lambda words: words[0],
)
def test_verbs_on_files_take_under_a_second_and_a_half(arguments: tuple[object, ...]) -> None:
    """Processor time of the whole command, the best of three: other processes do not count."""
    command = [sys.executable, "-m", "nlhf_repro", *map(str, arguments)]

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 1.5


@pytest.mark.slow
def test_a_whole_leaderboard_is_scored_within_a_minute() -> None:
    """223 models with 805 rows each, length control included; as `make speed` prints it."""
    script = REPOSITORY / "benchmarks" / "speed" / "leaderboard.py"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, script, "--gamed"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    (seconds,) = re.findall(r"processor +([\d.]+) s", done.stdout)
    assert float(seconds) < 60


def test_no_torch_no_pandas_no_statsmodels(tmp_path: Path) -> None:
    heavy = "('torch', 'pandas', 'statsmodels', 'sklearn', 'scipy.stats', 'matplotlib', 'hydra')"
    program = (
        "import sys\nfrom nlhf_repro.cli import main\ntry: main(sys.argv[1:])\n"
        f"except SystemExit as end: print(end.code, [x for x in {heavy} if x in sys.modules])"
    )
    for arguments in (
        ["score", "alpaca_eval", "--seeds", group("a", NASH), *map(str, DPO[:2])],
        ["compare", group("a", NASH), group("b", DPO), "--margin", "3"],
        ["plan", "--effect", "3"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "0 []", done.stdout


def test_python_m_is_the_same_program(tmp_path: Path) -> None:
    arguments = ["score", "alpaca_eval", str(NASH[0]), "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "nlhf_repro", *arguments], cwd=REPOSITORY, capture_output=True
    )
    assert done.returncode == 0
    assert done.stdout.decode() == nlhf(tmp_path, *arguments)[1]
