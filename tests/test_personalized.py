"""Populations that change, users with mixtures of their own, and the group that is worst off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mini_world import lines, run_tiny
from reporting_rows import record, specification, texts
from summary_texts import STYLES, annotators, defaults, post
from text_games import prompts, standard_error

from nlhf_repro.benchmarks.oracle_exploitability import OracleExploitability
from nlhf_repro.benchmarks.worst_group_win_rate import WorstGroupWinRate
from nlhf_repro.interfaces import (
    DriftingOracle,
    FeatureOracle,
    GroupedOracle,
    ImpossibleSettingError,
    Occasion,
    PolicySamples,
    asked_on,
    oracle_at,
)
from nlhf_repro.oracles.annotators import AnnotatorGroups
from nlhf_repro.oracles.drifting_annotators import DriftingAnnotators
from nlhf_repro.oracles.personalized_annotators import PersonalizedAnnotators
from nlhf_repro.reporting import render_table
from nlhf_repro.reporting.columns import MeanValue
from nlhf_repro.seeds import generator_for

GROUPS = AnnotatorGroups(**defaults("oracle/annotators"))
FINAL = (0.15, 0.15, 0.7)
PAIRS = [(x, y) for x in STYLES for y in STYLES]
ASKED = ([post()] * 9, [x for x, _ in PAIRS], [y for _, y in PAIRS])


def drifting(begins: float = 0.0, ends: float = 1.0, start=GROUPS, final=FINAL):
    return DriftingAnnotators(start, final, begins, ends).oracle(0)


def when(progress: float) -> Occasion:
    return Occasion(progress, tuple(f"run/{n}" for n in range(9)))


def test_the_population_moves_from_one_mixture_to_the_other() -> None:
    oracle = drifting()
    first = GROUPS.oracle(0).preference(*ASKED)
    last = GROUPS.reweighted(FINAL).oracle(0).preference(*ASKED)
    for progress in (0.0, 0.25, 1.0):
        expected = (1 - progress) * first + progress * last
        np.testing.assert_allclose(asked_on(oracle, *ASKED, when(progress)), expected, atol=1e-15)
        at = oracle_at(oracle, progress).preference(*ASKED)
        np.testing.assert_allclose(at, expected, atol=1e-15)
    np.testing.assert_array_equal(oracle.preference(*ASKED), asked_on(oracle, *ASKED, when(1.0)))
    assert isinstance(oracle, DriftingOracle | FeatureOracle | GroupedOracle)
    assert all(isinstance(oracle, kind) for kind in (DriftingOracle, FeatureOracle, GroupedOracle))


@pytest.mark.parametrize(
    ("begins", "ends", "progress", "share"),
    [
        (0.5, 0.5, 0.49, 0),
        (0.5, 0.5, 0.5, 1),
        (0.2, 0.6, 0.1, 0),
        (0.2, 0.6, 0.3, 0.25),
        (1, 1, 0.9, 0),
    ],
)
def test_steps_and_ramps(begins, ends, progress, share) -> None:
    oracle = drifting(begins, ends)
    expected = (1 - share) * oracle.first.shares + share * oracle.last_shares
    np.testing.assert_allclose(oracle.at(progress).shares, expected, atol=1e-15)


def test_the_best_response_is_that_of_the_time() -> None:
    """Groups who are absent at first are known when they have come."""
    oracle = drifting(start=GROUPS.reweighted((1, 0, 0)), final=(0, 0, 1))
    for progress, winner in ((0.0, 0), (1.0, 2)):
        now = oracle.at(progress)
        best = now.responder_preference([post()] * 3, list(STYLES)).mean(axis=0).argmax()
        response = now.responder_response(post(), int(best))
        own = now.preference([post()] * 3, [response] * 3, list(STYLES))
        assert own.argmin() == winner and (own >= 0.5 - 1e-12).all()


def test_a_user_has_one_mixture_and_users_differ() -> None:
    oracle = PersonalizedAnnotators(GROUPS, 40, 1.0).oracle(0)
    prompts = [post(f"post {n}") for n in range(300)]
    asked = (prompts, [STYLES[0]] * 300, [STYLES[1]] * 300)
    found = oracle.preference(*asked)
    by_user: dict[str, set[float]] = {}
    for prompt, answer in zip(prompts, found, strict=True):
        by_user.setdefault(oracle.tilts.user(prompt), set()).add(float(answer))
    assert {len(each) for each in by_user.values()} == {1}
    assert len(by_user) == 40 == len({x for each in by_user.values() for x in each})
    named = [post(f"post {n}", user="Ada") for n in range(5)]
    assert len(set(oracle.preference(named, *(x[:5] for x in asked[1:])))) == 1


def test_the_mixture_of_a_user_is_that_of_the_population_tilted() -> None:
    oracle = PersonalizedAnnotators(GROUPS, 3, 0.7).oracle(1)
    groups = oracle.group_preference(*ASKED)
    tilted = oracle.shares * oracle.tilts([post()])[0]
    np.testing.assert_allclose(
        oracle.preference(*ASKED), groups @ (tilted / tilted.sum()), atol=1e-15
    )
    plain = PersonalizedAnnotators(GROUPS, 3, 0.0).oracle(1)
    np.testing.assert_allclose(
        plain.preference(*ASKED), annotators(1).preference(*ASKED), atol=1e-15
    )


def test_users_drift_with_their_population() -> None:
    people = PersonalizedAnnotators(GROUPS, 5, 1.0)
    oracle = drifting(start=people)
    expected = people.reweighted(FINAL).oracle(0).preference(*ASKED)
    np.testing.assert_allclose(oracle.preference(*ASKED), expected, atol=1e-15)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: DriftingAnnotators(GROUPS, FINAL, 0.6, 0.5), r"oracle\.begins = 0\.6 and"),
        (lambda: DriftingAnnotators(GROUPS, (1, 1, 1), 0, 1), r"oracle\.final_weights = "),
        (lambda: DriftingAnnotators(7, FINAL, 0, 1), r"oracle\.annotators of oracle=drifting"),
        (lambda: PersonalizedAnnotators(7, 1, 1), r"oracle\.annotators of oracle=personalized"),
        (lambda: PersonalizedAnnotators(GROUPS, 0, 1), r"oracle\.users = 0"),
        (lambda: PersonalizedAnnotators(GROUPS, 1, -1), r"oracle\.user_spread = -1"),
    ],
)
def test_settings_without_meaning_are_refused(make, sentence: str) -> None:
    with pytest.raises(ImpossibleSettingError, match=f"^{sentence}"):
        make()


def test_a_changing_population_has_no_scores() -> None:
    with pytest.raises(ImpossibleSettingError, match="have no rewards"):
        drifting().score([post()], ["so"])


# --- the worst group


def answers(chosen: list[list[str]]) -> PolicySamples:
    """PolicySamples of these texts."""
    ones = np.ones((len(chosen), len(chosen[0])))
    shape = (ones.astype(int), ones > 0, -ones, -ones)
    return PolicySamples(prompts(len(chosen)), tuple(map(tuple, chosen)), *shape)


class Groups:
    """Prefers "a" to "b" with a fixed probability in every group, and mixes them evenly."""

    group_names = ("one", "other", "third")

    def __init__(self, *wins: float) -> None:
        self.wins = np.array(wins)

    def group_preference(self, prompts, first, second):
        signs = [
            (x == "a") - (x == "b") - (y == "a") + (y == "b")
            for x, y in zip(first, second, strict=True)
        ]
        return 0.5 + (self.wins - 0.5) * (np.array(signs) / 2)[:, None]

    def preference(self, prompts, first, second):
        return self.group_preference(prompts, first, second).mean(axis=1)

    def score(self, prompts, responses):
        raise ImpossibleSettingError("none")


def test_the_worst_group_of_a_pure_policy_is_exact() -> None:
    policy, reference = answers([["a"] * 4] * 3), answers([["b"] * 4] * 3)
    scores = WorstGroupWinRate().score_samples(policy, reference, Groups(0.9, 0.2, 0.6))
    np.testing.assert_allclose(scores, 0.2, atol=1e-15)


def test_the_reference_is_at_one_half_without_bias() -> None:
    """Four answers of a policy that mixes: a minimum over all of them would read well below."""
    stream = generator_for("test", "worst group")
    draws = np.where(stream.random((2, 4000, 4)) < 0.5, "a", "b").tolist()
    policy, reference = (answers(each) for each in draws)
    scores = WorstGroupWinRate().score_samples(policy, reference, Groups(0.9, 0.1, 0.5))
    assert abs(scores.mean() - 0.5) < 3 * standard_error(scores)
    wins = np.stack([(np.array(x) == "a").mean(axis=1) for x in draws])
    naive = 0.5 - 0.4 * np.abs(wins[0] - wins[1])
    assert naive.mean() < 0.45


def test_an_oracle_without_groups_is_refused() -> None:
    policy = answers([["a", "a"]])
    with pytest.raises(ImpossibleSettingError, match="knows no groups of people"):
        WorstGroupWinRate().score_samples(policy, policy, object())


# --- in runs and tables


def test_recorded_policies_are_scored_by_the_population_of_their_time(tmp_path: Path) -> None:
    """The policy stands still: its scores change with the oracle alone."""
    run = {
        "oracle": "drifting_annotators",
        "algorithm": "fixed",
        "benchmark": "[oracle_exploitability]",
        "training__iterations": 2,
        "training__record_points": 2,
        "language__evaluation_samples": 4,
    }
    moving = run_tiny(tmp_path, "oracle.begins=0.5", "oracle.ends=0.5", **run)
    still = run_tiny(tmp_path, "oracle.begins=1", "oracle.ends=1", **run)
    last = run_tiny(tmp_path, "oracle.annotators.group_weights=[0.15,0.15,0.7]", **run)
    key = "eval/oracle_exploitability/last/mean"
    found = [
        [x[key] for x in lines(each.directory / "metrics.jsonl")] for each in (moving, still, last)
    ]
    assert found[1][0] == found[1][1] == found[0][0], "at updates 0 and 1 the first population"
    assert found[0][1] == found[0][2] == found[1][2] == found[2][2], "then the last one"
    assert found[0][0] != found[0][1]


MEAN = MeanValue("regret", "duality_gap", "last", "all", across_regularization=True)


def test_a_mean_over_all_updates_leaves_the_first_policy_out() -> None:
    values = np.array([[[9.0, 1.0, 3.0], [9.0, 2.0, 6.0]]] * 2)
    row = record("row", np.ones((2, 2)))
    whole = replace(
        row,
        updates=np.arange(3.0),
        comparisons=np.arange(3.0),
        preference_evaluations=np.zeros(3),
        values={"duality_gap/last": values},
    )
    assert MEAN.cell(whole, 0.95).estimate == 3.0
    assert "over all updates from the first on" in MEAN.explanation(0.95)
    said = texts(render_table([row], specification(MEAN)))["row"]
    assert any(text.startswith("not every update recorded") for text in said)


def test_exploitability_of_the_time_is_zero_for_its_best_response() -> None:
    """The closed form behind dynamic regret: where one group is alone, its favourite has none."""
    oracle = drifting(0.5, 0.5, start=GROUPS.reweighted((1, 0, 0)), final=(0, 0, 1))
    for progress in (0.0, 1.0):
        now = oracle_at(oracle, progress)
        types = now.responder_preference([post()], [""]).shape[1]
        written = [now.responder_response(post(), kind) for kind in range(types)]
        best = written[int(now.score([post()] * types, written).argmax())]
        policy = replace(answers([[best] * 2]), prompts=(post(),))
        other = oracle_at(oracle, 1 - progress)
        own, wrong = (
            OracleExploitability().score_samples(policy, policy, x)[0] for x in (now, other)
        )
        assert abs(own) < 1e-12 < 0.1 < wrong
