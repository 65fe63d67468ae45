"""Runs whose oracle is a model from a folder: what they train on, and what tells them apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from mini_world import lines, run_record, run_tiny, tiny_overrides
from tiny_oracles import pair_model_folder, ranker_folder, reward_folder

from nlhf_repro.cells import single_cell
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.evaluation_keys import cell_key, evaluation_key
from nlhf_repro.pipeline.keys import train_key
from nlhf_repro.pipeline.language.comparison_keys import reference_pair_key
from nlhf_repro.pipeline.language.task import LanguageTask
from nlhf_repro.verbs.run import check_parts
from nlhf_repro.weights import folder_digests

MODELS = {
    "reward_model": reward_folder,
    "pair_preference_model": pair_model_folder,
    "pair_classifier": ranker_folder,
}


def overrides(name: str, folder: Path) -> dict[str, Any]:
    return {
        "oracle": name,
        "oracle__name_or_path": folder,
        "oracle__dtype": "float32",
        "oracle__batch_size": 16,
        "algorithm": "inpo",
        "algorithm__gradient_steps": 3,
        "benchmark": "[oracle_win_rate,kl_to_reference]",
    }


def answers(folder: Path, update: int) -> dict[str, list[str]]:
    """What was answered to every prompt."""
    table = pq.read_table(folder / "samples.parquet").to_pylist()
    found: dict[str, list[str]] = {}
    for row in table:
        if row["update"] == update:
            found.setdefault(row["prompt"], []).append(row["response"])
    return found


@pytest.mark.parametrize("name", MODELS)
def test_a_policy_is_trained_and_judged_by_a_model(name: str, tmp_path: Path) -> None:
    asked = overrides(name, MODELS[name](tmp_path / "weights"))
    result = run_tiny(tmp_path, **asked)
    record = run_record(result)
    assert record["status"] == "complete" and record["ledger"]["responses"] == 16
    # The last win rate is what the model itself says of the texts that were written.
    config = single_cell(tiny_overrides(**asked)).config
    task = LanguageTask(config, None)
    own, reference = (
        answers(tmp_path / "stages" / f"sample-{record['stages'][key][:16]}", update)
        for key, update in (("sample", 2), ("reference_sample", 0))
    )
    expected = []
    for prompt in task.prompts("evaluation"):
        pairs = [(x, y) for x in own[prompt.identifier] for y in reference[prompt.identifier]]
        first, second = zip(*pairs, strict=True)
        expected.append(task.oracle().preference([prompt] * len(pairs), first, second).mean())
    last = list(lines(result.directory / "metrics.jsonl"))[-1]
    assert last["update"] == 2
    assert last["eval/oracle_win_rate/last/mean"] == pytest.approx(np.mean(expected), abs=1e-5)
    assert np.ptp(expected) > 1e-4
    said = {}
    for path in (tmp_path / "stages").glob("evaluate-*/benchmark.json"):
        description = json.loads(path.read_text())
        said[description["benchmark"]] = description.get("notes", [])
    assert said.pop("kl_to_reference") == [], "it asks no oracle"
    biased = [note for note in said["oracle_win_rate"] if "position bias" in note]
    assert len(biased) == (name != "reward_model") == len(said["oracle_win_rate"])


def test_the_weights_and_not_their_name_tell_results_apart(tmp_path: Path) -> None:
    folder = reward_folder(tmp_path / "weights")
    config = single_cell(tiny_overrides(**overrides("reward_model", folder))).config

    def keys() -> list[str]:
        folder_digests.cache_clear()  # as in another process
        return [
            train_key(config),
            cell_key(config),
            reference_pair_key(config),
            evaluation_key(config, "oracle_win_rate"),
        ]

    before = keys()
    assert keys() == before
    reward_folder(folder, seed=1)
    after = keys()
    assert all(one != other for one, other in zip(before, after, strict=True))
    reward_folder(folder)
    assert keys() == before


def test_a_model_on_the_hub_needs_a_commit() -> None:
    asked = overrides("reward_model", Path("someone/model"))
    cell = single_cell(tiny_overrides(**asked))
    with pytest.raises(ImpossibleSettingError, match=r"oracle\.revision = null of someone/model"):
        train_key(cell.config)


def test_what_cannot_be_loaded_is_refused_before_any_work(tmp_path: Path) -> None:
    asked = overrides("pair_classifier", reward_folder(tmp_path))
    cell = single_cell(tiny_overrides(**asked))
    with pytest.raises(ImpossibleSettingError, match="which a pair ranker needs"):
        check_parts(cell.config)


def test_benchmarks_that_read_features_are_refused(tmp_path: Path) -> None:
    asked = overrides("reward_model", reward_folder(tmp_path)) | {"benchmark": "[inventions]"}
    with pytest.raises(ImpossibleSettingError, match="RewardOracle has none: drop it"):
        check_parts(single_cell(tiny_overrides(**asked)).config)
