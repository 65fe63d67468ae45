"""Benchmarks that a language run cannot satisfy are refused before it trains, and refusals kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mini_world import run_record, run_tiny, tiny_overrides

from nlhf_repro.cells import single_cell
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.models.mini_llama import MiniLlama
from nlhf_repro.models.pretrained import PretrainedCausalLM
from nlhf_repro.pipeline.cell import stage_store
from nlhf_repro.pipeline.evaluation_keys import evaluation_key
from nlhf_repro.pipeline.keys import train_key
from nlhf_repro.pipeline.metrics import read_scores
from nlhf_repro.verbs.run import check_parts

WORDS = ("yes", "no")


def refusal(*overrides: str) -> str:
    with pytest.raises(ImpossibleSettingError) as caught:
        check_parts(single_cell([*tiny_overrides(), *overrides]).config)
    return str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "named", "remedy"),
    [
        (["benchmark=[cycle_share]"], "fewer than the 3 answers", "raise it"),
        (
            ["benchmark=[oracle_exploitability]", "language.evaluation_samples=1"],
            "fewer than the 2 answers",
            "raise it",
        ),
        (["benchmark=[policy_entropy]", "language.top_p=0.9"], "policy_entropy", "set both"),
        (["benchmark=[kl_to_reference]", "language.top_k=3"], "kl_to_reference", "set both"),
        (
            ["benchmark=[inventions,oracle_win_rate]", "language.selection=inventions"],
            "language.selection = inventions",
            "choose from oracle_win_rate",
        ),
    ],
)
def test_a_benchmark_that_a_setting_does_not_fit_is_refused(overrides, named, remedy) -> None:
    sentence = refusal(*overrides)
    assert named in sentence
    assert remedy in sentence


def test_a_refused_estimate_is_kept_as_such_and_fails_no_cell(tmp_path: Path) -> None:
    """A regularized gap of two answers a prompt has too few effective ones: the table says so."""
    changes = {"benchmark": "[sampled_regularized_gap]", "algorithm__gradient_steps": 2}
    result = run_tiny(tmp_path, **changes)
    run = run_record(result)
    assert run["status"] == "complete"
    key = run["stages"]["evaluate"]["sampled_regularized_gap"]
    values = read_scores(stage_store(tmp_path).folder("evaluate", key))["last"]
    assert np.isnan(values).all()


def saved(folder: Path, seed: int) -> Path:
    model, tokenizer = MiniLlama(16, 1, 2, 24, 64, False).base(WORDS, seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_results_are_kept_under_what_a_model_folder_holds(tmp_path: Path) -> None:
    """Other weights in a folder of another path: the name is no part of what is hashed."""
    loaded = ["model=pretrained", "algorithm=inpo"]
    one, same, other = (
        saved(tmp_path / name, seed) for name, seed in zip("abc", (0, 0, 1), strict=True)
    )

    def fingerprint(folder: Path):
        return PretrainedCausalLM(str(folder), None, "float32", None, "cpu", False).fingerprint()

    assert fingerprint(one) == fingerprint(same) != fingerprint(other)
    keys = set()
    for folder in (one, other):
        overrides = [x for x in tiny_overrides() if not x.startswith("model.")]
        config = single_cell([*overrides, *loaded, f"model.name_or_path={folder}"]).config
        keys |= {train_key(config), evaluation_key(config, next(iter(config["benchmark"])))}
    assert len(keys) == 4


def test_a_hub_model_without_a_revision_is_refused() -> None:
    model = PretrainedCausalLM("owner/name", None, "float32", None, "cpu", False)
    with pytest.raises(ImpossibleSettingError, match=r"model\.revision = null of owner/name"):
        model.fingerprint()
    pinned = PretrainedCausalLM("owner/name", "abc", "float32", None, "cpu", False)
    assert pinned.fingerprint() == {"revision": "abc"}


def test_all_weights_in_eight_bits_of_precision_are_refused() -> None:
    with pytest.raises(ImpossibleSettingError, match="round to nothing"):
        PretrainedCausalLM("x", None, "bfloat16", None, "cpu", False)
    adapters = {"rank": 2, "alpha": 4, "target_modules": ["q_proj"]}
    assert PretrainedCausalLM("x", None, "bfloat16", adapters, "cpu", False).lora == adapters
