"""Every check catches what it is there for, with a sentence that says what is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from broken_algorithms import ALGORITHM
from broken_judges import CAUGHT as CAUGHT_JUDGES
from broken_memories import PLAYERS, REFERENCE
from broken_parts import ORACLE
from broken_text_parts import CAUGHT as CAUGHT_IN_TEXT_PARTS
from broken_text_parts import TEXT_ARGUMENTS
from test_conformance_language_models import CAUGHT as CAUGHT_BASES

from nlhf_repro.algorithms.inpo import INPO
from nlhf_repro.conformance import (
    CHECKS,
    TEXT_CHECKS,
    Outcome,
    Subject,
    checks_of,
    outcomes,
    reproducibility,
    settings,
)
from nlhf_repro.conformance import subjects as subjects_module
from nlhf_repro.pipeline import collection

ARGUMENTS = {"algorithm": ALGORITHM, "oracle": ORACLE}

CAUGHT = [  # part, group, check, what its sentence says
    ("Incomplete", "algorithm", "it is built and has every method", "lacks regularization"),
    ("Undocumented", "algorithm", "the docstring says", "does not say its Guarantee and Depart"),
    ("Unnormalized", "algorithm", "exact policies are", "softmax(log_policy) differ by"),
    ("Infinite", "algorithm", "exact policies are", "after update 1 is not finite"),
    ("Uncounted", "algorithm", "exact policies are", "counts 0 updates"),
    ("Mixing", "algorithm", "exact updates keep games apart", "mixes the games"),
    ("Writing", "algorithm", "exact updates leave their arguments", "writes into the state"),
    ("Random", "algorithm", "exact updates leave their arguments", "same state differ"),
    ("Still", "algorithm", "exact updates move", "is the step used"),
    ("MovingIdentity", "algorithm", "exact updates move", "but an exact update moves"),
    ("WrongSign", "algorithm", "one update improves", "preferred to the reference with prob"),
    ("WrongSign", "algorithm", "the declared fixed point", "regularized_nash, has moved"),
    ("WrongSign", "algorithm", "the tie of the faces", "still has a gradient of"),
    ("SignedTwice", "algorithm", "one update improves", "is a sign wrong?"),
    ("WrongPoint", "algorithm", "the declared fixed point", "nash, has moved by"),
    ("UnknownPoint", "algorithm", "the declared fixed point", "somewhere is none that can be"),
    ("NoShare", "algorithm", "the declared fixed point", "needs a method mixture_share"),
    ("NotEverywhere", "algorithm", "the declared fixed point", "another start ends"),
    ("WrongMemory", "algorithm", "the declared fixed point", "memory['reward'] has the shape"),
    ("WrongScale", "algorithm", "the tie of the faces", "still has a gradient of"),
    ("WrongAnchors", "algorithm", "the tie of the faces", "after 2 converged iterations"),
    ("NeverMovingReference", "algorithm", "what is remembered", "forget to move it"),
    ("NeverMovingReference", "algorithm", "where updates rest", "end at rest with"),
    ("StillReference", "algorithm", "what is remembered", "no policy depends on it"),
    ("LateScale", "algorithm", "the tie of the faces", "after 11 converged iterations"),
    ("HalfMovingReference", "algorithm", "the tie of the faces", "99 updates, reference of the"),
    ("HiddenReference", "algorithm", "the tie of the faces", "with algorithm.period = 2: the tie"),
    ("VeryLateScale", "algorithm", "the tie of the faces", "a random state after 99 updates"),
    ("UncoupledPlayers", "algorithm", "the tie of the faces", "a random state after 4 updates"),
    ("NoRate", "algorithm", "the tie of the faces", "learning_rate(actions, update) is None"),
    ("WrongRate", "algorithm", "the tie of the faces", "after 1 gradient steps"),
    ("NoReason", "algorithm", "the tie of the faces", "none without a reason"),
    ("UnknownTie", "algorithm", "the tie of the faces", "tie somehow is unknown"),
    ("MovingIdentity", "algorithm", "the tie of the faces", "after an identity"),
    ("Biased", "algorithm", "sampled gradients average", "what is drawn is not what is enumer"),
    ("Peeking", "algorithm", "answers are", "labels is bernoulli, but iteration 0 collects prob"),
    ("LatePeeking", "algorithm", "answers are", "but iteration 50 collects probability"),
    ("Understated", "algorithm", "both faces count", "count 0 preference evaluations on the exac"),
    (
        "TowardsLosers",
        "algorithm",
        "an untied fit",
        "in 20 of 20 random games the first fit of ite",
    ),
    ("LaterTowardsLosers", "algorithm", "an untied fit", "fit of iteration 99 descends away"),
    ("Unseeded", "algorithm", "the seed decides", "runs of one seed with sgd differ"),
    ("Untrained", "algorithm", "the seed decides", "are the same: nothing is drawn"),
    ("Careless", "algorithm", "impossible numbers", "step_size = -1 is accepted"),
    ("Crashing", "algorithm", "impossible numbers", "is met by ZeroDivisionError"),
    ("Nameless", "algorithm", "impossible numbers", "does not name it"),
    ("Wordy", "algorithm", "every option runs", "is not one sentence"),
    ("Unfinished", "algorithm", "every option runs", "is met by NotImplementedError"),
    ("Asymmetric", "oracle", "games are symmetric", "P + P^T is 1.0e-02 away from 1"),
    ("OutOfRange", "oracle", "games are symmetric", "not all in [0, 1]"),
    ("Unscaled", "oracle", "games are symmetric", "is no batch of games"),
    ("Scored", "oracle", "scores explain", "do not explain the preferences"),
    ("Restless", "oracle", "the world decides", "two draws of world 4 differ"),
    ("OneWorld", "oracle", "the world decides", "worlds 4 and 5 have the same games"),
    ("SlightlyAsymmetric", "oracle", "wrapped answers", "the answers are not symmetric"),
    ("Squaring", "oracle_wrapper", "a wrapper keeps", "wrapped answers are not symmetric"),
    ("Flat", "benchmark", "scores have a shape", "with the shape (12,)"),
    ("BelowZero", "benchmark", "scores have a shape", "floor is -1.0"),
    ("Overwriting", "benchmark", "scores have a shape", "writes into the policies"),
    ("Relative", "benchmark", "games and points", "games are mixed"),
    ("NoGap", "benchmark", "a gap is zero", "above its floor of 1e-12"),
    ("FirstAction", "benchmark", "the order of actions", "in another order"),
    ("FlatSamples", "benchmark", "answers get one score", "with the shape (24, 12)"),
    ("BelowZeroSamples", "benchmark", "answers get one score", "floor is -1.0"),
    ("OverwritingSamples", "benchmark", "answers get one score", "writes into the samples"),
    ("InfiniteSamples", "benchmark", "answers get one score", "is not finite"),
    ("RelativeSamples", "benchmark", "prompts are scored apart", "prompts are mixed"),
    ("FirstAnswer", "benchmark", "the order of answers", "in another order"),
    ("HalfAnswers", "benchmark", "the order of answers", "the halves are not alike"),
    ("RestlessSamples", "benchmark", "the same answers", "two evaluations"),
    ("EagerSamples", "benchmark", "no answer is refused", "no prompt is scored all the same"),
    ("CrashingSamples", "benchmark", "no answer is refused", "is met by ZeroDivisionError"),
    ("TrustingSamples", "benchmark", "replies that are no number", "refuse it in a sentence"),
    ("NamelessSamples", "benchmark", "replies that are no number", "names no prompt"),
    ("Shifted", "model", "it starts at the reference", "away from the reference"),
    ("UnnormalModel", "model", "log prob is that", "sum to 1 +-"),
    ("SharingModel", "model", "games share no weights", "moves another game"),
    ("AliasingModel", "model", "snapshots restore the policy", "moves with the weights"),
    ("UniformModel", "model", "samples follow", "standard errors away from the policy"),
    *CAUGHT_IN_TEXT_PARTS,
    *CAUGHT_JUDGES,
]


def outcome(subject: Subject, beginning: str) -> Outcome:
    """Of the one check whose name begins so."""
    (check,) = (
        each for each in checks_of(subject) if each.__name__.replace("_", " ").startswith(beginning)
    )
    (found,) = outcomes(subject, [check])
    return found


def part(name: str, group: str) -> Subject:
    arguments = ARGUMENTS.get(group, {}) if name != "Incomplete" else {}
    module = "broken_algorithms" if group == "algorithm" else "broken_parts"
    if name in TEXT_ARGUMENTS:
        arguments, module = TEXT_ARGUMENTS[name], "broken_text_parts"
    if group == "judge":
        arguments, module = {"sharpness": 10.0}, "broken_judges"
    if name.endswith(("Reference", "Players")):
        arguments = REFERENCE if name.endswith("Reference") else PLAYERS
        module = "broken_memories"
    return Subject(group, name, {"_target_": f"{module}.{name}", **arguments})


@pytest.mark.parametrize(("name", "group", "check", "sentence"), CAUGHT)
def test_a_check_catches(name: str, group: str, check: str, sentence: str) -> None:
    found = outcome(part(name, group), check)
    assert found.kind == ("advice" if name == "Undocumented" else "FAILED"), found
    assert sentence in found.sentence
    assert "\n" not in found.sentence


def test_every_check_is_shown_to_catch_something() -> None:
    here = {
        "the ledger is exact to the unit",
        "a budget is never exceeded",
        "unknown words are refused",
        "faces refuse what they would ignore",
    }
    for group, checks in [*CHECKS.items(), *TEXT_CHECKS.items()]:
        for each in checks:
            name = each.__name__.replace("_", " ")
            shown = any(case[1] == group and name.startswith(case[2]) for case in CAUGHT)
            of_bases = any(name.startswith(case[1]) for case in CAUGHT_BASES)
            assert shown or of_bases or name in here, name


@pytest.fixture
def inpo() -> Subject:
    node = {"_target_": "nlhf_repro.algorithms.inpo.INPO", "responses": 2, "design": "unfiltered"}
    return Subject("algorithm", "inpo", {**node, **ALGORITHM})


def test_a_shipped_class_needs_its_docstring(monkeypatch, inpo) -> None:
    assert outcome(inpo, "the docstring says").kind == "ok"
    monkeypatch.setattr(INPO, "__doc__", "Guarantee: none.")
    found = outcome(inpo, "the docstring says")
    assert (found.kind, "its Departures" in found.sentence) == ("FAILED", True)


def test_a_tie_in_a_limit_excuses_biased_gradients_and_nothing_else() -> None:
    subject = part("BiasedInALimit", "algorithm")
    found = outcome(subject, "sampled gradients average")
    assert (found.kind, found.sentence.startswith("drawn gradients are")) == ("skipped", True)
    assert outcome(subject, "the tie of the faces").kind == "FAILED"


def test_an_improvement_that_is_promised_and_kept_passes() -> None:
    assert outcome(part("Improving", "algorithm"), "one update improves").kind == "ok"


def test_a_ledger_that_counts_one_too_many_is_caught(monkeypatch, inpo) -> None:
    right = collection.comparisons_in_group
    monkeypatch.setattr(collection, "comparisons_in_group", lambda phase: right(phase) + 1)
    found = outcome(inpo, "the ledger")
    assert found.kind == "FAILED"
    assert "holds 28 comparisons of 2 games, where 14 were counted" in found.sentence


def test_answers_that_are_booked_under_another_kind_are_caught(monkeypatch, inpo) -> None:
    right = collection.SamplingCollector._count

    def booked(self, phase):
        right(self, replace(phase, labels="probability"))

    monkeypatch.setattr(collection.SamplingCollector, "_count", booked)
    found = outcome(inpo, "answers are")
    assert (found.kind, "holds 21 probability answers" in found.sentence) == ("FAILED", True), found


def test_a_difference_of_evaluations_may_be_explained(monkeypatch) -> None:
    subject = part("Understated", "algorithm")
    monkeypatch.setattr(subject.kind, "__doc__", "A test counts no preference\n    evaluations.")
    assert outcome(subject, "both faces count").kind == "ok"


def test_a_budget_that_is_exceeded_is_caught(monkeypatch, inpo) -> None:
    collector = collection.SamplingCollector
    monkeypatch.setattr(collector, "affords", lambda self, phases: True)
    found = outcome(inpo, "a budget")
    assert (found.kind, "whole iterations cost" in found.sentence) == ("FAILED", True)


def test_a_budget_below_one_iteration_that_is_accepted_is_caught(monkeypatch, inpo) -> None:
    monkeypatch.setattr("nlhf_repro.pipeline.settings.check_budget", lambda *arguments: None)
    found = outcome(inpo, "a budget")
    assert found.kind == "FAILED"
    assert "a budget of 6 comparisons was accepted" in found.sentence


def test_words_and_settings_that_are_accepted_are_caught(monkeypatch, inpo) -> None:
    monkeypatch.setattr(subjects_module, "check_constructor", lambda *arguments: None)
    found = outcome(part("Careless", "algorithm"), "unknown words")
    assert (found.kind, "no_such_option is accepted" in found.sentence) == ("FAILED", True)
    monkeypatch.setattr(settings, "check_settings", lambda *arguments: None)
    found = outcome(inpo, "faces refuse")
    assert (found.kind, "would be ignored" in found.sentence) == ("FAILED", True)


def test_a_seed_that_is_not_used_is_caught(monkeypatch, inpo) -> None:
    right = reproducibility.trained
    monkeypatch.setattr(
        reproducibility,
        "trained",
        lambda algorithm, game, chosen, budget, seed, model: right(
            algorithm, game, chosen, budget, 0, model
        ),
    )
    found = outcome(inpo, "the seed decides")
    assert "different seeds with sgd are the same" in found.sentence


def test_a_crash_is_a_failure_that_says_where() -> None:
    found = outcome(part("Unfinished", "algorithm"), "every option")
    assert "NotImplementedError: later" in found.sentence
    crash = Subject("model", "x", {"_target_": "broken_algorithms.Incomplete"})
    found = outcome(crash, "it starts at the reference")
    assert found.kind == "FAILED"
    assert "crashed with AttributeError" in found.sentence and "models.py, line" in found.sentence
