"""The mini Arena-Hard and MT-Bench from a policy to a score, with a judge whose rule is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mini_world import run_record, run_tiny, tiny_overrides

from nlhf_repro.benchmarks.annotation_files import read_rows
from nlhf_repro.benchmarks.arena_hard.asking import ArenaHard
from nlhf_repro.benchmarks.arena_hard.styles import answer_text
from nlhf_repro.benchmarks.mt_bench.asking import MTBench
from nlhf_repro.cells import single_cell
from nlhf_repro.interfaces import JudgedBenchmark
from nlhf_repro.pipeline.metrics import read_scores
from nlhf_repro.pipeline.scored import judged_benchmark

NAMES = ("arena_hard_mini", "mt_bench_mini")
RULE = "{_target_: scripted_judges.RuleJudge, rule: longer}"
OFFICIAL = {
    "arena_hard": ("v0.1", "gpt-4-1106-preview"),
    "arena_hard_v2": ("v2.0", "gpt-4.1"),
    "arena_hard_v2_creative": ("v2.0", "gpt-4.1"),
    "mt_bench": ("single", "gpt-4"),
    "mt_bench_pairwise": ("pairwise", "gpt-4"),
}


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("minis")
    repeats = [f"benchmark.{name}.repeats=2" for name in NAMES]
    judge = ("~judge", f"+judge={RULE}")
    return folder, run_tiny(folder, *judge, *repeats, benchmark=f"[{','.join(NAMES)}]")


def evaluated(cell: tuple[Path, Any], name: str) -> Path:
    folder, result = cell
    return folder / "stages" / f"evaluate-{run_record(result)['stages']['evaluate'][name][:16]}"


def written(folder: Path, name: str) -> dict[str, Any]:
    """The rows of answers that a policy's name has in upstream's files, by question."""
    rows = read_rows(folder / "upstream" / "last" / "draw-0" / "model_answer" / f"{name}.jsonl")
    return {str(row.get("uid", row.get("question_id"))): row for row in rows}


def test_the_win_rate_is_that_of_the_rule(cell: tuple[Path, Any]) -> None:
    folder = evaluated(cell, "arena_hard_mini")
    lengths = [
        {key: len(answer_text(row)[0] or "") for key, row in written(folder, name).items()}
        for name in ("policy", "reference_policy")
    ]
    gaps = np.array([lengths[0][key] - lengths[1][key] for key in lengths[0]])
    weights = np.where(gaps == 0, 1, 3)  # the rule's verdicts are `>>`, or a tie
    expected = 100 * (weights * (np.sign(gaps) + 1) / 2).sum() / weights.sum()
    values = read_scores(folder)["last"][-1]
    assert values.shape == (60,) and values.mean() == pytest.approx(expected)


def test_the_rating_is_that_of_the_rule(cell: tuple[Path, Any]) -> None:
    folder = evaluated(cell, "mt_bench_mini")
    turns = [row["choices"][0]["turns"] for row in written(folder, "policy").values()]
    rated = [[min(len(text.split()), 10) or 1 for text in each] for each in turns]
    values = read_scores(folder)["last"][-1]
    assert values.shape == (40,)
    assert values.mean() == pytest.approx(np.mean(rated))  # categories are of equal size


@pytest.mark.parametrize("name", NAMES)
def test_every_draw_has_files_of_its_own_and_notes_say_what_they_are(
    cell: tuple[Path, Any], name: str
) -> None:
    folder = evaluated(cell, name)
    for draw in range(2):
        (path,) = (folder / "upstream" / "last" / f"draw-{draw}" / "model_judgment").rglob(
            "*.jsonl"
        )
        assert len(read_rows(path)) == {"arena_hard_mini": 60, "mt_bench_mini": 80}[name]
    notes = json.loads((folder / "benchmark.json").read_text())["notes"]
    assert "not comparable with published numbers" in notes[0]
    assert notes[1].startswith("own questions and judge prompts, under the rules of")
    assert sum(note.startswith("verdicts: ") for note in notes) == 1  # a rule draws nothing


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_settings_are_those_of_the_protocols(name: str) -> None:
    config = dict(single_cell([*tiny_overrides(benchmark=f"[{name}]")]).config)
    benchmark = judged_benchmark(config, name)
    variant, model = OFFICIAL[name]
    assert isinstance(benchmark, JudgedBenchmark) and isinstance(benchmark, ArenaHard | MTBench)
    assert config["benchmark"][name]["judge"]["model"] == model
    assert variant == (benchmark.version if isinstance(benchmark, ArenaHard) else benchmark.mode)
    assert benchmark.comparable == (name != "mt_bench_pairwise")
