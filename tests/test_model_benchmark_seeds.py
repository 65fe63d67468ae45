"""What a model benchmark draws with, and when its scores are those of another training seed."""

from __future__ import annotations

import pytest
from mini_world import tiny_overrides

from nlhf_repro.cells import single_cell
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline import evaluation_keys
from nlhf_repro.pipeline.evaluation_keys import evaluation_key
from nlhf_repro.pipeline.language.harness import scoring_seed
from nlhf_repro.pipeline.parts import build
from nlhf_repro.search import Metric
from nlhf_repro.seeds import seed_for
from nlhf_repro.trials import check_metric


def drawn(examples: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[str]]:
    """Scoring seeds and keys of training seeds 0, 1 and 0 again, of one and the same policy."""
    monkeypatch.setattr(evaluation_keys, "train_key", lambda config: "one policy")
    chosen = tiny_overrides(benchmark="[academic]", benchmark__academic__examples=examples)
    chosen.append("benchmark.academic.tasks=[mini_facts]")
    configs = [single_cell([*chosen, f"seed={seed}"]).config for seed in (0, 1, 0)]
    seeds = [scoring_seed(x, build(x["benchmark"]["academic"])) for x in configs]
    return seeds, [evaluation_key(x, "academic") for x in configs]


def test_examples_by_seed_are_those_of_the_training_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, keys = drawn("by_seed", monkeypatch)
    assert seeds[0] == seeds[2] != seeds[1]
    assert keys[0] == keys[2] != keys[1]


def test_fixed_examples_are_the_same_for_all_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, keys = drawn("fixed", monkeypatch)
    assert len(set(seeds)) == len(set(keys)) == 1
    assert seeds[0] == seed_for("model benchmark", 0) % 2**31


@pytest.mark.parametrize("name", ["academic_mini", "mt_bench_mini"])
def test_tuning_by_a_benchmark_with_questions_of_its_own_is_refused(name: str) -> None:
    config = single_cell(tiny_overrides(benchmark=f"[{name}]")).config
    with pytest.raises(ImpossibleSettingError, match=f"{name} has questions of its own"):
        check_metric(Metric(name, "last"), config)
