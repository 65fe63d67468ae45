"""Experiments in several worlds: cells, records and tables whose cluster is the world."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command import nlhf
from mini_world import TINY

from nlhf_repro.cells import experiment_cells
from nlhf_repro.config import search_path_override
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.cell import run_cell, run_directory
from nlhf_repro.pipeline.records import DeclaredCell, row_records
from nlhf_repro.reporting import render_table, table_specification, to_markdown
from nlhf_repro.verbs.sweep import sweep_of_cells

SAMPLED = {"training.face": "sampled", "training.average_iterate": False}
EXPERIMENT = """# @package _global_
# Two worlds (nobody)
defaults:
  - override /algorithm: inpo
  - override /model: mini_llama
  - override /prompts: posts
  - override /oracle: annotators
  - override /language: mini
  - override /benchmark: [oracle_win_rate]
  - override /table: two_worlds
  - override /tracker: none

name: two_worlds
rows:
  Fixed: [algorithm=fixed]
  IPO: [algorithm=ipo, algorithm.gradient_steps=1]
seeds: {values: [0, 1], design: independent}
worlds: [0, 1]
"""
TABLE = """# A small table (nobody)
title: Two worlds
caption: Two worlds.
columns:
  - _target_: nlhf_repro.reporting.columns.MeanValue
    header: win rate
    benchmark: oracle_win_rate
    iterate: last
    at: last
    across_regularization: true
primary: {column: win rate, against: Fixed, seeds: independent}
figures: []
level: 0.95
"""


def configuration(folder: Path) -> Path:
    """A folder of a user's own with the experiment, at the tiny size."""
    conf = folder / "conf"
    (conf / "experiment" / "mini").mkdir(parents=True)
    (conf / "table").mkdir()
    settings = "".join(f"{line}\n" for line in nested(TINY | SAMPLED))
    (conf / "experiment" / "mini" / "two_worlds.yaml").write_text(EXPERIMENT + settings)
    (conf / "table" / "two_worlds.yaml").write_text(TABLE)
    return conf


def nested(values):
    """Dotted keys as YAML in flow style, one top-level key a line."""
    tree: dict = {}
    for key, value in values.items():
        node = tree
        *path, last = key.split(".")
        for name in path:
            node = node.setdefault(name, {})
        node[last] = value
    return (f"{key}: {json.dumps(node)}" for key, node in tree.items())


def arguments(folder: Path) -> list[str]:
    conf = configuration(folder)
    searched = search_path_override(str(conf))
    return [*searched, "experiment=mini/two_worlds", f"output_dir={folder}/out"]


def declared(cells) -> list[DeclaredCell]:
    return [DeclaredCell(x.row, x.seed, x.world, x.key, x.config) for x in cells]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory):
    """The eight cells, computed, and their folder."""
    folder = tmp_path_factory.mktemp("worlds")
    cells = experiment_cells(arguments(folder))
    for cell in cells:
        run_cell(cell.config, cell.overrides)
    return cells, folder / "out"


def test_every_row_is_a_cell_in_every_world_at_every_seed(finished) -> None:
    cells, _ = finished
    found = [(x.row, x.world, x.seed) for x in cells]
    assert found == [(r, w, s) for r in ("Fixed", "IPO") for w in (0, 1) for s in (0, 1)]
    assert len({x.key for x in cells}) == 8
    assert all(x.config["world"] == x.world for x in cells)


def test_values_are_of_seeds_worlds_and_points(finished) -> None:
    cells, output = finished
    for row in row_records(declared(cells), output):
        assert row.values["oracle_win_rate/last"].shape == (2, 2, 3)  # updates 0, 1 and 2
        assert (row.clusters, row.problems, row.seeds) == ("worlds", 2, (0, 1))
        assert (row.missing, row.failed) == ((), {})


def test_a_world_s_value_is_the_mean_over_its_prompts(finished) -> None:
    cells, output = finished
    _, both = row_records(declared(cells), output)
    for world in (0, 1):
        own = [x for x in cells if x.row == "IPO" and x.world == world]
        (alone,) = row_records(declared(own), output)
        assert alone.clusters == "prompts"
        values = alone.values["oracle_win_rate/last"]  # [seeds, prompts, points]
        assert values.shape == (2, TINY["prompts.evaluation"], 3)
        together = both.values["oracle_win_rate/last"][:, world]
        np.testing.assert_allclose(together, values.mean(axis=1), rtol=0, atol=1e-15)
    first, second = both.values["oracle_win_rate/last"][:, :, 2].T
    assert not np.array_equal(first, second)


def test_the_seeds_of_a_fixed_policy_agree_and_its_worlds_are_at_one_half(finished) -> None:
    """The reference against its own answers, in every world: its oracle, model and prompts."""
    cells, output = finished
    fixed, _ = row_records(declared(cells), output)
    np.testing.assert_allclose(fixed.values["oracle_win_rate/last"], 0.5, atol=0.2)
    one, other = fixed.values["oracle_win_rate/last"]
    np.testing.assert_array_equal(one, other)


def test_the_table_takes_worlds_as_the_cluster(finished) -> None:
    cells, output = finished
    specification = table_specification(cells[0].config["table"])
    text = to_markdown(render_table(row_records(declared(cells), output), specification))
    assert "world" in text and "prompts" not in text
    assert "2 seeds x 2 worlds" in text or "2 x 2" in text


def test_a_seed_that_misses_a_world_is_missing(tmp_path: Path) -> None:
    """None is averaged over the worlds that it has."""
    cells = [x for x in experiment_cells(arguments(tmp_path)) if x.row == "Fixed"]
    for cell in cells[:3]:  # world 0 at both seeds, world 1 at the first
        run_cell(cell.config, cell.overrides)
    (row,) = row_records(declared(cells), tmp_path / "out")
    assert (row.seeds, row.missing, row.failed) == ((0,), (1,), {})
    assert row.values["oracle_win_rate/last"].shape == (1, 2, 3)


def test_a_failure_names_its_world(tmp_path: Path) -> None:
    cells = [x for x in experiment_cells(arguments(tmp_path)) if x.row == "Fixed"]
    for cell in cells[:3]:
        run_cell(cell.config, cell.overrides)
    broken = cells[3]
    assert (broken.world, broken.seed) == (1, 1)
    blocked = run_directory(tmp_path / "out", broken.key)
    blocked.mkdir(parents=True)
    record = {"key": broken.key, "status": "failed", "error": "ValueError: the oracle broke"}
    (blocked / "run.json").write_text(json.dumps(record))
    (row,) = row_records(declared(cells), tmp_path / "out")
    assert row.failed == {1: "world 1: ValueError: the oracle broke"}
    assert (row.seeds, row.missing) == ((0,), ())


def test_worlds_that_repeat_are_refused(tmp_path: Path) -> None:
    overrides = arguments(tmp_path)
    with pytest.raises(ImpossibleSettingError, match=r"worlds = \[0, 0\] must hold worlds that d"):
        experiment_cells([*overrides, "worlds=[0,0]"])
    with pytest.raises(ImpossibleSettingError, match=r"worlds = \[\] must hold"):
        experiment_cells([*overrides, "worlds=[]"])


def test_a_sweep_of_all_cells_goes_through_the_worlds(tmp_path: Path) -> None:
    overrides = arguments(tmp_path)
    assert sweep_of_cells(overrides)[-3:] == ["row='Fixed','IPO'", "seed=0,1", "world=0,1"]
    assert sweep_of_cells([*overrides, "world=1"])[-2:] == ["row='Fixed','IPO'", "seed=0,1"]


@pytest.mark.slow
def test_reproduce_runs_the_cells_of_all_worlds(tmp_path: Path) -> None:
    conf = configuration(tmp_path)
    command = ("reproduce", "two_worlds", "--config-dir", str(conf), "--jobs", "2")
    status, output, errors = nlhf(tmp_path, *command)
    assert status == 0, errors
    assert "world" in output and "missing" not in output
    records = list((tmp_path / "outputs" / "runs").glob("*/run.json"))
    found = {
        (x["row"], x["world"], x["seed"]) for x in map(json.loads, map(Path.read_text, records))
    }
    assert len(found) == len(records) == 8
