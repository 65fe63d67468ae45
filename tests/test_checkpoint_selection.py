"""The iterate `selected`: the best recorded policy so far, chosen on prompts of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nlhf_repro.cells import single_cell
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.cell import read_run, run_cell, stage_store
from nlhf_repro.pipeline.language.early_stopping import EarlyStopping, best_so_far
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


def test_training_is_over_after_so_many_policies_without_a_better_one() -> None:
    values = {0: 0.5, 1: 0.6, 2: 0.6, 4: 0.55, 8: 0.7}
    asked: list[int] = []

    def value(update: int) -> float:
        asked.append(update)
        return values[update]

    stopping = EarlyStopping(2, value)
    over = [stopping.over([0, 1, 2, 4, 8][:count]) for count in range(1, 5)]
    assert over == [False, False, False, True]
    assert asked == [0, 1, 2, 4]  # once each
    # A better one in time: nothing is over.
    assert not EarlyStopping(3, values.__getitem__).over([0, 1, 2, 4, 8])


EARLY = ("language.selection=oracle_win_rate", "training.iterations=8", "training.record_points=8")


def early(folder: Path, patience: int, monkeypatch: pytest.MonkeyPatch, best: int):
    """The cell whose policies are judged best at one update, its trajectory and stages."""
    from nlhf_repro.pipeline.language import stages
    from nlhf_repro.pipeline.stages import load_trajectory

    monkeypatch.setattr(
        stages,
        "EarlyStopping",
        lambda wait, value: EarlyStopping(
            wait, lambda update: value(update) * 0 - abs(update - best)
        ),
    )
    cell = single_cell([*TINY, *EARLY, f"language.patience={patience}", f"output_dir={folder}"])
    check_parts(cell.config)
    result = run_cell(cell.config, [])
    run = read_run(result.directory)
    store = stage_store(folder)
    return run, load_trajectory(store.folder("train", run["stages"]["train"])), store


def test_an_early_end_keeps_the_last_policy_at_later_updates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Best at update 2, patience 2: over at update 4, where its weights stay."""
    run, trajectory, store = early(tmp_path, 2, monkeypatch, best=2)
    assert trajectory.updates.tolist() == list(range(9))
    spent = np.diff(trajectory.comparisons) > 0
    assert spent.tolist() == [True] * 4 + [False] * 4
    assert run["ledger"]["gradient_steps"] == 4 * 2
    folder = store.folder("train", run["stages"]["train"])
    weights = [(folder / f"checkpoint-{update}.safetensors").read_bytes() for update in range(9)]
    assert len(set(weights[:5])) == 5 and set(weights[4:]) == {weights[4]}


def test_patience_belongs_to_what_is_trained_and_needs_a_selection() -> None:
    from nlhf_repro.pipeline.keys import train_key

    def key(*overrides: str) -> str:
        return train_key(single_cell([*TINY, *overrides]).config)

    chosen = "language.selection=oracle_win_rate"
    other = "language.selection=oracle_exploitability"
    assert key(chosen) == key(other) == key()
    keys = {key(x, "language.patience=2") for x in (chosen, other)}
    assert len(keys | {key(), key(chosen, "language.patience=3")}) == 4
    with pytest.raises(ImpossibleSettingError, match="says of none that it is"):
        check_parts(single_cell([*TINY, "language.patience=2"]).config)
