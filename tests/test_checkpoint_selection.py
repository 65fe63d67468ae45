"""The iterate `selected`: the best recorded policy so far, chosen on prompts of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nlhf_repro.cells import single_cell
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.cell import read_run, run_cell, stage_store
from nlhf_repro.pipeline.language.stages import best_so_far
from nlhf_repro.pipeline.metrics import read_scores
from nlhf_repro.verbs.run import check_parts

TINY = [
    *("experiment=mini/default", "tracker=none", "model.hidden_size=16", "model.layers=1"),
    *("model.heads=2", "model.intermediate_size=24", "prompts.training=24"),
    *("prompts.selection=6", "prompts.tuning=6", "prompts.evaluation=6"),
    *("prompts.demonstration_count=64", "language.fine_tuning.steps=6"),
    *("language.fine_tuning.warmup_steps=2", "language.evaluation_samples=3"),
    *("training.iterations=3", "training.record_points=3", "training.groups_per_iteration=8"),
    *("training.minibatch_size=8", "algorithm.gradient_steps=2"),
    "benchmark=[oracle_win_rate,oracle_exploitability]",
]


def test_the_best_so_far_is_the_first_of_equal_ones() -> None:
    assert best_so_far(np.array([1.0, 3.0, 2.0, 3.0, 4.0])).tolist() == [0, 1, 1, 1, 4]


def scores(folder: Path, *overrides: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    cell = single_cell([*TINY, f"output_dir={folder}", *overrides])
    check_parts(cell.config)
    run = read_run(run_cell(cell.config, []).directory)
    key = run["stages"]["evaluate"]["oracle_exploitability"]
    return read_scores(stage_store(folder).folder("evaluate", key)), run["stages"]


def test_the_selected_policy_is_one_of_those_recorded(tmp_path: Path) -> None:
    """Its scores are on the evaluation prompts, and training is that without selection."""
    plain, before = scores(tmp_path)
    assert set(plain) == {"last"}
    found, after = scores(tmp_path, "language.selection=oracle_win_rate")
    assert after["train"] == before["train"]
    assert after["sample"] == before["sample"]
    np.testing.assert_array_equal(found["last"], plain["last"])
    chosen = [
        next(x for x in range(point + 1) if np.array_equal(found["last"][x], selected))
        for point, selected in enumerate(found["selected"])
    ]
    assert chosen == sorted(chosen)
    assert chosen[0] == 0
    samples = sorted(path.name for path in (tmp_path / "stages").glob("sample-*"))
    assert len(samples) == 6  # start, policies and reference, on both splits


def test_a_selection_that_is_no_benchmark_is_refused() -> None:
    config = single_cell([*TINY, "language.selection=coverage"]).config
    with pytest.raises(
        ImpossibleSettingError, match=r"language\.selection = coverage is no benchmark of this run"
    ):
        check_parts(config)
