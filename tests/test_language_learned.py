"""Learned oracles in language runs: what they cost, and what is asked afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mini_world import lines, run_record, run_tiny, training_folder

from nlhf_repro.oracles.annotators import AnnotatorOracle

FIT = {
    "oracle_wrapper": "[bradley_terry_fit]",
    "oracle_wrapper__bradley_terry_fit__comparisons": 40,
    "algorithm__gradient_steps": 3,
    "benchmark": "[oracle_win_rate]",
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many comparisons every call of the true oracle answered."""
    calls: list[int] = []
    original = AnnotatorOracle.preference

    def counting(self, prompts, first, second):
        calls.append(len(prompts))
        return original(self, prompts, first, second)

    monkeypatch.setattr(AnnotatorOracle, "preference", counting)
    return calls


@pytest.mark.parametrize("name", ["inpo", "sppo", "nash_md_pg", "rebel"])
def test_true_comparisons_are_those_of_the_fit_and_scores_come_after(
    name: str, asked: list[int], tmp_path: Path
) -> None:
    changes = FIT | {"algorithm": name, "benchmark": "[response_length]"}
    if name == "nash_md_pg":
        del changes["algorithm__gradient_steps"]
    ledger = run_record(run_tiny(tmp_path, **changes))["ledger"]
    assert sum(asked) == 40
    assert ledger["comparisons"] == ledger["bernoulli_answers"] == 40
    assert ledger["probability_answers"] == 0
    later = ledger["responses"] - 2 * 40
    assert ledger["scores"] == later > 0


def test_a_reward_of_scores_is_counted_alike(asked: list[int], tmp_path: Path) -> None:
    changes = FIT | {"algorithm": "rebel", "benchmark": "[response_length]"}
    result = run_tiny(tmp_path, "algorithm.labels=score", **changes)
    ledger = run_record(result)["ledger"]
    assert sum(asked) == ledger["comparisons"] == 40
    assert ledger["scores"] == ledger["responses"] - 80 == 2 * 4 * 2


def test_without_a_learned_oracle_nothing_is_scored(asked: list[int], tmp_path: Path) -> None:
    changes = {"algorithm__gradient_steps": 3, "benchmark": "[response_length]"}
    ledger = run_record(run_tiny(tmp_path, **changes))["ledger"]
    assert sum(asked) == ledger["comparisons"] == 8
    assert ledger["scores"] == 0


def test_noise_around_the_true_oracle_reaches_the_fit(tmp_path: Path) -> None:
    """Wrappers go inside out: answers are flipped before the reward is fitted to them."""
    results = [
        run_tiny(tmp_path / str(rate), f"oracle_wrapper.noisy.flip_rate={rate}", **changes)
        for rate in (0.0, 0.49)
        for changes in [FIT | {"oracle_wrapper": "[noisy,bradley_terry_fit]"}]
    ]
    texts = [(x.directory / "training.jsonl").read_text() for x in results]
    assert texts[0] != texts[1]
    assert [run_record(x)["ledger"]["comparisons"] for x in results] == [40, 40]


def test_a_budget_does_not_end_the_training_on_a_learned_oracle(tmp_path: Path) -> None:
    """Nor does its schedule: the rate falls over all of the iterations that are made."""
    changes = FIT | {"budget__comparisons": 40, "language__schedule": "cosine_over_run"}
    changes |= {"training__iterations": 3}
    result = run_tiny(tmp_path, **changes)
    ledger = run_record(result)["ledger"]
    assert ledger["comparisons"] == 40
    steps = [x for x in lines(result.directory / "training.jsonl") if x["kind"] == "step"]
    assert len(steps) == 9
    rates = np.array([x["learning_rate"] for x in steps])
    expected = 2e-3 * 0.5 * (1 + np.cos(np.pi * np.arange(9) / 9))
    np.testing.assert_allclose(rates, expected, rtol=1e-9)
    assert (training_folder(tmp_path, result) / "checkpoint-3.safetensors").is_file()


def test_scores_are_of_the_true_oracle_whatever_training_saw(tmp_path: Path) -> None:
    """The benchmark's oracle is not the learned one: update 0 scores as it does without it."""
    plain = {"algorithm__gradient_steps": 3, "benchmark": "[oracle_win_rate]"}
    first, second = (
        next(lines(run_tiny(tmp_path / name, **changes).directory / "metrics.jsonl"))
        for name, changes in (("learned", FIT), ("true", plain))
    )
    keys = [key for key in first if "oracle_win_rate" in key]
    assert keys and [first[key] for key in keys] == [second[key] for key in keys]


def test_a_fit_to_exact_answers_is_counted_as_such(tmp_path: Path) -> None:
    changes = FIT | {"oracle_wrapper__bradley_terry_fit__labels": "probability"}
    ledger = run_record(run_tiny(tmp_path, **changes))["ledger"]
    assert (ledger["probability_answers"], ledger["bernoulli_answers"]) == (40, 0)
    assert ledger["comparisons"] == 40


def test_the_prompts_of_the_fit_stay_counted(tmp_path: Path) -> None:
    """Forty comparisons on eight prompts draw all of them; training draws no other."""
    ledger = run_record(run_tiny(tmp_path, training__groups_per_iteration=2, **FIT))["ledger"]
    assert ledger["unique_prompts"] == 8
