"""What a part that ships needs to be set before it can be built: files and functions of a user."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path

import torch
from tiny_oracles import pair_model_folder, ranker_folder, reward_folder

from nlhf_repro.models.mini_llama import MiniLlama
from nlhf_repro.preferences.transformer_models import transformer_learner
from nlhf_repro.summaries import VOCABULARY

TINY_MODELS = {
    "reward_model": reward_folder,
    "pair_preference_model": pair_model_folder,
    "pair_classifier": ranker_folder,
}
NOT_HERE = {  # official files that these tests do not have, and packages
    **dict.fromkeys(("alpaca_eval", "alpaca_eval_lc"), "nlhf fetch alpaca_eval"),
    **dict.fromkeys(
        ("arena_hard", "arena_hard_v2", "arena_hard_v2_creative"), "nlhf fetch arena_hard"
    ),
    **dict.fromkeys(("mt_bench", "mt_bench_pairwise"), "nlhf fetch mt_bench"),
    "academic": "pip install",
}
VOTES = [
    {"prompt": "posts/0/training/0", "response_a": "so", "response_b": "it", "votes_a": 2}
    | {"votes_b": 1}
]


SMALL_MODEL = (  # large enough for the rewards of the checks
    *("hidden_size=16", "heads=2", "steps=120", "warmup_steps=5", "batch_size=32"),
    "learning_rate=0.02",
)


@cache
def joint_classifier_folder() -> Path:
    """A tiny one, whose output is not 0 for everything."""
    base = MiniLlama(16, 1, 2, 24, 512, False).base(VOCABULARY, 0)
    made = transformer_learner("joint_classifier", *base, 0)
    with torch.no_grad():
        made.model.score.weight.fill_(0.3)
    folder = Path(tempfile.mkdtemp())
    made.save(folder)
    return folder


@cache
def needed(group: str, name: str) -> tuple[str, ...]:
    """Overrides, with files in a folder of their own.

    Texts go through a model one at a time, at which batches round nothing.
    """
    if name in TINY_MODELS:
        folder = TINY_MODELS[name](Path(tempfile.mkdtemp()))
        most = ["max_length=250"]
        if name == "pair_classifier":
            most = ["source_max_length=50", "candidate_max_length=25"]
        small = (f"name_or_path={folder}", "dtype=float32", "batch_size=1", *most)
        return tuple(f"oracle.{each}" for each in small)
    if name in ("reward_model_fit", "preference_model_fit"):
        return tuple(f"oracle_wrapper.{name}.{each}" for each in SMALL_MODEL)
    if (group, name) == ("oracle", "joint_classifier"):
        own = (f"name_or_path={joint_classifier_folder()}", "batch_size=1", "max_length=120")
        return tuple(f"oracle.{each}" for each in own)
    if (group, name) == ("prompts", "jsonl"):
        lines = [{"prompt": f"say {n}", "response": f"{n}"} for n in range(1400)]
        return (f"prompts.path={written(lines)}",)
    if (group, name) == ("oracle", "human_votes"):
        return (f"oracle.path={written(VOTES)}", "oracle.missing=half")
    if (group, name) == ("oracle", "callable"):
        functions = ("preference=text_oracle_peers.prefer_longer", "score=text_oracle_peers.length")
        return tuple(f"oracle.{each}" for each in functions)
    if (group, name) == ("oracle", "llm_judge"):
        return ("judge@oracle.judge=unrelated",)
    return ()


def written(lines: list[dict[str, object]]) -> Path:
    path = Path(tempfile.mkdtemp()) / "lines.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path
