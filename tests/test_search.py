"""Search spaces: what they refuse, and the settings that they try."""

from __future__ import annotations

import copy
import math

import pytest

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.search import Choices, Range, as_override, edges, proposals, read_search

STEP = {"low": 0.01, "high": 1, "log": True}
STEPS = {"low": 1, "high": 64, "log": True, "integer": True}
NODE = {
    "trials": 16,
    "seed": 0,
    "metric": {"benchmark": "duality_gap", "iterate": "last"},
    "spaces": {
        "A": {"algorithm.step_size": STEP, "algorithm.gradient_steps": STEPS},
        "B, tau 0.1": {"training.learning_rate": {"choices": [0.05, 0.1, 0.2, 0.3]}},
        "C": {},
    },
}


def changed(path, value):
    """The node with one key set; a path ends in the key, which may hold dots."""
    node = copy.deepcopy(NODE)
    *groups, key = path
    part = node
    for group in groups:
        part = part[group]
    part[key] = value
    return node


A = ("spaces", "A")


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("trials",), 0, "search.trials = 0 tries nothing"),
        (("trials",), "many", 'search.trials = "many" does not fit'),
        (("metric", "iterate"), "best", "search.metric.iterate"),
        (("metric", "median"), True, "search.metric.median is no key"),
        (("spaces", "E"), {}, "search.spaces.E is no row: choose from A, 'B, tau 0.1', C."),
        ((*A, "algorithm.step_size"), {"low": 1, "high": 1}, "low must lie below high"),
        ((*A, "algorithm.step_size"), {"low": 2, "high": 1}, "goes from 2 to 1"),
        ((*A, "algorithm.step_size"), {"low": 0, "high": 1, "log": True}, "has no logarithm"),
        ((*A, "algorithm.step_size"), {"low": 0.5, "high": 4, "integer": True}, "give integers"),
        ((*A, "algorithm.step_size"), {"low": 0}, "algorithm.step_size.high is missing"),
        ((*A, "algorithm.step_size"), {**STEP, "step": 1}, "step is no key"),
        ((*A, "algorithm.step_size"), {"low": 0, "high": float("inf")}, "low must lie below"),
        ((*A, "algorithm.responses"), {"choices": [4]}, "two values or more"),
        ((*A, "algorithm.responses"), {"choices": [4, 4]}, "two values or more"),
        ((*A, "algorithm.reward"), {"choices": ["fitted", "oracle"]}, "holds 'fitted', 'oracle'"),
        ((*A, "algorithm.design"), {"choices": [True, "all_pairs"]}, "pays or sees"),
        ((*A, "training.learning_rate"), {"choices": [None, 0.1]}, "holds None"),
        ((*A, "training.optimizer"), {"choices": ["sgd", "adam"]}, "of training, tune"),
        ((*A, "budget.comparisons"), STEPS, "would change what rows are compared on"),
        ((*A, "oracle.games"), STEPS, "would change what rows are compared on"),
        ((*A, "algorithm.labels"), {"choices": ["a", "b"]}, "what rows are compared on"),
        ((*A, "training.iterations"), STEPS, "of training, tune groups_per_iteration"),
    ],
)
def test_a_search_that_has_no_meaning_is_refused(path, value, sentence):
    with pytest.raises(ImpossibleSettingError) as error:
        read_search(changed(path, value), NODE["spaces"])
    assert sentence in str(error.value)


def test_a_row_must_say_that_it_has_nothing_to_tune():
    with pytest.raises(ImpossibleSettingError, match=r"search.spaces lacks the row 'D'"):
        read_search(NODE, [*NODE["spaces"], "D"])


def test_trials_are_decided_by_the_seed_the_label_and_the_space_alone():
    search = read_search(NODE, NODE["spaces"])
    first = proposals(search, "A", {})
    assert proposals(search, "A", {}) == first
    alone = read_search({**NODE, "spaces": {"A": NODE["spaces"]["A"]}}, ["A"])
    assert proposals(alone, "A", {}) == first
    turned = {**NODE, "spaces": {"A": dict(reversed(NODE["spaces"]["A"].items()))}}
    assert proposals(read_search(turned, ["A"]), "A", {}) == first
    more = read_search({**NODE, "trials": 20}, NODE["spaces"])
    assert proposals(more, "A", {})[:16] == first
    assert proposals(read_search({**NODE, "seed": 1}, NODE["spaces"]), "A", {}) != first
    renamed = read_search({**NODE, "spaces": {"Z": NODE["spaces"]["A"]}}, ["Z"])
    assert proposals(renamed, "Z", {}) != first
    assert proposals(search, "C", {}) == []


def test_trials_fill_their_space_evenly():
    """Each sixteenth of a Sobol dimension holds one of its first sixteen points."""
    tried = proposals(read_search(NODE, NODE["spaces"]), "A", {})
    places = [math.log(x["algorithm.step_size"] / 0.01) / math.log(100) for x in tried]
    assert sorted(int(16 * place) for place in places) == list(range(16))
    counts = [x["algorithm.gradient_steps"] for x in tried]
    assert all(isinstance(count, int) and 1 <= count <= 64 for count in counts)
    assert min(counts) <= 2 < 32 <= max(counts)
    chosen = [x["training.learning_rate"] for x in proposals_of("B, tau 0.1")]
    assert {repr(x): chosen.count(x) for x in chosen} == {
        "0.05": 4,
        "0.1": 4,
        "0.2": 4,
        "0.3": 4,
    }


def proposals_of(row):
    return proposals(read_search(NODE, NODE["spaces"]), row, {})


def test_the_first_trial_is_the_present_setting_where_it_fits():
    search = read_search(NODE, NODE["spaces"])
    drawn = proposals(search, "A", {})
    present = {"algorithm.step_size": 1, "algorithm.gradient_steps": 20}
    assert proposals(search, "A", present) == [present, *drawn[:-1]]
    for outside in (
        {"algorithm.step_size": 1.5, "algorithm.gradient_steps": 20},
        {"algorithm.step_size": 1, "algorithm.gradient_steps": 20.5},
        {"algorithm.step_size": None, "algorithm.gradient_steps": 20},
        {"algorithm.step_size": True, "algorithm.gradient_steps": 20},
    ):
        assert proposals(search, "A", outside) == drawn
    rate = {"training.learning_rate": 0.2}
    assert proposals(search, "B, tau 0.1", rate)[0] == rate


def test_a_linear_range_keeps_its_digits_and_its_ends():
    node = {**NODE, "spaces": {"A": {"algorithm.x": {"low": 100.1, "high": 100.2}}}}
    tried = [x["algorithm.x"] for x in proposals(read_search(node, ["A"]), "A", {})]
    assert all(100.1 <= x <= 100.2 for x in tried)
    assert len(set(tried)) == 16


@pytest.mark.parametrize(
    ("axis", "value", "flagged"),
    [
        (Range(0, 1), 0.01, True),
        (Range(0, 1), 0.011, False),
        (Range(0, 1), 0.989, False),
        (Range(0, 1), 0.99, True),
        (Range(0.01, 1, log=True), 0.0104, True),
        (Range(0.01, 1, log=True), 0.011, False),
        (Range(1, 64, log=True, integer=True), 1, True),
        (Range(1, 64, log=True, integer=True), 2, False),
        (Choices([1, 2, 3]), 1, True),
        (Choices([1, 2, 3]), 2, False),
        (Choices([False, 1, 2, 3]), False, False),
        (Choices([1, 2]), 1, False),
    ],
)
def test_the_edge_of_a_space(axis, value, flagged):
    assert edges({"k": axis}, {"k": value}, 100) == (["k"] if flagged else [])


def test_the_edge_is_as_wide_as_few_trials_are_coarse():
    assert edges({"k": Range(0, 1)}, {"k": 0.02}, 25) == ["k"]
    assert edges({"k": Range(0, 1)}, {"k": 0.021}, 25) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (1e-05, "1e-05"),
        ("adam", "adam"),
        ("it's", "'it\\'s'"),
    ],
)
def test_overrides_of_settings(value, text):
    assert as_override("a.b", value) == f"a.b={text}"
