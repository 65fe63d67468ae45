"""Grids of an experiment and the tuned settings of its rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nlhf_repro.cells import experiment_cells, single_cell
from nlhf_repro.config import compose_config, resolved_config, search_path_override
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.cell import run_cell
from nlhf_repro.pipeline.records import DeclaredCell, row_records
from nlhf_repro.tuned import declared_digest, problem_of

EXPERIMENT = """# @package _global_
# Two rows at two points (ours)
defaults:
  - override /oracle: annotator_types
  - override /tracker: none
name: swept
rows:
  INPO: [algorithm=inpo]
  EGPO: [algorithm=egpo]
grid:
  name: epsilon
  values: {-0.1: [oracle.epsilon=-0.1], 0.2: [oracle.epsilon=0.2, world=3]}
training: {iterations: 3}
"""
SEARCH = """# A search (ours)
rows: {INPO: [algorithm=inpo], EGPO: [algorithm=egpo]}
"""


def winner(row: str, *overrides: str, epsilon: float = -0.1) -> dict[str, object]:
    """A row of a winners' file; what the search measured does not matter here."""
    measured = {"gap": 0.1, "interval": None, "untuned_gap": None, "second_gap": None}
    counted = {"trials": 3, "distinct": 3, "failed": 0, "edges": [], "comparisons": 0}
    point = ["oracle=annotator_types", f"oracle.epsilon={epsilon}", "training.iterations=3"]
    composed = resolved_config(compose_config([f"algorithm={row}", *point]))
    return {
        "overrides": list(overrides),
        "row": [f"algorithm={row}"],
        "problem": problem_of(composed, [x.partition("=")[0] for x in overrides]),
        **measured,
        **counted,
        "budget": None,
    }


def winners(folder: Path) -> dict[str, object]:
    """The winners of `SEARCH`."""
    return {
        "experiment": "tune/mine",
        "changes": [],
        "digest": declared_digest("tune/mine", [folder / "conf"], []),
        "sampler": "by hand",
        "worlds": [7],
        "seeds": [70],
        "metric": "gap",
        "rows": {
            "INPO": winner("inpo", "algorithm.step_size=0.25"),
            "INPO, epsilon 0.2": winner("inpo", "algorithm.step_size=0.35", epsilon=0.2),
            "EGPO, epsilon -0.1": winner("egpo"),
            "EGPO, epsilon 0.2": winner("egpo", "algorithm.step_size=0.5", epsilon=0.2),
        },
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("experiment/tabular/swept", EXPERIMENT), ("experiment/tune/mine", SEARCH)):
        path = tmp_path / "conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    (tmp_path / "conf" / "tuned").mkdir()
    (tmp_path / "conf" / "tuned" / "mine.yaml").write_text(json.dumps(winners(tmp_path)))
    return tmp_path


def swept(folder: Path, *overrides: str) -> list[str]:
    output = f"output_dir={folder / 'outputs'}"
    searched = search_path_override(str(folder / "conf"))
    return [*searched, "experiment=tabular/swept", output, *overrides]


def test_every_row_is_run_at_every_point(folder: Path) -> None:
    cells = experiment_cells(swept(folder))
    assert [cell.row for cell in cells] == [
        "INPO, epsilon -0.1",
        "INPO, epsilon 0.2",
        "EGPO, epsilon -0.1",
        "EGPO, epsilon 0.2",
    ]
    assert [cell.config["oracle"]["epsilon"] for cell in cells] == [-0.1, 0.2, -0.1, 0.2]
    assert [cell.config["world"] for cell in cells] == [0, 3, 0, 3]
    for cell in cells:
        run_cell(cell.config, cell.overrides)
    declared = [DeclaredCell(x.row or "", x.seed, x.world, x.key, x.config) for x in cells]
    rows = row_records(declared, folder / "outputs")
    assert [(row.base, row.grid_point) for row in rows] == [
        ("INPO", -0.1),
        ("INPO", 0.2),
        ("EGPO", -0.1),
        ("EGPO", 0.2),
    ]


def test_winners_reach_their_row_or_its_point(folder: Path) -> None:
    cells = experiment_cells(swept(folder, "tuning=mine"))
    assert [cell.config["algorithm"]["step_size"] for cell in cells] == [0.25, 0.35, 0.3, 0.5]
    chosen = single_cell(swept(folder, "tuning=mine", "row='EGPO, epsilon 0.2'"))
    assert chosen.config["algorithm"]["step_size"] == 0.5


def test_a_winner_of_the_row_serves_the_points_that_pose_its_problem(folder: Path) -> None:
    path = folder / "conf" / "tuned" / "mine.yaml"
    path.write_text(path.read_text().replace("INPO, epsilon 0.2", "SPPO"))
    with pytest.raises(ImpossibleSettingError, match=r"epsilon \(0.2 here, -0.1 there\)"):
        experiment_cells(swept(folder, "tuning=mine"))
    chosen = single_cell(swept(folder, "tuning=mine", "row='INPO, epsilon -0.1'"))
    assert chosen.config["algorithm"]["step_size"] == 0.25


def test_a_row_without_a_winner_is_refused(folder: Path) -> None:
    path = folder / "conf" / "tuned" / "mine.yaml"
    path.write_text(path.read_text().replace("EGPO, epsilon 0.2", "SPPO"))
    with pytest.raises(ImpossibleSettingError, match=r"no winner for row 'EGPO, epsilon 0\.2'"):
        experiment_cells(swept(folder, "tuning=mine"))
    path.write_text("rows: 3")
    with pytest.raises(ImpossibleSettingError, match="write it again with nlhf tune mine"):
        experiment_cells(swept(folder, "tuning=mine"))
    with pytest.raises(ImpossibleSettingError, match=r"tuning = yours is no tuning: .*, mine,"):
        experiment_cells(swept(folder, "tuning=yours"))


def test_a_grid_that_is_none_is_refused(folder: Path) -> None:
    path = folder / "conf" / "experiment" / "tabular" / "swept.yaml"
    path.write_text(EXPERIMENT.replace("  name: epsilon\n", ""))
    with pytest.raises(ImpossibleSettingError, match="grid"):
        experiment_cells(swept(folder))
