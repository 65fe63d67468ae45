"""Small things in the places of a paper's: weights in folders of their names, few prompts."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conftest import CONF
from tiny_oracles import pair_model_folder, ranker_folder, reward_folder

EXPERIMENTS = sorted(  # but for the matrices, which have tests of their own
    path.stem
    for path in (CONF / "experiment" / "paper").glob("*.yaml")
    if "round_robin" not in (CONF / "table" / path.name).read_text() or path.stem == "default"
)
ORACLES = {
    "sfairXC/FsfairX-LLaMA3-RM-v0.1": reward_folder,
    "RLHFlow/pair-preference-model-LLaMA3-8B": pair_model_folder,
    "llm-blender/PairRM-hf": ranker_folder,
}
GIVEN = {  # what has no public name, by the beginning of the experiment's name
    "dno": ("model.name_or_path=a/start",),
    "mnpo": ("oracle.name_or_path=sfairXC/FsfairX-LLaMA3-RM-v0.1",),
}


def given(name: str) -> tuple[str, ...]:
    """Overrides that a user has to say before the experiment composes."""
    return GIVEN.get(name.partition("_")[0], ())


def smaller(config: Mapping[str, Any], prompts: Path) -> dict[str, Any]:
    """A composed row with small things, the CPU and a commit in the places of the large ones."""
    small = copy.deepcopy(dict(config))
    small["prompts"] |= {"path": str(prompts), "training": 8, "evaluation": 2}
    small["model"] |= {"device": "cpu", "revision": "abc"}
    own = {"device": "cpu", "dtype": "float32", "batch_size": 1, "max_length": 250}
    own |= {"source_max_length": 50, "candidate_max_length": 25}
    small["oracle"] |= {key: value for key, value in own.items() if key in small["oracle"]}
    return small


def make_oracles(folder: Path) -> None:
    """A small model of its kind for every oracle, in the folder of its name."""
    for name, make in ORACLES.items():
        (folder / name).mkdir(parents=True)
        make(folder / name)
