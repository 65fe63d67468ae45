"""`nlhf run pipeline=fit_oracle`: learned once, kept, resumed, and refused before any work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mini_world import stages, tiny_overrides

from nlhf_repro.cells import experiment_cells, single_cell
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.oracles.joint_classifier import JointClassifier
from nlhf_repro.pipeline.language import oracle_fit
from nlhf_repro.pipeline.language.oracle_fit_key import oracle_fit_key
from nlhf_repro.prompts.posts import Posts
from nlhf_repro.verbs.fit_oracle import fit_oracle
from nlhf_repro.verbs.run import check_parts, run

TINY = {
    "pipeline": "fit_oracle",
    "prompts.training": 12,
    "fit.comparisons": 40,
    "fit.steps": 4,
    "fit.batch_size": 4,
    "fit.warmup_steps": 1,
    "fit.check_every": 2,
    "fit.validation": 0.2,
    "fit.held_out": 0.4,
    "fit.calibration_bins": 2,
    "fit.cycle_responses": 4,
}


def config(folder: Path, *overrides: str, **changes: Any) -> dict[str, Any]:
    own = {f"{key.replace('__', '.')}": value for key, value in changes.items()}
    settings = {**TINY, **{f"fit.{key}": value for key, value in own.items()}}
    plain = [f"{key}={value}" for key, value in settings.items()]
    return single_cell([*tiny_overrides(), *plain, f"output_dir={folder}", *overrides]).config


def learned(folder: Path, *overrides: str, **changes: Any) -> tuple[Path, dict[str, Any]]:
    chosen = config(folder, *overrides, **changes)
    check_parts(chosen)
    list(fit_oracle(chosen))
    (stage,) = [
        x for x in stages(folder, "fit_oracle") if x.name.endswith(oracle_fit_key(chosen)[:16])
    ]
    return stage, json.loads((stage / "report.json").read_text())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world")


@pytest.mark.parametrize("kind", ["reward_model", "pair_preference_model", "joint_classifier"])
def test_an_oracle_of_every_kind_is_learned_from_a_world(kind: str, world: Path) -> None:
    stage, report = learned(world, kind=kind)
    files = {path.name for path in (stage / "model").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= files
    assert (stage / "reliability.png").read_bytes().startswith(b"\x89PNG")
    assert sum(report["parts"].values()) == 40 and report["parts"]["left_out"] == 0
    truth = ("absolute_error", "agreement", "true_cyclic_part")
    measured = ("accuracy", "log_loss", "calibration_error", *truth)
    for name in measured:
        assert report[name]["lower"] <= report[name]["value"] <= report[name]["upper"]
    pairs = ("position_bias", "position_inconsistency", "cycle_share", "cyclic_part")
    assert all((name in report) == (kind != "reward_model") for name in pairs)
    assert report["source"].endswith("answered by AnnotatorOracle (bernoulli labels)")


def test_what_is_learned_is_not_learned_again(
    world: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    learned(world, kind="reward_model")
    monkeypatch.setattr(oracle_fit, "fit", None)
    lines = list(fit_oracle(config(world, kind="reward_model")))
    assert lines[0].endswith("was complete before: nothing was run")
    assert lines[-1].startswith("  to train on it: oracle=reward_model oracle.name_or_path=")


def test_a_kill_while_the_report_is_written_leaves_no_half_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(oracle_fit, "write_report", killed)
        with pytest.raises(KeyboardInterrupt):
            learned(tmp_path)
    assert stages(tmp_path, "fit_oracle") == []
    fine_tuned = stages(tmp_path, "fine_tune")[0] / "manifest.json"
    before = fine_tuned.stat().st_mtime_ns
    _, report = learned(tmp_path)
    assert report["kind"] == "reward_model"
    assert fine_tuned.stat().st_mtime_ns == before  # what was whole is not made again


def test_the_same_settings_give_the_same_bytes_and_the_seed_others(
    world: Path, tmp_path: Path
) -> None:
    first, _ = learned(world, kind="reward_model")
    second, _ = learned(tmp_path, kind="reward_model")
    third, _ = learned(world, "seed=1", kind="reward_model")
    weights = [(x / "model" / "model.safetensors").read_bytes() for x in (first, second, third)]
    assert weights[0] == weights[1] != weights[2]
    assert (first / "report.json").read_text() == (second / "report.json").read_text()


def preferences(folder: Path, rows: int = 30) -> Path:
    """Comparisons of posts, three responses each; more words are better."""
    posts = Posts(12, 1, 1, 1, 24, 0.3, 0.1, 0.1, 0.1, 0.1, (0.4, 0.3, 0.3), 0.0)
    shown = posts.prompts("training", 0)
    texts = ["the", "the garage", "the garage jealousy"]
    path = folder / "preferences.jsonl"
    lines = [
        {
            "prompt": shown[row % 10].messages[0].content,
            "chosen": texts[(row // 10 + 1) % 3],
            "rejected": texts[row // 10 % 3],
        }
        for row in range(rows)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_an_oracle_is_learned_from_a_file(tmp_path: Path) -> None:
    """From the configured model, without the fine-tuning that belongs to a world."""
    data = {"comparisons": "null", "labels": "null", "kind": "joint_classifier"}
    path = preferences(tmp_path)
    stage, report = learned(tmp_path, data=path, **data)
    assert report["source"] == f"30 comparisons of {path}"
    assert report["parts"]["held_out"] == 12 and "absolute_error" not in report
    assert report["cycle_share"]["prompts"] == 4  # held-out prompts, three responses each
    assert stages(tmp_path, "fine_tune") == []
    oracle = JointClassifier(str(stage / "model"), 8, 64, "cpu").oracle(0)
    prompts = Posts(12, 1, 1, 1, 24, 0.3, 0.1, 0.1, 0.1, 0.1, (0.4, 0.3, 0.3), 0.0)
    found = oracle.preference(prompts.prompts("training", 0)[:2], ["the"] * 2, ["garage", "the"])
    assert np.isfinite(found).all() and found[1] == 0.5
    path.rename(tmp_path / "moved.jsonl")
    moved = oracle_fit_key(config(tmp_path, data=tmp_path / "moved.jsonl", **data))
    assert stage.name.endswith(moved[:16])  # kept under what the file holds


def test_long_comparisons_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [json.loads(x) for x in preferences(tmp_path).read_text().splitlines()]
    rows[0]["chosen"] = "garage " * 200
    path = tmp_path / "long.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    _, report = learned(tmp_path, data=path, comparisons="null", labels="null", max_tokens=150)
    assert report["parts"]["left_out"] == 1


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["fit.steps=0"], "fit.steps = 0 must be at least 1"),
        (["fit.kind=none"], 'fit.kind = "none" does not fit'),
        (["fit.held_out=0"], "fit.held_out = 0"),
        (["fit.held_out=0.9"], "must be shares that leave something"),
        (["fit.check_every=null"], "fit.validation = 0.2 with fit.check_every = None"),
        (["fit.comparisons=null"], "fit.comparisons = None with fit.data = world"),
        (["fit.cycle_responses=2"], "fit.cycle_responses = 2 must be at least 3"),
        (["fit.data=someone/data"], "fit.comparisons = 40 is of fit.data = world"),
        (
            ["fit.data=someone/data", "fit.comparisons=null", "fit.labels=null"],
            "can change under its name: give fit.revision",
        ),
        (
            ["fit.data=none.jsonl", "fit.comparisons=null", "fit.labels=null"],
            "fit.data = none.jsonl cannot be read",
        ),
        (
            ["oracle=llm_judge", "judge@oracle.judge=unrelated"],
            "JudgedPreference is paid for its answers",
        ),
        (["oracle_wrapper=[noisy]"], "oracle_wrapper=noisy changes what training sees"),
    ],
)
def test_what_has_no_meaning_is_refused_before_any_work(
    overrides: list[str], sentence: str, tmp_path: Path
) -> None:
    arguments = [
        *tiny_overrides(),
        *(f"{k}={v}" for k, v in TINY.items() if k not in {x.partition("=")[0] for x in overrides}),
        *overrides,
        f"output_dir={tmp_path}",
    ]
    with pytest.raises(ImpossibleSettingError) as caught:
        run(arguments, None, multirun=False)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_malformed_row_is_refused_before_any_work(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"prompt": "x", "chosen": "a", "rejected": "b"}\n{"prompt": "x"}\n')
    with pytest.raises(ImpossibleSettingError, match=r"line 2 of fit\.data"):
        check_parts(config(tmp_path, data=path, comparisons="null", labels="null"))


def test_games_and_experiments_are_refused() -> None:
    with pytest.raises(ImpossibleSettingError, match="learns from texts, and language is null"):
        check_parts(single_cell(["tracker=none", "pipeline=fit_oracle"]).config)
    with pytest.raises(ImpossibleSettingError, match="trains policies, and pipeline=fit_oracle"):
        experiment_cells(["experiment=mini/one_world", "pipeline=fit_oracle"])
