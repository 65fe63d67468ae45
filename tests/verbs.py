"""Verbs called in this process, and the synthetic files that the project ships."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from command import REPOSITORY

from nlhf_repro.cli import main

EXAMPLES = REPOSITORY / "benchmarks" / "examples"
NASH, DPO = (
    [EXAMPLES / f"synthetic_alpaca_eval_{name}_seed{seed}.jsonl" for seed in range(3)]
    for name in ("nash", "dpo")
)
ARENA = EXAMPLES / "synthetic_arena_hard.jsonl"
MT_BENCH = EXAMPLES / "synthetic_mt_bench.jsonl"
ACADEMIC = EXAMPLES / "results_synthetic_2026-01-01T00-00-00.json"
Run = Callable[..., str]


def group(name: str, paths: Iterable[Path]) -> str:
    return f"{name}={','.join(map(str, paths))}"


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run_verb(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Standard output of a verb that succeeds."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert stopped.value.code == 0, captured.err
    return captured.out


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence of a verb that refuses with status 2."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert stopped.value.code == 2 and not captured.out, (captured.out, captured.err)
    assert captured.err.count("\n") == 1 and captured.err.startswith("nlhf: ")
    return captured.err
