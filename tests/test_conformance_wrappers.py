"""The checks of wrappers of texts pass what is sound, and catch a part that is wrong for each."""

from __future__ import annotations

import pytest
from broken_wrappers import CAUGHT

from nlhf_repro.conformance import (
    CHECKS,
    TEXT_WRAPPER_CHECKS,
    Outcome,
    Subject,
    check_part,
    checks_of,
)
from nlhf_repro.verbs.check import subject_of


def found(name: str) -> list[Outcome]:
    node = {"_target_": f"broken_wrappers.{name}"}
    return list(check_part(Subject("oracle_wrapper", name, node)))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "check", "said"), CAUGHT)
def test_a_broken_wrapper_is_caught(name: str, check: str, said: str) -> None:
    outcome = next(each for each in found(name) if each.name == check)
    assert outcome.kind == "FAILED" and said in outcome.sentence


def test_every_check_has_a_wrapper_that_it_catches() -> None:
    names = {each.__name__.replace("_", " ") for each in TEXT_WRAPPER_CHECKS}
    assert names == {check for _, check, _ in CAUGHT}


def test_a_sound_wrapper_passes() -> None:
    assert {each.kind for each in found("Sound")} == {"ok"}
    refused = [each.kind for each in found("Refusing")]
    assert sorted(set(refused)) == ["ok", "skipped"] and refused.count("skipped") == 1


def test_a_wrapper_of_both_is_checked_for_both() -> None:
    noisy, biased = (subject_of(f"oracle_wrapper={x}", [], []) for x in ("noisy", "biased"))
    assert checks_of(noisy) == (*CHECKS["oracle_wrapper"], *TEXT_WRAPPER_CHECKS)
    assert checks_of(biased) == TEXT_WRAPPER_CHECKS
    assert (noisy.reads_text, biased.reads_text) == (False, True)
    by_class = subject_of("nlhf_repro.oracles.counted.Counted", [], [])
    assert by_class.group == "oracle_wrapper"
