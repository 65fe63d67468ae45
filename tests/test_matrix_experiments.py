"""The papers' matrices: both scales are sound, with the papers' settings; one runs to its end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import mini_world
import pytest
import yaml
from conftest import CONF
from tiny_oracles import pair_model_folder, ranker_folder, reward_folder

from nlhf_repro.pipeline.cell import run_cell
from nlhf_repro.reporting.published_matrix import PublishedMatrix, check_published_matrix
from nlhf_repro.verbs.comparison import check_comparison, compare_at, write_comparison
from nlhf_repro.verbs.experiment import load_experiment
from nlhf_repro.verbs.run import check_parts

MATRICES = {  # the folder of a tiny oracle, for the paper scale
    "nash_md_matrix": pair_model_folder,
    "sppo_figure3": ranker_folder,
    "egpo_matrix": pair_model_folder,
    "comal_matrix": reward_folder,
    "online_ipo_comparison": pair_model_folder,
}
PAIRS = {  # that the paper prints, of the rows of the mini scale
    "nash_md_matrix": 19,
    "sppo_figure3": 45,
    "egpo_matrix": 15,
    "comal_matrix": 18,
    "online_ipo_comparison": 2,
}


def paper_overrides(name: str, folder: Path) -> list[str]:
    """Files of a user's own in the place of what is not here, and one seed."""
    folders = {"oracle": folder / "oracle", "model": folder / "model"}
    for each in folders.values():
        each.mkdir()
    MATRICES[name](folders["oracle"])
    pair_model_folder(folders["model"])
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"say {n}"}) + "\n" for n in range(60)))
    given = {f"{part}.name_or_path": where for part, where in folders.items()}
    given |= {"prompts.path": path, "oracle.dtype": "float32"}
    given |= {"oracle.device": "cpu", "model.device": "cpu"}
    return ["seeds.values=[0]", *(f"{key}={value}" for key, value in given.items())]


def declared(name: str) -> Any:
    """The file of an experiment."""
    return yaml.safe_load((CONF / "experiment" / f"{name}.yaml").read_text())


@pytest.mark.parametrize("name", MATRICES)
def test_the_mini_scale_has_the_papers_pairs(name: str) -> None:
    node = declared(f"mini/{name}")
    matrix = PublishedMatrix(**node["table"]["published_matrix"])
    check_published_matrix(matrix, list(node["rows"]))
    rows = list(matrix.rows)
    met = [(a, b) for i, a in enumerate(rows) for b in rows[:i] if matrix.printed(a, b)[0]]
    assert len(met) == PAIRS[name]
    assert len(node["seeds"]["values"]) == 3, "fewer decide nothing"


# What a paper, or its code, states, by row; facts that are second-hand are named in the files.
STATED = {
    "nash_md_matrix": {
        "RLHF": {"algorithm.regularization": 0.05},
        "SP": {"algorithm.regularization": 0.008, "algorithm.mixture_weight": 0.0},
        "MD1": {"algorithm.mixture_weight": 0.125, "training.iterations": 10_000},
        "MD2": {"algorithm.mixture_weight": 0.25},
        "MD3": {"algorithm.mixture_weight": 0.375},
        "MD4": {"algorithm.mixture_weight": 0.5},
        "MD5": {"algorithm.mixture_weight": 0.625, "prompts.evaluation": 2000},
        "MD6": {"algorithm.mixture_weight": 0.75, "algorithm.regularization": 0.008},
        "BR": {"algorithm.mixture_weight": 1.0, "prompts.training": 92_820},
        "EMA1": {"algorithm.averaging_share": 0.001},
        "EMA2": {"algorithm.averaging_share": 0.0005},
    },
    "sppo_figure3": {
        "SPPO3": {
            "algorithm.step_size": 1000,
            "algorithm.responses": 5,
            "algorithm.self_comparison": True,
            "training.iterations": 3,
            "training.groups_per_iteration": 20_000,
            "training.learning_rate": 5e-7,
            "oracle.aggregation": "scores",
        },
        "DPO2": {"algorithm.anchor": "previous", "training.minibatch_size": 64},
        "IPO1": {"algorithm.regularization": 0, "training.iterations": 1},
    },
    "egpo_matrix": {
        "EGPO": {
            "algorithm.regularization": 0.1,
            "training.learning_rate": 5e-7,
            "training.groups_per_iteration": 64,
            "language.warmup_steps": 1000,
            "language.weight_decay": 0.01,
            "language.uniform_temperature": 2.0,
            "language.evaluation_samples": 10,
            "prompts.evaluation": 100,
            "model.lora.rank": 256,
            "model.lora.alpha": 512,
        },
        "OIPO1": {"algorithm.form": "uniform"},
        "OIPO2": {"algorithm.form": "on_policy"},
        "Nash-MD": {"algorithm.mixture_weight": 0.125},
        "Nash-MD-PG": {"algorithm.mixture_weight": 0.125},
    },
    "comal_matrix": {
        "COMAL": {"algorithm.period": 6, "training.iterations": 18, "algorithm.step_size": 10},
        "INPO": {"algorithm.step_size": 500, "training.learning_rate": 5e-7},
        "INPO-L": {"algorithm.step_size": 10, "training.minibatch_size": 32},
        "Iterative IPO": {"algorithm.step_size": 500, "algorithm.regularization": 0.002},
        "Iterative IPO-L": {"algorithm.step_size": 10, "algorithm.responses": 5},
    },
    "online_ipo_comparison": {"Nash-MD-PG": {"algorithm.mixture_weight": 0.125}},
}


@pytest.mark.parametrize("name", STATED)
def test_the_paper_scale_has_the_stated_settings_and_is_sound(name: str, tmp_path: Path) -> None:
    experiment = load_experiment(f"paper/{name}", paper_overrides(name, tmp_path), None)
    check_comparison(experiment)
    cells = {cell.row or "": cell.config for cell in experiment.cells}
    assert len({cell.key for cell in experiment.cells}) == len(cells)
    for row, settings in STATED[name].items():
        for key, expected in settings.items():
            node = cells[row]
            for part in key.split("."):
                node = node[part]
            assert node == expected, (row, key)
    checked = {config["algorithm"]["_target_"]: config for config in cells.values()}
    for config in checked.values():
        few = {"training": 40, "selection": 2, "tuning": 2, "evaluation": 4}
        check_parts({**config, "prompts": {**config["prompts"], **few}})


def test_the_paper_scale_starts_from_the_stated_models() -> None:
    sppo, comal = declared("paper/sppo_figure3"), declared("paper/comal_matrix")
    assert sppo["model"]["name_or_path"] == "mistralai/Mistral-7B-Instruct-v0.2"
    assert sppo["oracle"]["name_or_path"] == "llm-blender/PairRM-hf"
    assert comal["model"]["name_or_path"] == "meta-llama/Meta-Llama-3-8B-Instruct"
    for row in ("INPO", "INPO-L", "COMAL"):
        given = dict(x.split("=") for x in comal["rows"][row])
        step, tau = (float(given[f"algorithm.{x}"]) for x in ("step_size", "regularization"))
        assert step * tau == pytest.approx(1 / 3, abs=1e-3), "tau is a third of eta"


@pytest.mark.slow
def test_a_matrix_runs_to_its_three_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = load_experiment("mini/online_ipo_comparison", [f"output_dir={tmp_path}"], None)
    cells = []
    for cell in (x for x in experiment.cells if x.row in ("Online IPO", "Nash-MD-PG", "DPO")):
        config = mini_world.tiny(cell.config)
        run_cell(config, [])
        cells.append(replace(cell, config=config))
    tiny = replace(experiment, cells=cells)
    robin = experiment.specification.round_robin
    assert robin is not None
    for seed in (0, 1, 2):
        rows = {cell.row or "": cell.config for cell in cells if cell.seed == seed}
        compare_at(rows, robin, tmp_path)
    assert write_comparison(tiny, tiny.records(), "online_ipo_comparison")
    printed = capsys.readouterr().out
    assert "share in the Nash mixture" in printed and "\nOnline IPO over Nash-MD-PG " in printed
    found = {x.name for x in (tmp_path / "tables").iterdir()}
    names = ("round-robin.md", "round-robin.csv", "published.md", "published.tex", "published.csv")
    assert {f"online_ipo_comparison-{name}" for name in names} <= found
    text = (tmp_path / "tables" / "online_ipo_comparison-published.md").read_text()
    assert "Of 2 published orderings" in text and " 0.621 " in text, text
