"""From an evaluation's folder to a row: draws, judge, notes and scored updates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_cells import SMALL, declared

from nlhf_repro.cells import single_cell
from nlhf_repro.pipeline import cell as cells_module
from nlhf_repro.pipeline.cell import run_cell
from nlhf_repro.pipeline.metrics import read_judge_draws, read_scores
from nlhf_repro.pipeline.records import row_records
from nlhf_repro.pipeline.stages import evaluate_stage, write_judge_draws, write_scores

SAMPLED = ["training.face=sampled", "algorithm=egpo", "training.iterations=3"]
UPDATES = np.array([0.0, 1.0, 2.0, 3.0])


def judged_draws(seed: int, world: int) -> np.ndarray:
    """[points, draws, items], the last update alone scored."""
    draws = np.full((4, 3, 4), np.nan)
    draws[-1] = np.random.default_rng([seed, world]).normal(size=(3, 4))
    return draws


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations that are judged: the scores of games give way to means over draws."""

    def judged_stage(config, name, policy_key, version, training: Path, folder: Path) -> None:
        evaluate_stage(config, name, policy_key, version, training, folder)
        draws = judged_draws(config["seed"], config["world"])
        write_judge_draws(folder, {"last": draws})
        write_scores(folder, {"last": draws.mean(axis=1)}, UPDATES, policy_key, name, version)
        path = folder / "benchmark.json"
        more = {
            "judge": f"panel of world {config['world']}",
            "notes": ["not comparable", f"{config['seed']} verdicts unread"],
            "scored_updates": [3],
        }
        path.write_text(json.dumps(json.loads(path.read_text()) | more))

    monkeypatch.setattr(cells_module, "evaluate_stage", judged_stage)


def rows_of(folder: Path, worlds: tuple[int, ...]):
    cells = []
    for seed in (1, 2):
        for world in worlds:
            overrides = [f"output_dir={folder}", f"seed={seed}", f"world={world}"]
            cells.append(single_cell([*SMALL, *SAMPLED, *overrides]))
            run_cell(cells[-1].config, cells[-1].overrides)
    return row_records(
        [type(each)(**{**vars(each), "row": "A"}) for each in declared(cells)], folder
    )


def test_a_row_has_what_its_folders_say(tmp_path: Path, judge: None) -> None:
    (row,) = rows_of(tmp_path, (0,))
    draws = row.judge_draws["duality_gap/last"]
    assert draws.shape == (2, 3, 4, 4)
    for place, seed in enumerate((1, 2)):
        expected = judged_draws(seed, 0)
        np.testing.assert_array_equal(draws[place, :, :, -1], expected[-1])
    np.testing.assert_allclose(row.values["duality_gap/last"], draws.mean(axis=1), rtol=1e-12)
    assert np.isnan(draws[..., :-1]).all()
    assert row.judges == {"duality_gap": ("panel of world 0",)}
    assert row.scored_updates == {"duality_gap": (3.0,)}
    assert row.notes == {
        "duality_gap": (
            "not comparable",
            "seed 1: 1 verdicts unread; seed 2: 2 verdicts unread",
        )
    }
    lines = next((tmp_path / "runs").glob("*/metrics.jsonl")).read_text().splitlines()
    scored = ["eval/duality_gap/last/mean" in json.loads(line) for line in lines]
    assert scored == [False, False, False, True]


def test_draws_of_worlds_are_means_over_their_items(tmp_path: Path, judge: None) -> None:
    (row,) = rows_of(tmp_path, (0, 1))
    draws = row.judge_draws["duality_gap/last"]
    assert draws.shape == (2, 3, 2, 4)
    expected = judged_draws(2, 1)[-1].mean(axis=1)
    np.testing.assert_allclose(draws[1, :, 1, -1], expected, rtol=1e-12)
    np.testing.assert_allclose(row.values["duality_gap/last"], draws.mean(axis=1), rtol=1e-12)
    assert row.judges == {"duality_gap": ("panel of world 0", "panel of world 1")}
    assert "seed 2, world 0 and seed 2, world 1: 2 verdicts unread" in row.notes["duality_gap"][1]


def test_draws_are_written_as_they_are(tmp_path: Path) -> None:
    draws = {"last": judged_draws(0, 0)}
    paths = []
    for name in "ab":
        (tmp_path / name).mkdir()
        write_judge_draws(tmp_path / name, draws)
        paths.append(tmp_path / name / "judge_draws.npz")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    (iterate,) = read_judge_draws(tmp_path / "a").items()
    assert iterate[0] == "last"
    np.testing.assert_array_equal(iterate[1], draws["last"])
    assert read_judge_draws(tmp_path) == {}
    with pytest.raises(ValueError, match=r"give \[points, draws, items\]"):
        write_judge_draws(tmp_path, {"last": np.zeros((2, 3))})


def test_a_row_without_a_judge_has_none(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, (0,))
    assert (row.judge_draws, row.judges, row.scored_updates, row.notes) == ({}, {}, {}, {})
    folder = next((tmp_path / "stages").glob("evaluate-*"))
    assert np.isfinite(read_scores(folder)["last"]).all()
