"""Winners are used on the problem that they were tuned on, and on no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nlhf_repro.cells import Cell, experiment_cells, single_cell
from nlhf_repro.config import conf_directory
from nlhf_repro.interfaces import ImpossibleSettingError, Tuning
from nlhf_repro.tuned import Winners, problem_of, read_winners, tuning_of_row

SIX_ALGORITHMS = "experiment=tabular/six_algorithms"


def refusal(overrides: Sequence[str]) -> str:
    with pytest.raises(ImpossibleSettingError) as error:
        single_cell([SIX_ALGORITHMS, "row=INPO", *overrides])
    return str(error.value)


@pytest.mark.parametrize(
    ("overrides", "differing"),
    [
        (["oracle.actions=30"], ["oracle.actions (30 here, 10 there)"]),
        (["oracle.reference=uniform"], ['reference ("uniform" here, "normal_logits" there)']),
        (["oracle=bradley_terry"], ["oracle._target_ ("]),
        (["oracle_wrapper=[noisy]"], ["oracle_wrapper.noisy.flip_rate (", "absent there)"]),
        (["model=tabular_mlp"], ["model._target_ ("]),
        (["training.minibatch_size=16"], ["training.minibatch_size (16 here, null there)"]),
        (["training.iterations=9"], ["training.iterations (9 here, 100000 there)"]),
        (["budget.comparisons=10000"], ["budget.comparisons (10000 here, 20000 there)"]),
        (
            ["algorithm.labels=probability", "oracle.actions=9"],
            ["oracle.actions (9 here", 'algorithm.labels ("probability" here, "bernoulli" there)'],
        ),
    ],
)
def test_another_problem_is_refused(overrides: list[str], differing: list[str]) -> None:
    said = refusal(overrides)
    assert "row 'INPO' is not on the problem that tuning = six_algorithms tuned 'INPO' on" in said
    for each in differing:
        assert each in said
    single_cell([SIX_ALGORITHMS, "row=INPO", "tuning=null", *overrides])


def test_games_records_worlds_and_benchmarks_are_no_part_of_the_problem() -> None:
    changes = [
        "oracle.games=3",
        "training.record_points=2",
        "training.average_iterate=false",
        "world=5",
        "seeds.values=[7]",
        "benchmark=[duality_gap,action_probability]",
        "output_dir=elsewhere",
    ]
    assert len(experiment_cells([SIX_ALGORITHMS, *changes])) == 7


def cell_and_winners() -> tuple[Cell, Winners]:
    cell = single_cell([SIX_ALGORITHMS, "row=INPO"])
    return cell, read_winners("six_algorithms", [conf_directory()])


def judged(problem: dict[str, Any]) -> Tuning:
    """the row INPO of six_algorithms where its winner was tuned on this problem."""
    cell, winners = cell_and_winners()
    rows = {**winners.rows, "INPO": replace(winners.rows["INPO"], problem=problem)}
    return tuning_of_row(replace(winners, rows=rows), "INPO", "INPO", cell.config, [0])


def test_only_a_new_key_of_the_algorithm_is_accepted() -> None:
    cell, winners = cell_and_winners()
    problem = winners.rows["INPO"].problem
    assert problem == problem_of(cell.config, winners.rows["INPO"].tuned_keys())
    assert judged(problem).row == "INPO"
    assert judged({k: v for k, v in problem.items() if k != "algorithm.labels"}).row == "INPO"
    with pytest.raises(ImpossibleSettingError, match=r'training.face ."sampled" here, absent'):
        judged({key: value for key, value in problem.items() if key != "training.face"})
    with pytest.raises(ImpossibleSettingError, match=r"algorithm.gone .absent here, 3 there"):
        judged({**problem, "algorithm.gone": 3})


@pytest.mark.parametrize("path", sorted((conf_directory() / "tuned").glob("*.yaml")), ids=str)
def test_committed_winners_know_their_problems_without_the_tuned_keys(path: Path) -> None:
    winners = read_winners(path.stem, [conf_directory()])
    assert "problem: {" in path.read_text()
    for winner in winners.rows.values():
        assert winner.problem["budget.comparisons"] == winner.budget
        assert not winner.tuned_keys() & set(winner.problem)
        assert not {"oracle.games", "world", "seed"} & set(winner.problem)


def test_a_setting_that_came_later_and_is_null_changes_no_problem() -> None:
    """The winners of nash_against_bradley_terry were written before language.patience was a key."""
    cells = experiment_cells(["experiment=mini/nash_against_bradley_terry"])
    assert cells[0].config["language"]["patience"] is None and cells[0].tuning is not None
    given = ["language.selection=oracle_win_rate", "language.patience=2"]
    with pytest.raises(ImpossibleSettingError, match=r"language.patience .2 here, absent there"):
        experiment_cells(["experiment=mini/nash_against_bradley_terry", *given])
