"""Everything that ships passes the checks that `nlhf check` runs on a user's part."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import pytest
import torch
from conftest import CONF

from nlhf_repro.conformance import (
    CHECKS,
    TEXT_CHECKS,
    Outcome,
    Subject,
    check_part,
    checks_of,
)
from nlhf_repro.models.mini_llama import MiniLlama
from nlhf_repro.preferences.transformer_models import transformer_learner
from nlhf_repro.summaries import VOCABULARY
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
    "the vocabulary has every word": "its vocabulary is unbounded",
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
    return list(check_part(subject_of(f"{group}={name}", settings_of(name), [])))


SMALL_MODEL = ("hidden_size=16", "heads=2", "steps=120", "warmup_steps=5", "batch_size=32")
"""Of oracles that are trained from nothing: large enough for the rewards of the checks."""


@cache
def joint_classifier_folder() -> Path:
    """A tiny one, whose output is not 0 for everything."""
    made = transformer_learner(
        "joint_classifier", *MiniLlama(16, 1, 2, 24, 512, False).base(VOCABULARY, 0), 0
    )
    with torch.no_grad():
        made.model.score.weight.fill_(0.3)
    folder = Path(tempfile.mkdtemp())
    made.save(folder)
    return folder


@cache
def settings_of(name: str) -> list[str]:
    """What a part needs to be set: a file of prompts, with responses to imitate, or weights."""
    if name in ("reward_model_fit", "preference_model_fit"):
        return [f"oracle_wrapper.{name}.{each}" for each in (*SMALL_MODEL, "learning_rate=0.02")]
    if name == "joint_classifier":
        own = (f"name_or_path={joint_classifier_folder()}", "batch_size=1", "max_length=120")
        return [f"oracle.{each}" for each in own]
    if name != "jsonl":
        return []
    path = Path(tempfile.mkdtemp()) / "prompts.jsonl"
    lines = (f'{{"prompt": "say {n}", "response": "{n}"}}\n' for n in range(1400))
    path.write_text("".join(lines))
    return [f"prompts.path={path}"]


@pytest.mark.parametrize(("group", "name"), PARTS)
def test_what_ships_conforms(group: str, name: str) -> None:
    found = checked(group, name)
    assert problems(found) == []
    checks = checks_of(subject_of(f"{group}={name}", [], []))
    featureless = sum(each.sentence.startswith("it reads no features") for each in found)
    assert 2 * sum(each.kind == "ok" for each in found) >= len(checks) - featureless


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
    ],
)
def test_a_class_of_a_language_part_tells_its_group(target: str, group: str) -> None:
    subject = subject_of(target, [f"+{group}.x=1"], [])
    assert (subject.group, subject.reads_text) == (group, True)
    assert checks_of(subject) == TEXT_CHECKS.get(group, CHECKS["prompts"])
    assert not subject_of("oracle=dice", [], []).reads_text
