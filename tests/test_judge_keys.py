"""What keys hold of a judge inside of an oracle: what decides its replies, and nothing else."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from mini_world import tiny_overrides
from test_pair_classifier import family as pair_classifier
from tiny_oracles import prompt, ranker_folder

from nlhf_repro.cells import single_cell
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.models.mini_llama import MiniLlama
from nlhf_repro.oracles.cached import Cached
from nlhf_repro.oracles.noisy import Noisy
from nlhf_repro.pipeline.keys import oracle_settings, seed_factors, train_key, with_identities
from nlhf_repro.pipeline.language.kept import answers_key
from nlhf_repro.pipeline.parts import targets
from nlhf_repro.verbs.run import check_parts

Config = dict[str, Any]


def config_of(*overrides: str) -> Config:
    return single_cell([*tiny_overrides(oracle_wrapper="[cached]"), *overrides]).config


def keys_of(*overrides: str) -> tuple[str, str, tuple[str | int, ...]]:
    """Of the training, of the answers that are kept, and of independent random streams."""
    config = config_of(*overrides)
    independent = {**config, "seeds": {**config["seeds"], "design": "independent"}}
    return train_key(config), answers_key(config, "cached"), seed_factors(independent)


def model_folder(path: Path, change: float = 0.0) -> Path:
    model, tokenizer = MiniLlama(8, 1, 1, 8, positions=64, tied=False).base(("a", "b"), 10)
    with torch.no_grad():
        model.get_output_embeddings().weight.add_(change)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def local(folder: Path, *changes: str) -> list[str]:
    chosen = ["oracle=llm_judge", "judge@oracle.judge=local_model"]
    return [*chosen, f"oracle.judge.name_or_path={folder}", *changes]


def test_other_weights_of_a_judge_are_another_oracle(tmp_path: Path) -> None:
    one, same = model_folder(tmp_path / "one"), model_folder(tmp_path / "same")
    other = model_folder(tmp_path / "other", 0.1)
    own = keys_of(*local(one))
    assert keys_of(*local(same, "oracle.judge.batch_size=3")) == own
    changed = (keys_of(*local(other)), keys_of(*local(one, "oracle.judge.dtype=bfloat16")))
    for key in range(3):
        assert len({own[key], *(each[key] for each in changed)}) == 3


@pytest.mark.parametrize(
    "setting",
    [
        ("maximum_calls=7",),
        ("maximum_money=5", "prompt_price=1", "completion_price=2"),
        ("concurrency=2",),
        ("timeout_s=9",),
        ("attempts=3",),
        ("first_wait_s=0.5", "longest_wait_s=50"),
        ("key_variable=NAME",),
    ],
    ids=lambda each: each[0],
)
def test_what_decides_no_reply_keys_nothing(setting: tuple[str, ...]) -> None:
    served = ["oracle=llm_judge", "judge@oracle.judge=served"]
    changed = keys_of(*served, *(f"oracle.judge.{each}" for each in setting))
    assert changed == keys_of(*served)


@pytest.mark.parametrize(
    "setting",
    [
        "judge.model=another",
        "judge.base_url=http://127.0.0.1:9/v1",
        "judge.seed_draws=false",
        "judge.extra_body.top_k=1",
        "temperature=0.5",
        "criteria=short",
    ],
)
def test_what_decides_replies_keys_them(setting: str) -> None:
    served = ["oracle=llm_judge", "judge@oracle.judge=served"]
    changed = keys_of(*served, f"++oracle.{setting}")
    assert not set(changed) & set(keys_of(*served))


def test_the_real_node_stays_and_the_key_follows_the_judge_s_source() -> None:
    config = config_of("oracle=llm_judge", "judge@oracle.judge=served")
    before = copy.deepcopy(config["oracle"])
    settings = oracle_settings(config)
    assert config["oracle"] == before and "maximum_money" in before["judge"]
    assert set(settings["judge"]) == {"_target_", "identity"}
    found = [node["_target_"].rpartition(".")[2] for node in targets(settings)]
    assert found == ["LLMJudge", "ServedJudge"]


@pytest.mark.parametrize("oracle", ["annotators", "drifting_annotators", "personalized_annotators"])
def test_an_oracle_without_a_judge_is_keyed_by_its_node(oracle: str) -> None:
    config = config_of(f"oracle={oracle}")
    assert oracle_settings(config) == config["oracle"]


def test_other_parts_inside_of_an_oracle_are_told_apart_by_their_files(tmp_path: Path) -> None:
    ranker = ranker_folder(tmp_path)
    node = dict(config_of("oracle=pair_classifier", f"oracle.name_or_path={ranker}")["oracle"])
    inside = with_identities({"parts": [node, 1], "other": None}, 0)
    assert inside["other"] is None and inside["parts"][1] == 1
    held = inside["parts"][0]
    assert {key: held[key] for key in node} == node and "model.safetensors" in held["files"]


def test_answers_that_depend_on_their_company_are_not_cached(tmp_path: Path) -> None:
    folder = ranker_folder(tmp_path)
    oracle = pair_classifier(folder, aggregation="scores").oracle(0)
    prompts = [prompt()] * 3
    responses = (["the cat sat", "the cat sat", "a dog ran"], ["a dog ran", "hello", "hello"])
    together = oracle.preference(prompts, *responses)
    alone = oracle.preference(prompts[:1], *(each[:1] for each in responses))
    assert abs(together[0] - alone[0]) > 1e-3, "the group decides"
    for seen in (oracle, Noisy(0.1).wrap_text(oracle)):
        with pytest.raises(ImpossibleSettingError, match="depend on the other pairs of a call"):
            Cached().wrap_text(seen)
    pairwise = pair_classifier(folder).oracle(0)
    cached = Cached().wrap_text(pairwise)
    assert cached.preference(prompts, *responses) == pytest.approx(
        pairwise.preference(prompts, *responses)
    )
    overrides = ["oracle=pair_classifier", f"oracle.name_or_path={folder}"]
    refused = config_of(*overrides, "oracle.aggregation=scores", "benchmark=[response_length]")
    with pytest.raises(ImpossibleSettingError, match=r"^oracle_wrapper\.cached keeps answers by"):
        check_parts(refused)
