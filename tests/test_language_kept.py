"""Runs that keep answers: in which file, for whom, and what a judge's verdicts cost a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mini_world import lines, run_record, run_tiny, tiny_overrides
from scripted_judges import ASKED

from nlhf_repro.cells import single_cell
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.oracles.annotators import AnnotatorOracle
from nlhf_repro.pipeline.language.kept import answers_key
from nlhf_repro.verbs.run import check_parts

SMALL = {"algorithm__gradient_steps": 3, "benchmark": "[response_length]"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many comparisons every call of the annotators answered."""
    calls: list[int] = []
    original = AnnotatorOracle.preference

    def counting(self, prompts, first, second):
        calls.append(len(prompts))
        return original(self, prompts, first, second)

    monkeypatch.setattr(AnnotatorOracle, "preference", counting)
    return calls


def test_runs_share_the_answers_of_an_oracle(asked: list[int], tmp_path: Path) -> None:
    """The same policies ask the same questions at other learning rates' first iteration."""
    run = SMALL | {"oracle_wrapper": "[cached]", "seeds__design": "matched"}
    first = run_tiny(tmp_path, **run)
    ledger = run_record(first)["ledger"]
    before = sum(asked)
    assert 0 < before <= ledger["comparisons"] == 8
    run_tiny(tmp_path, **run, training__learning_rate=1e-3)
    assert sum(asked) - before <= 4, "the first of two iterations is known"
    # SQLite has a log beside the file for as long as the run's connection is not collected.
    assert len(list((tmp_path / "answers").glob("*.sqlite"))) == 1


def key_of(*overrides: str, wrapper: str = "cached") -> str:
    config = single_cell([*tiny_overrides(oracle_wrapper="[cached]"), *overrides]).config
    return answers_key(config, wrapper)


def test_a_file_belongs_to_all_that_decides_its_answers() -> None:
    own = key_of()
    noisy = ["oracle_wrapper=[noisy,cached]"]
    others = [
        key_of("oracle.cycle_strength=1"),
        key_of("world=1"),
        key_of(*noisy),
        key_of(*noisy, "oracle_wrapper.noisy.flip_rate=0.2"),
    ]
    assert len({own, *others}) == 5
    outside = key_of("oracle_wrapper=[cached,noisy]")
    same = (key_of("seed=3"), key_of("training.learning_rate=0.1"), outside)
    assert {own, *same} == {own}


def test_answers_of_a_learned_oracle_belong_to_its_training() -> None:
    learned = "oracle_wrapper=[bradley_terry_fit,cached]"
    keys = {key_of(learned), key_of(learned, "seed=3"), key_of(learned, "model.hidden_size=32")}
    assert len(keys) == 3


SQUARING = [
    "oracle_wrapper.noisy._target_=broken_parts.Squaring",
    "~oracle_wrapper.noisy.flip_rate",
]
JUDGED = [
    "oracle=llm_judge",
    "~oracle.judge",
    "+oracle.judge._target_=scripted_judges.RuleJudge",
    "+oracle.judge.rule=longer",
]


def test_a_run_on_a_judge_pays_for_both_orders_and_never_twice(tmp_path: Path) -> None:
    ASKED.clear()
    result = run_tiny(tmp_path, *JUDGED, **SMALL)
    ledger = run_record(result)["ledger"]
    assert ledger["comparisons"] == ledger["bernoulli_answers"] == 8
    assert ledger["ordered_passes"] == ledger["paid_calls"] == 16
    paid = len(ASKED)
    assert 0 < paid <= 16, "equal answers are not asked about"
    counted = [x for x in lines(result.directory / "training.jsonl") if x["kind"] == "asked"]
    named = ("first", "second", "tie")
    total = sum(x.get(f"JudgedPreference.{name}", 0) for x in counted for name in named)
    assert total == paid
    assert list(tmp_path.rglob("*.sqlite"))
    run_tiny(tmp_path, *JUDGED, **(SMALL | {"benchmark": "[oracle_win_rate]"}))
    before = len(ASKED)
    assert before > paid, "the benchmark asks about answers to other prompts"
    for stage in tmp_path.glob("stages/*"):
        stage.rename(tmp_path / f"gone-{stage.name}")
    again = run_tiny(tmp_path, *JUDGED, **(SMALL | {"benchmark": "[oracle_win_rate]"}))
    assert len(ASKED) == before
    assert run_record(again)["ledger"] == ledger
    # What the benchmark met with stands beside its scores, the same from kept answers.
    found = [x.read_text() for x in tmp_path.glob("*/evaluate-*/benchmark.json")]
    found += [x.read_text() for x in tmp_path.glob("gone-evaluate-*/benchmark.json")]
    (said,) = {text for text in found if "oracle_win_rate" in text}
    own, *outcomes = json.loads(said)["notes"]
    assert own.startswith("oracle: ")
    assert "verdicts for the place shown: " in outcomes[-1]
    assert "sqlite" not in json.dumps(run_record(again)["stages"])


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["oracle_wrapper=[biased]", "scale"],
            r"oracle_wrapper\.biased changes answers about texts",
        ),
        (
            ["oracle_wrapper=[noisy]", *SQUARING],
            r"oracle_wrapper\.noisy changes answers about games alone",
        ),
        (
            ["oracle=llm_judge", "benchmark=[worst_group_win_rate]"],
            r"benchmark\.worst_group_win_rate reads an oracle's groups, and JudgedPreference",
        ),
    ],
)
def test_parts_that_do_not_meet_are_refused(overrides, sentence: str) -> None:
    base = [] if "scale" in overrides else tiny_overrides()
    cell = single_cell([*base, "tracker=none", *(x for x in overrides if x != "scale")])
    with pytest.raises(ImpossibleSettingError, match=f"^{sentence}"):
        check_parts(cell.config)
