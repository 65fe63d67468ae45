"""Training language models: first losses, ledgers, resuming, faults."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from enumerated_language import (
    EnumeratedOracle,
    log_policy,
    random_matrix,
    run_of,
    trained,
)
from laboratory import ALGORITHMS, algorithm

from nlhf_repro.interfaces import Collect, ImpossibleSettingError
from nlhf_repro.pipeline.comparisons import comparisons_in_group

MATRIX = random_matrix(0)


def oracle_for(name: str) -> EnumeratedOracle:
    """Preferences of scores where the algorithm asks for them, else a cyclic matrix."""
    method = algorithm(name)
    if any(x.labels == "score" for x in method.phases(0) if isinstance(x, Collect)):
        scores = np.random.default_rng(1).standard_normal(len(MATRIX))
        return EnumeratedOracle(1 / (1 + np.exp(scores[None] - scores[:, None])), scores)
    return EnumeratedOracle(MATRIX)


def first_loss(method, folder: Path, oracle=None, **changes) -> float:
    training, _ = trained(method, oracle or EnumeratedOracle(MATRIX), folder, **changes)
    return next(line["loss"] for line in training.log.lines if line["kind"] == "step")


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("inpo", {"step_size": 200.0, "regularization": 0.0}, 10_000.0),  # eta = 0.005
        ("inpo", {"step_size": 10.0, "regularization": 0.0}, 25.0),  # eta = 0.1
        ("ipo", {"regularization": 0.1}, 25.0),
        ("online_ipo", {"regularization": 0.1}, 25.0),
        ("onpo", {"step_size": 100.0}, 2_500.0),  # 1 / eta = 0.01
        ("dpo", {}, math.log(2.0)),
        ("iterative_dpo", {}, math.log(2.0)),
        ("dno_prct", {}, math.log(2.0)),
        ("iterative_slic", {}, 1.0),
    ],
)
def test_the_first_loss_is_the_published_recipes(name, changes, expected, tmp_path: Path) -> None:
    """Drawn answers, policies at the reference: facts that every trainer's log begins with."""
    method = (
        algorithm(name, labels="bernoulli", gradient_steps=1, **changes)
        if name not in ("online_ipo",)
        else algorithm(name, labels="bernoulli", **changes)
    )
    loss = first_loss(method, tmp_path, iterations=1, language={"unit_scale": False})
    assert loss == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("name", "step"), [("inpo", 7.0), ("ipo", None)])
def test_unit_scale_divides_a_squared_loss_by_its_scale_squared(name, step, tmp_path: Path) -> None:
    changes = {"step_size": step, "regularization": 0.0} if step else {"regularization": 0.1}
    method = algorithm(name, labels="bernoulli", gradient_steps=1, **changes)
    assert first_loss(method, tmp_path, iterations=1) == pytest.approx(0.25, rel=1e-9)


def test_sppos_first_loss_is_the_mean_of_squared_win_rates(tmp_path: Path) -> None:
    method = algorithm("sppo", labels="probability", step_size=1000.0, gradient_steps=1)
    training, _ = trained(
        method, EnumeratedOracle(MATRIX), tmp_path, iterations=1, language={"unit_scale": False}
    )
    values = training.run.data[next(iter(training.run.data))].value
    loss = next(line["loss"] for line in training.log.lines if line["kind"] == "step")
    assert loss == pytest.approx(float((1000.0 * (values - 0.5)).square().mean()), rel=1e-9)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_trains_and_its_ledger_is_exact(name: str, tmp_path: Path) -> None:
    method = algorithm(name)
    groups, iterations = 8, 2
    training, trajectory = trained(
        method,
        oracle_for(name),
        tmp_path,
        iterations=iterations,
        groups_per_iteration=groups,
        learning_rate=1e-3,
    )
    collects = [
        phase
        for iteration in range(iterations)
        for phase in method.phases(iteration)
        if isinstance(phase, Collect)
    ]
    asked = groups * sum(comparisons_in_group(each) for each in collects)
    drawn = groups * sum(x.responses + x.opponents * len(x.opponent) for x in collects)
    ledger = trajectory.ledger
    assert ledger.comparisons == asked == ledger.bernoulli_answers + ledger.probability_answers
    assert ledger.responses == drawn
    assert drawn <= ledger.sampled_tokens <= 3 * drawn
    assert ledger.unique_prompts == min(1, drawn)
    steps = [line for line in training.log.lines if line["kind"] == "step"]
    assert ledger.gradient_steps == len(steps)
    assert all(math.isfinite(line["loss"]) for line in steps)
    before = log_policy(training.run.trainable, training.run.slots["reference"])
    after = log_policy(training.run.trainable, training.run.slots["current"])
    assert (name == "fixed") == bool(np.array_equal(before, after)) or name in ("comal", "mpo")


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    def weights(seed: int, folder: str) -> bytes:
        trained(algorithm("inpo"), EnumeratedOracle(MATRIX), tmp_path / folder, seed)
        return (tmp_path / folder / "checkpoint-3.safetensors").read_bytes()

    assert weights(0, "a") == weights(0, "b") != weights(1, "c")


class Interrupted(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("name", ["inpo", "dpo", "onpo", "mnpo", "nash_md_pg", "comal", "rlhf"])
@pytest.mark.parametrize("snapshots", ["memory", "disk"])
def test_a_stopped_training_goes_on_to_the_same_bytes(
    name: str, snapshots: str, tmp_path: Path
) -> None:
    changes = {
        "iterations": 5,
        "record_points": 5,
        "minibatch_size": 7,
        "learning_rate": 1e-3,
        "language": {"resume_every": 2, "warmup_steps": 3, "schedule": "cosine_over_run"},
    }
    changes["language"] |= {"snapshots": snapshots}
    method = algorithm(name)
    whole, _ = trained(method, oracle_for(name), tmp_path / "whole", **changes)
    stopped, settings, language = run_of(method, oracle_for(name), tmp_path / "stopped", **changes)
    advance = stopped.run.advance

    def stopping() -> bool:
        if stopped.run.updates == 3:  # one update past the state of update 2
            raise Interrupted
        return advance()

    stopped.run.advance = stopping  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        stopped.train(settings, language.resume_every)
    again, trajectory = trained(method, oracle_for(name), tmp_path / "stopped", **changes)
    assert again.log.lines == whole.log.lines
    assert trajectory.ledger == whole.run.count()
    for update in (0, 1, 2, 3, 4, 5):
        file = f"checkpoint-{update}.safetensors"
        assert (tmp_path / "stopped" / file).read_bytes() == (
            tmp_path / "whole" / file
        ).read_bytes()


def test_microbatches_change_rounding_alone(tmp_path: Path) -> None:
    def final(size: int) -> np.ndarray:
        training, _ = trained(
            algorithm("inpo", gradient_steps=4),
            EnumeratedOracle(MATRIX),
            tmp_path / str(size),
            language={"microbatch": size},
        )
        return log_policy(training.run.trainable, training.run.slots["current"])

    np.testing.assert_allclose(final(3), final(512), atol=2e-4)


class Broken(EnumeratedOracle):
    """Answers what is no probability to one pair."""

    def __init__(self, value: float) -> None:
        super().__init__(MATRIX)
        self.value = value

    def preference(self, prompts, first, second):
        answers = super().preference(prompts, first, second)
        answers[3] = self.value
        return answers


@pytest.mark.parametrize("value", [float("nan"), 1.2, -0.1, float("inf")])
def test_answers_that_are_no_probability_are_refused(value: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="to prompt p, which is not a probability in"):
        trained(algorithm("inpo"), Broken(value), tmp_path)


def test_weights_that_are_no_number_end_training_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises((FloatingPointError, ValueError), match="finite"):
        trained(algorithm("inpo"), EnumeratedOracle(MATRIX), tmp_path, learning_rate=1e30)


def test_a_budget_stops_before_the_comparison_that_would_exceed_it(tmp_path: Path) -> None:
    _, trajectory = trained(
        algorithm("inpo"), EnumeratedOracle(MATRIX), tmp_path, iterations=50, budget=200
    )
    assert trajectory.ledger.comparisons == 192  # three iterations of 64
    assert trajectory.updates[-1] == 3


def test_uniform_responders_need_their_named_proxy(tmp_path: Path) -> None:
    with pytest.raises(ImpossibleSettingError, match="uniform responder"):
        trained(
            algorithm("egpo"),
            EnumeratedOracle(MATRIX),
            tmp_path,
            language={"uniform_temperature": None},
        )
