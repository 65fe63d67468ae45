"""What language runs tell oracles of the time and the comparison, and what asking costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from enumerated_language import EnumeratedOracle, random_matrix, run_of, trained
from laboratory import algorithm, streams

from nlhf_repro.interfaces import Collect, OracleCost
from nlhf_repro.oracles.bradley_terry_fit import FittedReward
from nlhf_repro.oracles.cached import Cached
from nlhf_repro.oracles.counted import Counted
from nlhf_repro.pipeline.comparisons import comparisons_in_group

MATRIX = random_matrix(0)
SCORES = np.random.default_rng(1).standard_normal(len(MATRIX))
COST = OracleCost(ordered_passes=2, scores=3, paid_calls=5, bernoulli=True)
GROUPS, ITERATIONS = 8, 3
SMALL = {"groups_per_iteration": GROUPS, "iterations": ITERATIONS}


class Asked(EnumeratedOracle):
    """Of a cost that no other has; notes what it is asked, when, and under which name."""

    cost = COST

    def __init__(self) -> None:
        super().__init__(1 / (1 + np.exp(SCORES[None] - SCORES[:, None])), SCORES)
        self.names: list[str] = []
        self.questions: list[tuple[str, str]] = []
        self.progress: list[float] = []
        self.scored = 0

    def preference_on(self, prompts, first, second, occasion):
        assert len(occasion.draws) == len(first) == len(second) == len(prompts)
        self.names += occasion.draws
        self.questions += zip(first, second, strict=True)
        self.progress += [occasion.progress] * len(first)
        return self.preference(prompts, first, second)

    def score(self, prompts, texts):
        self.scored += len(texts)
        return super().score(prompts, texts)


class Learning:
    """Learns nothing of its comparisons but that they are asked through what is wrapped so far."""

    comparisons = 20
    labels = "probability"

    def learn(self, oracle, prompts, first, second, answers):
        return Learned(oracle)


class Learned:
    cost = OracleCost(ordered_passes=7, scores=11, paid_calls=0)

    def __init__(self, oracle) -> None:
        self.oracle = oracle

    def preference(self, prompts, first, second):
        return self.oracle.preference(prompts, first, second)

    def score(self, prompts, texts):
        return np.zeros(len(texts))


SETTINGS = {
    "all_pairs": ("inpo", {"design": "all_pairs", "responses": 4, "labels": "probability"}),
    "best_worst": ("inpo", {"design": "best_worst", "responses": 4, "labels": "bernoulli"}),
    "tournament": ("inpo", {"design": "tournament", "responses": 8, "labels": "bernoulli"}),
    "unfiltered": ("inpo", {"labels": "probability"}),
    "win_rate": ("sppo", {"responses": 3, "labels": "probability"}),
    "against": ("nash_md_pg", {"labels": "probability", "opponents": 2}),
    "score": ("rebel", {"labels": "score"}),
}
GRADIENTS = {"nash_md_pg"}


def method_of(design: str):
    name, changes = SETTINGS[design]
    steps = {} if name in GRADIENTS else {"gradient_steps": 1}
    return algorithm(name, **steps, **changes)


@pytest.mark.parametrize("design", SETTINGS)
def test_the_ledger_is_exact_in_every_column_of_every_design(design: str, tmp_path: Path) -> None:
    method, oracle = method_of(design), Asked()
    _, trajectory = trained(method, oracle, tmp_path, **SMALL)
    (collect,) = [x for x in method.phases(1) if isinstance(x, Collect)]
    judged = GROUPS * (collect.responses + collect.opponents * len(collect.opponent)) * ITERATIONS
    asked = 0 if design == "score" else GROUPS * comparisons_in_group(collect) * ITERATIONS
    assert len(oracle.names) == asked
    assert oracle.scored == (judged if design == "score" else 0)
    ledger = trajectory.ledger
    assert ledger.comparisons == ledger.bernoulli_answers == asked
    assert (ledger.probability_answers, ledger.responses) == (0, judged)
    assert (ledger.ordered_passes, ledger.paid_calls) == (2 * asked, 5 * asked)
    assert ledger.scores == 3 * judged


def test_comparisons_of_each_design_are_those_of_the_definition() -> None:
    """6 = 4 over 2 pairs of 4 responses, 11 of a tournament, 1 response against 2 opponents."""
    expected = {"all_pairs": 6, "best_worst": 6, "tournament": 11, "unfiltered": 1, "win_rate": 6}
    for design, comparisons in {**expected, "against": 2, "score": 0}.items():
        (collect,) = [x for x in method_of(design).phases(1) if isinstance(x, Collect)]
        assert comparisons_in_group(collect) == comparisons, design


def test_learning_is_paid_by_the_oracle_and_what_follows_by_the_learned_one(tmp_path: Path) -> None:
    oracle = Asked()
    _, trajectory = trained(
        method_of("all_pairs"), oracle, tmp_path, wrappers=[Learning()], **SMALL
    )
    ledger, later = trajectory.ledger, 6 * GROUPS * ITERATIONS
    assert len(oracle.names) == ledger.comparisons == ledger.bernoulli_answers == 20
    assert ledger.ordered_passes == 2 * 20 + 7 * later
    assert ledger.paid_calls == 5 * 20
    assert ledger.scores == 3 * 2 * 20 + 11 * 4 * GROUPS * ITERATIONS
    assert set(oracle.progress) == {0.0}
    assert all("/learned 0/" in name for name in oracle.names)


def test_a_fitted_reward_costs_a_score_a_response() -> None:
    fitted = FittedReward(None, np.ones(2), 1.0, 0.0)
    assert fitted.cost == OracleCost(ordered_passes=0, scores=1)


@pytest.mark.parametrize("name", ["egpo", "nash_md_pg", "sppo"])
def test_no_two_comparisons_of_a_run_share_a_name(name: str, tmp_path: Path) -> None:
    """EGPO collects twice in an iteration."""
    oracle = Asked()
    steps = {"gradient_steps": 1} if name == "sppo" else {}
    trained(algorithm(name, **steps), oracle, tmp_path, **SMALL)
    assert len(set(oracle.names)) == len(oracle.names)
    assert set(oracle.progress) == {0.0, 1 / 3, 2 / 3}


def test_names_are_those_of_the_seed_factors(tmp_path: Path) -> None:
    """Equal streams (matched rows) share all names, others none."""
    found = []
    for place, seed in enumerate((0, 0, 1)):
        oracle = Asked()
        trained(method_of("all_pairs"), oracle, tmp_path / str(place), seed, **SMALL)
        found.append(oracle)
    assert found[0].names == found[1].names
    assert not set(found[0].names) & set(found[2].names)
    assert streams(0)("names of comparisons").bytes(16).hex() in found[0].names[0]


class Killed(Exception):
    """Stands for a kill."""


class Mortal(Asked):
    """Dies when it is asked for the comparison after `life`."""

    def __init__(self, life: int) -> None:
        super().__init__()
        self.life = life

    def preference_on(self, prompts, first, second, occasion):
        if len(self.names) + len(first) > self.life:
            raise Killed
        return super().preference_on(prompts, first, second, occasion)


def test_a_resumed_run_asks_the_same_comparisons_by_the_same_names(tmp_path: Path) -> None:
    """Killed in the fifth update, with the state of the fourth: a cache pays for nothing twice."""
    changes = {**SMALL, "iterations": 6, "language": {"resume_every": 2}}
    whole = Asked()
    training, _ = trained(method_of("tournament"), whole, tmp_path / "whole", **changes)
    wrapper = Cached()
    wrapper.keep_answers(tmp_path / "answers.sqlite")
    a_round = 11 * GROUPS
    dying, reborn = Mortal(4 * a_round + 10 * GROUPS), Asked()
    stopped, settings, language = run_of(
        method_of("tournament"), dying, tmp_path / "cut", wrappers=[wrapper], **changes
    )
    with pytest.raises(Killed):
        stopped.train(settings, language.resume_every)
    resumed, _ = trained(
        method_of("tournament"), reborn, tmp_path / "cut", wrappers=[wrapper], **changes
    )
    assert dying.names + reborn.names == whole.names
    assert dying.questions + reborn.questions == whole.questions
    assert len(reborn.names) == 6 * a_round - len(dying.names)
    steps = [[x for x in run.log.lines if x["kind"] == "step"] for run in (training, resumed)]
    assert steps[0] == steps[1]


def test_counts_are_in_the_log_of_every_update(tmp_path: Path) -> None:
    training, _ = trained(
        method_of("all_pairs"), EnumeratedOracle(MATRIX), tmp_path, wrappers=[Counted()], **SMALL
    )
    lines = [line for line in training.log.lines if line["kind"] == "asked"]
    asked = {"Counted.calls for comparisons": 1, "Counted.comparisons": 6 * GROUPS}
    assert lines == [{"kind": "asked", "update": n, **asked} for n in range(ITERATIONS)]


def test_what_learning_asks_is_in_the_log_once(tmp_path: Path) -> None:
    """A resumed run learns again (and reads its kept answers), and does not log it again."""
    changes = {**SMALL, "iterations": 2, "language": {"resume_every": 1}}
    for iterations in (1, 2):
        training, _ = trained(
            method_of("all_pairs"),
            EnumeratedOracle(MATRIX),
            tmp_path,
            wrappers=[Counted(), Learning()],
            **{**changes, "iterations": iterations},
        )
    lines = [line for line in training.log.lines if line["kind"] == "asked"]
    assert [line["Counted.comparisons"] for line in lines] == [20]
