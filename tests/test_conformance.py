"""Everything that ships passes the checks that `nlhf check` runs on a user's part."""

from __future__ import annotations

from functools import cache

import pytest
from conftest import CONF
from needed_settings import NOT_HERE, needed

from nlhf_repro.conformance import (
    BENCHMARK_CHECKS,
    CHECKS,
    TEXT_CHECKS,
    TEXT_WRAPPER_CHECKS,
    Outcome,
    Subject,
    check_part,
    checks_of,
)
from nlhf_repro.verbs.check import GROUPS, subject_of

PARTS = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
MAY_BE_SKIPPED = {  # what has nothing to test in some part, by the beginning of its reason
    "one update improves on the reference": "the docstring promises no improvement",
    "the declared fixed point is fixed": "no fixed point is declared",
    "what is remembered moves and matters": "an exact state remembers nothing",
    "where updates rest is the declared point": (
        "an exact state remembers nothing",
        "no fixed point is declared that a game determines",
    ),
    "the tie of the faces holds": "there is no tie",
    "an untied fit moves as the exact update": "the tie is",
    "sampled gradients average to the expected one": (
        "the first iteration trains nothing",
        "drawn gradients are",  # of a tie that holds in a limit only
    ),
    "answers are of the declared kind": "there is no field labels",
    "a budget is never exceeded": "nothing is collected",
    "impossible numbers are refused": "no field is annotated as a number",
    "unknown words are refused": "no field is annotated as a Literal",
    "scores explain the preferences": "the games have no scores",
    "a gap is zero at an equilibrium alone": "its floor is 0",
    **dict.fromkeys(
        (
            "it starts at the reference",
            "log prob is that of the policy",
            "games share no weights",
            "snapshots restore the policy",
            "samples follow the policy",
        ),
        "it is a language model",
    ),
    **dict.fromkeys(
        (
            "a base can converse",
            "the seed decides the base",
            "all responses sum to one",
            "snapshots restore the language model",
            "responses follow the language model",
        ),
        "it is no language model",
    ),
    "the order of actions changes nothing": "it scores an action that its settings name",
    "text scores explain the answers": "it has no scores",
    "the world decides the answers": "its answers are the same in every world",
    "responder types are responses": "it reads no features",
    "no response beats the best type": "it reads no features",
    "wrapped scores are finite or refused": "it has no scores",
    "the vocabulary has every word": "its vocabulary is unbounded",
    **dict.fromkeys(
        (
            "every request is answered once",
            "order and company change no reply",
            "the same request has the same reply",
            "draws differ",
            "first tokens have probabilities",
            "hostile answers change no other reply",
            "the identity tells replies apart",
            "numbers are refused or answered with",
        ),
        "it asks a server",  # whose own tests start one
    ),
    **{
        check.__name__.replace("_", " "): "its official files are not fetched"
        for check in BENCHMARK_CHECKS["judged"]
    },
    **{
        check.__name__.replace("_", " "): "what it needs is not here"
        for check in BENCHMARK_CHECKS["model"]
    },
}


def problems(outcomes: list[Outcome]) -> list[str]:
    """What failed, and what was skipped for another reason than the known ones."""
    return [
        f"{each.name}: {each.kind}: {each.sentence}"
        for each in outcomes
        if each.kind in ("FAILED", "advice")
        or (
            each.kind == "skipped"
            and not each.sentence.startswith(MAY_BE_SKIPPED.get(each.name, "never"))
        )
    ]


@cache
def checked(group: str, name: str) -> list[Outcome]:
    return list(check_part(subject_of(f"{group}={name}", needed(group, name), [])))


@pytest.mark.parametrize(("group", "name"), PARTS)
def test_what_ships_conforms(group: str, name: str) -> None:
    found = checked(group, name)
    assert problems(found) == []
    subject = subject_of(f"{group}={name}", needed(group, name), [])
    passed = sum(each.kind == "ok" for each in found)
    featureless = sum(each.sentence.startswith("it reads no features") for each in found)
    if group == "benchmark" and name in NOT_HERE:
        assert not passed
        return
    assert 2 * passed >= len(checks_of(subject)) - featureless or (
        "base_url" in subject.node and passed == 1
    )


@pytest.mark.parametrize(("group", "name"), PARTS)
def test_a_shipped_file_says_in_a_line_what_it_is(group: str, name: str) -> None:
    lines = (CONF / group / f"{name}.yaml").read_text().splitlines()
    if group in ("benchmark", "oracle_wrapper"):
        assert lines.pop(0) == f"# @package {group}.{name}"
    assert lines[0].startswith("# ") and lines[0].endswith(")")


def test_every_check_has_something_to_test() -> None:
    """A check that every part skips would guard nothing; promises of improvement may be none.

    Annotators of one group have scores, those that ship by default are three.
    """
    tested = {
        (group, each.name)
        for group, name in PARTS
        for each in checked(group, name)
        if each.kind == "ok"
    }
    one_group = subject_of("annotators", ["oracle.group_weights=[0,1,0]"], [])
    tested |= {("oracle", each.name) for each in check_part(one_group) if each.kind == "ok"}
    all_checks = {
        (group, check.__name__.replace("_", " "))
        for group in GROUPS
        for check in (*CHECKS[group], *TEXT_CHECKS.get(group, ()))
    } | {
        ("benchmark", check.__name__.replace("_", " "))
        for checks in BENCHMARK_CHECKS.values()
        for check in checks
    }
    all_checks |= {
        ("oracle_wrapper", check.__name__.replace("_", " ")) for check in TEXT_WRAPPER_CHECKS
    }
    improvement = ("algorithm", "one update improves on the reference")
    assert all_checks - tested <= {improvement}


def test_the_targets_of_a_check_may_be_named_in_three_ways() -> None:
    whole = subject_of("algorithm=egpo", ["algorithm.step_size=0.7"], [])
    assert whole == subject_of("egpo", ["algorithm.step_size=0.7"], [])
    assert whole.node["step_size"] == 0.7
    given = [
        "algorithm.step_size=0.7",
        "algorithm.regularization=0.1",
        "algorithm.labels=bernoulli",
        "algorithm.opponents=1",
    ]
    by_class = subject_of("nlhf_repro.algorithms.egpo.EGPO", given, [])
    assert by_class == Subject("algorithm", "egpo", dict(whole.node))


@pytest.mark.parametrize(
    ("target", "group"),
    [
        ("nlhf_repro.oracles.annotators.AnnotatorGroups", "oracle"),
        ("nlhf_repro.oracles.bradley_terry_fit.BradleyTerryFit", "oracle_wrapper"),
        ("nlhf_repro.prompts.posts.Posts", "prompts"),
        ("nlhf_repro.judges.unrelated.UnrelatedTaste", "judge"),
    ],
)
def test_a_class_of_a_language_part_tells_its_group(target: str, group: str) -> None:
    subject = subject_of(target, [f"+{group}.x=1"], [])
    assert (subject.group, subject.reads_text) == (group, True)
    assert checks_of(subject) == TEXT_CHECKS.get(group, CHECKS[group])
    assert not subject_of("oracle=dice", [], []).reads_text
