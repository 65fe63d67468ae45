"""The paper scale holds the papers' stated settings, and is sound as far as its files are here.

Sources: INPO, arXiv:2407.00617, section 4.1 and appendix B; SPPO, arXiv:2405.00675, section 5 and
released code; DNO, arXiv:2404.03715 v1; RLHF Workflow, arXiv:2405.07863, section 4 and Table 7;
MNPO, arXiv:2509.23102 v3, appendix C and released code.
"""

from __future__ import annotations

import json
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from needed_settings import NOT_HERE
from paper_stand_ins import EXPERIMENTS, given, make_oracles, smaller

from nlhf_repro.cells import Cell, experiment_cells, single_cell
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.keys import train_key
from nlhf_repro.reporting import table_specification
from nlhf_repro.reporting.published_specification import check_published_rows
from nlhf_repro.verbs.run import check_parts
from nlhf_repro.weights import fingerprint

LLAMA3_SFT, INSTRUCT = "RLHFlow/LLaMA3-SFT", "meta-llama/Meta-Llama-3-8B-Instruct"
REWARD, PREFERENCE = "sfairXC/FsfairX-LLaMA3-RM-v0.1", "RLHFlow/pair-preference-model-LLaMA3-8B"
MISTRAL, GEMMA = "mistralai/Mistral-7B-Instruct-v0.2", "google/gemma-2-9b-it"
# Prompts and pairs (or prompts whose responses are trained on) of an iteration, and its epochs.
INPO = {"prompts": 20_000, "iterations": 3, "rate": 5e-7, "batch": 128, "K": 8, "warm-up": 0.03}
INPO |= {"epochs": 2}  # not INPO's: iterative DPO's
SPPO = {"prompts": 20_000, "rate": 5e-7, "batch": 64, "K": 5, "warm-up": 0.1, "epochs": 1}
DNO = {"rate": 5e-5, "batch": 64, "K": 5, "beta": 0.1, "epochs": 1}
MNPO = {"prompts": 20_000, "iterations": 3, "rate": 5e-7, "batch": 128, "warm-up": 0.1}
MNPO |= {"epochs": 1, "eta": 0.0075, "tau": 0.0025, "model": GEMMA}
SELECTED = {"K": 8, "design": "best_worst"}
STATED: dict[tuple[str, str], dict[str, Any]] = {
    ("inpo_table1", "INPO (PM)"): INPO
    | {"eta": 0.005, "tau": 0.005 / 3, "design": "tournament"}
    | {"model": LLAMA3_SFT, "oracle": PREFERENCE},
    ("inpo_table1", "INPO (RM)"): INPO
    | {"eta": 0.005, "tau": 0.005 / 3, "design": "best_worst"}
    | {"model": LLAMA3_SFT, "oracle": REWARD},
    ("inpo_table1", "Iterative DPO (RM)"): INPO | SELECTED | {"beta": 0.1, "oracle": REWARD},
    ("inpo_table3", "INPO without KL (PM)"): INPO | {"eta": 0.005, "tau": 0.0},
    ("inpo_table3", "INPO without KL (RM)"): INPO | {"eta": 0.005, "tau": 0.0},
    ("inpo_table4", "INPO"): INPO | {"eta": 0.005, "tau": 0.005 / 3, "model": INSTRUCT},
    ("inpo_table5", "INPO"): INPO | {"eta": 0.005, "tau": 0.005 / 3, "model": INSTRUCT},
    ("sppo_table1", "SPPO It1"): SPPO | {"iterations": 1, "eta^-1": 1e-3, "model": MISTRAL},
    ("sppo_table1", "SPPO It3"): SPPO | {"iterations": 3, "eta^-1": 1e-3, "model": MISTRAL},
    ("sppo_table1", "Llama-3 SPPO It3"): SPPO
    | {"iterations": 3, "eta^-1": 1e-3, "model": INSTRUCT},
    ("sppo_table1", "DPO It3"): SPPO | {"iterations": 3, "design": "best_worst"},
    ("sppo_table1", "IPO It3"): SPPO | {"iterations": 3, "design": "best_worst"},
    ("sppo_figure4", "K = 2, It3"): SPPO | {"iterations": 3, "eta^-1": 1e-3, "K": 2},
    ("dno_table1", "DNO It3"): DNO | {"prompts": 20_000, "iterations": 3},
    ("dno_table4", "DNO It6"): DNO | {"prompts": 100_000, "iterations": 6},
    ("rlhf_workflow_table2", "Iterative DPO"): INPO
    | SELECTED
    | {"beta": 0.1, "anchor": "reference", "model": LLAMA3_SFT, "oracle": REWARD},
    ("mnpo_table2", "TD-MNPO"): MNPO | {"K": 2},
    ("mnpo_table7", "MNPO"): MNPO | {"K": 2},
}
SAME_RUNS = (  # rows of several tables that are one training
    ("inpo_table1", "INPO (PM)", "inpo_table2", "INPO"),
    ("inpo_table1", "SPPO (PM)", "inpo_table2", "SPPO"),
    ("inpo_table1", "Iterative DPO (PM)", "inpo_table2", "Iterative DPO"),
    ("inpo_table1", "INPO (RM)", "inpo_table3", "INPO (RM)"),
    ("inpo_table1", "INPO (PM)", "inpo_table3", "INPO (PM)"),
    ("inpo_table1", "Iterative DPO (RM)", "rlhf_workflow_table2", "Iterative DPO"),
    ("inpo_table4", "INPO", "inpo_table5", "INPO"),
    ("inpo_table4", "SPPO", "inpo_table5", "SPPO"),
    ("sppo_table1", "SPPO It3", "sppo_table2", "SPPO It3"),
    ("sppo_table1", "IPO It2", "sppo_table3", "IPO It2"),
    ("sppo_table1", "DPO It3", "sppo_figure2", "DPO It3"),
    ("dno_table1", "DNO It3", "dno_table3", "DNO It3"),
    ("mnpo_table2", "TD-MNPO", "mnpo_table7", "MNPO"),
    ("mnpo_table2", "DPO", "mnpo_table7", "DPO"),
)
AT_PAPER_SCALE_ONLY = (("sppo_table1", "SPPO It3", "sppo_figure4", "K = 5, It3"),)


@cache
def rows(scale: str, name: str) -> dict[str, Cell]:
    """The first seed's cell of every row."""
    own = given(name) if scale == "paper" else ()
    cells = experiment_cells([f"experiment={scale}/{name}", "seeds.values=[0]", *own])
    return {str(cell.row): cell for cell in cells}


def default() -> Cell:
    """The composition without rows."""
    return single_cell(["experiment=paper/default"])


def in_their_letters(config: dict[str, Any]) -> dict[str, Any]:
    """A composed row in the papers' letters and units."""
    algorithm, training = config["algorithm"], config["training"]
    items = training["groups_per_iteration"]
    per_prompt = algorithm.get("responses", 2) if "self_comparison" in algorithm else 1
    batch = training["minibatch_size"] / per_prompt
    steps = algorithm["gradient_steps"]
    step_size = algorithm.get("step_size")
    return {
        "prompts": training["groups_per_iteration"],
        "iterations": training["iterations"],
        "rate": training["learning_rate"],
        "batch": batch,
        "K": algorithm.get("responses", 2),
        "epochs": steps / ceil(items / batch),
        "warm-up": round(config["language"]["warmup_steps"] / steps, 2),
        "eta": step_size and 1 / step_size,  # INPO's and MNPO's; the step is its inverse
        "eta^-1": step_size and 1 / step_size,  # SPPO's eta is the step
        "tau": algorithm.get("regularization"),
        "beta": algorithm.get("inverse_temperature", algorithm.get("regularization")),
        "design": algorithm.get("design"),
        "anchor": algorithm.get("anchor"),
        "model": config["model"]["name_or_path"],
        "oracle": config["oracle"].get("name_or_path"),
    }


@pytest.mark.parametrize(("name", "row"), STATED)
def test_the_papers_settings_are_composed(name: str, row: str) -> None:
    config = rows("paper", name)[row].config
    found = in_their_letters(config)
    assert {key: found[key] for key in STATED[name, row]} == {
        key: pytest.approx(value) if isinstance(value, float) else value
        for key, value in STATED[name, row].items()
    }
    assert config["training"]["face"] == "sampled"
    assert config["language"]["log_prob"] == "sum"
    assert config["language"]["unit_scale"] is False
    enough = config["training"]["iterations"] * config["training"]["groups_per_iteration"]
    assert config["prompts"]["training"] >= enough, "prompts would come again"


def test_what_an_algorithm_must_not_have_is_not_there() -> None:
    """INPO's tau / eta is 1 / 3, SPPO's win rates count the response, SimPO takes means."""
    inpo = rows("paper", "inpo_table1")["INPO (PM)"].config["algorithm"]
    assert inpo["step_size"] * inpo["regularization"] == pytest.approx(1 / 3)
    assert rows("paper", "sppo_table1")["SPPO It3"].config["algorithm"]["self_comparison"] is True
    simpo = rows("paper", "mnpo_table2")["SimPO"].config
    assert simpo["language"]["log_prob"] == "mean"
    beta, gamma = (simpo["algorithm"][key] for key in ("inverse_temperature", "target_margin"))
    assert (beta, gamma / beta, simpo["training"]["learning_rate"]) == (10, 0.5, 8e-7)


@pytest.mark.parametrize("shared", [*SAME_RUNS, *AT_PAPER_SCALE_ONLY], ids=" ".join)
def test_tables_share_their_runs_at_the_paper_scale(shared, stand_ins, monkeypatch) -> None:
    first, one, second, other = shared
    monkeypatch.chdir(stand_ins)
    cells = (rows("paper", first)[one], rows("paper", second)[other])
    keys = [train_key(smaller(cell.config, stand_ins / "prompts.jsonl")) for cell in cells]
    assert keys[0] == keys[1]


@pytest.mark.parametrize("shared", SAME_RUNS, ids=" ".join)
def test_tables_share_their_runs_at_the_mini_scale(shared: tuple[str, str, str, str]) -> None:
    first, one, second, other = shared
    keys = [
        train_key(rows("mini", name)[row].config) for name, row in ((first, one), (second, other))
    ]
    assert keys[0] == keys[1]


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paper")
    make_oracles(folder)
    lines = [json.dumps({"prompt": f"say {n}"}) for n in range(20)]
    (folder / "prompts.jsonl").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_row_is_sound_but_for_files_that_are_not_here(name, stand_ins, monkeypatch) -> None:
    """What cannot be checked without official files is refused last, and says how to get them."""
    monkeypatch.chdir(stand_ins)
    cells = rows("paper", name) if name != "default" else {"": default()}
    configs = [smaller(cell.config, stand_ins / "prompts.jsonl") for cell in cells.values()]
    for config in configs:
        try:
            check_parts(config)
        except ImpossibleSettingError as refusal:
            assert any(each in str(refusal) for each in NOT_HERE.values()), refusal
    assert len({train_key(config) for config in configs}) == len(configs), (
        "two rows are one training"
    )


@pytest.mark.parametrize(("name", "key"), [("dno_table1", "model"), ("mnpo_table2", "oracle")])
def test_weights_without_a_public_name_have_to_be_given(name: str, key: str) -> None:
    given_none = [f"experiment=paper/{name}", "row=SFT", "model.revision=abc"]
    with pytest.raises(ImpossibleSettingError, match=rf"{key}.name_or_path = \./.* is no folder"):
        node = single_cell(given_none).config[key]
        fingerprint(node["name_or_path"], node["revision"], key)


@pytest.mark.parametrize("name", [each for each in EXPERIMENTS if each != "default"])
@pytest.mark.parametrize("scale", ["mini", "paper"])
def test_a_table_reads_what_each_scale_scores(scale: str, name: str) -> None:
    cells = rows(scale, name)
    config = next(iter(cells.values())).config
    specification = table_specification(config["table"])
    read = {getattr(column, "benchmark", None) for column in specification.columns}
    assert read == set(config["benchmark"])
    assert specification.primary is not None and specification.published is not None
    check_published_rows(specification.published, list(cells))
    assert set(specification.primary.baselines) <= set(cells)
