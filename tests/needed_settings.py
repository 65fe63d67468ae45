"""What a part that ships needs to be set before it can be built: files and functions of a user."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path

from tiny_oracles import pair_model_folder, ranker_folder, reward_folder

TINY_MODELS = {
    "reward_model": reward_folder,
    "pair_preference_model": pair_model_folder,
    "pair_classifier": ranker_folder,
}
VOTES = [
    {"prompt": "posts/0/training/0", "response_a": "so", "response_b": "it", "votes_a": 2}
    | {"votes_b": 1}
]


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
