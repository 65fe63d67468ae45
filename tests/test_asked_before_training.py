"""What judged benchmarks and judges lack is said before a model is trained."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from mini_world import tiny_overrides

from nlhf_repro.cells import single_cell
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.verbs.run import check_parts


def test_turns_that_may_not_fit_are_refused_before_training() -> None:
    chosen = tiny_overrides(benchmark="[mt_bench_mini]", judge="unrelated")
    key = "benchmark.mt_bench_mini.decoding.max_new_tokens"
    check_parts(single_cell(chosen).config)
    positions = single_cell(chosen).config["model"]["positions"]
    with pytest.raises(ImpossibleSettingError, match=f"the model has {positions}: lower"):
        check_parts(single_cell([*chosen, f"{key}={positions // 2}"]).config)


@pytest.mark.parametrize(
    "chosen",
    [
        {"benchmark": "[alpaca_eval_mini]", "judge": "openai"},
        {"oracle": "llm_judge", "benchmark": "[oracle_win_rate]"},
    ],
)
def test_a_missing_key_is_said_before_training(
    chosen: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    overrides = [*tiny_overrides(**chosen), f"output_dir={tmp_path}"]
    if "oracle" in chosen:
        overrides += ["judge@oracle.judge=openai", "training.iterations=1"]
    config = single_cell(overrides).config
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_parts(config)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.warns(UserWarning, match=r"OPENAI_API_KEY .judge.key_variable. holds no key"):
        check_parts(config)
