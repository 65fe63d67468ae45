"""Settings without meaning are refused in one sentence before any work; the others run."""

from __future__ import annotations

from typing import Any

import numpy as np

from nlhf_repro.conformance.laboratory import (
    SOFTMAX,
    Limited,
    fits,
    game_for,
    settings_for,
    trained,
)
from nlhf_repro.conformance.outcomes import (
    ConformanceError,
    NotApplicableError,
    described,
    require,
)
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.interfaces import Algorithm, ImpossibleSettingError
from nlhf_repro.pipeline.settings import check_settings

FACES = ("exact", "expected", "sampled")
UNKNOWN = "no_such_option"


def impossible_numbers_are_refused(subject: Subject) -> None:
    """-1 and nan in every numeric field; -1 may stand where it changes no population update."""
    fields = subject.numeric_fields()
    if not fields:
        raise NotApplicableError("no field is annotated as a number")
    for name in fields:
        for value in (-1, float("nan")):
            built = _refusal_or_part(subject, name, value)
            if built is not None and not (value == -1 and _is_the_same(subject, built)):
                raise ConformanceError(
                    f"{subject.key}.{name} = {value} is accepted: refuse it with an "
                    "ImpossibleSettingError in __post_init__ that names the key."
                )


def unknown_words_are_refused(subject: Subject) -> None:
    """A word that is no option of a field annotated as a Literal."""
    fields = subject.literal_fields()
    if not fields:
        raise NotApplicableError("no field is annotated as a Literal")
    for name in fields:
        if _refusal_or_part(subject, name, UNKNOWN) is not None:
            raise ConformanceError(f"{subject.key}.{name} = {UNKNOWN} is accepted.")


def every_option_runs_or_is_refused(subject: Subject) -> None:
    """Every option of every Literal and bool, on every face: it trains or is refused."""
    for name, option in subject.options():
        try:
            algorithm: Algorithm = subject.build(**{name: option})
        except ImpossibleSettingError as error:
            _require_a_sentence(f"{subject.key}.{name} = {option}", error)
            continue
        for face in FACES:
            _runs_or_is_refused(algorithm, face, f"{name} = {option}")


def faces_refuse_what_they_would_ignore(subject: Subject) -> None:
    """Budgets without comparisons, minibatches of expectations, rates that do not exist."""
    algorithm: Algorithm = subject.build()
    game = game_for(algorithm, 31, 2, 4)
    cases: list[tuple[str, dict[str, Any], int | None]] = [
        ("a budget of comparisons on the exact face", {"face": "exact"}, 10),
        ("no iteration", {"iterations": 0}, None),
        ("no group of responses", {"groups_per_iteration": 0}, None),
        ("a negative learning rate", {"learning_rate": -1.0}, None),
    ]
    if fits(algorithm, 0):
        cases += [
            ("a budget of comparisons on the expected face", {"face": "expected"}, 10_000),
            ("minibatches on the expected face", {"face": "expected", "minibatch_size": 3}, None),
            (
                "a tied learning rate with Adam",
                {"learning_rate": None, "optimizer": "adam"},
                None,
            ),
        ]
    for what, changes, budget in cases:
        settings = settings_for(algorithm, **changes)
        try:
            check_settings(algorithm, SOFTMAX, game, settings, budget)
        except ImpossibleSettingError as error:
            _require_a_sentence(what, error)
        else:
            raise ConformanceError(f"{what} is accepted, and would be ignored.")


def _refusal_or_part(subject: Subject, name: str, value: object) -> Algorithm | None:
    """None where the value is refused as it should be, else the algorithm that took it."""
    where = f"{subject.key}.{name}"
    try:
        algorithm: Algorithm = subject.build(**{name: value})
        game = game_for(algorithm, 31, 2, 4)
        check_settings(algorithm, SOFTMAX, game, settings_for(algorithm), None)
    except ImpossibleSettingError as error:
        _require_a_sentence(f"{where} = {value}", error)
        require(where in str(error), f"the refusal of {where} = {value} does not name it: {error}")
        return None
    except Exception as error:
        raise ConformanceError(
            f"{where} = {value} is met by {described(error)}: refuse it with an "
            "ImpossibleSettingError."
        ) from error
    return algorithm


def _is_the_same(subject: Subject, changed: Algorithm) -> bool:
    """Whether the field moves neither the exact update nor the expected one."""
    own: Algorithm = subject.build()
    game = game_for(own, 31, 2, 4)
    for face in ("exact", "expected"):
        paths = []
        for algorithm in (own, changed):
            try:
                settings = settings_for(algorithm, face=face, iterations=2)
                paths.append(trained(Limited(algorithm, 3), game, settings).last)
            except ImpossibleSettingError as error:
                paths.append(np.array(hash(str(error)), dtype=float))
        if paths[0].shape != paths[1].shape or np.abs(paths[0] - paths[1]).max() > 1e-10:
            return False
    return True


def _runs_or_is_refused(algorithm: Algorithm, face: str, what: str) -> None:
    try:
        game = game_for(algorithm, 31, 2, 4)
        settings = settings_for(algorithm, face=face, iterations=2)
        found = trained(Limited(algorithm, 2), game, settings)
    except ImpossibleSettingError as error:
        _require_a_sentence(f"{what} on the {face} face", error)
    except Exception as error:
        raise ConformanceError(
            f"{what} on the {face} face is met by {described(error)}: let it run, or refuse it "
            "with an ImpossibleSettingError."
        ) from error
    else:
        require(bool(np.isfinite(found.last).all()), f"{what} is not finite on the {face} face.")


def _require_a_sentence(what: str, error: ImpossibleSettingError) -> None:
    text = str(error)
    good = "\n" not in text and text.endswith(".")
    require(good, f"the refusal of {what} is not one sentence: {text!r}.")
