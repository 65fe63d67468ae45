"""What a check says: it passes in silence, or raises one sentence."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hydra.errors import InstantiationException

from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.interfaces import ImpossibleSettingError

Check = Callable[[Subject], None]


class ConformanceError(Exception):
    """What a part declares, or what every part of its kind promises, does not hold."""


class NotApplicableError(Exception):
    """The check has nothing to test in this part, and says why."""


class AdviceError(Exception):
    """Something that a reader would miss; not wrong in itself."""


@dataclass(frozen=True)
class Outcome:
    """A check's name in words, how it went, and the sentence that goes with it."""

    name: str
    kind: Literal["ok", "FAILED", "skipped", "advice"]
    sentence: str = ""


def outcomes(subject: Subject, checks: Iterable[Check]) -> Iterator[Outcome]:
    """Every check of the part, in order; a crash is a failure that names its place."""
    for check in checks:
        name = check.__name__.replace("_", " ")
        try:
            check(subject)
        except ConformanceError as error:
            yield Outcome(name, "FAILED", str(error))
        except NotApplicableError as error:
            yield Outcome(name, "skipped", str(error))
        except AdviceError as error:
            yield Outcome(name, "advice", str(error))
        except ImpossibleSettingError as error:
            yield Outcome(name, "FAILED", f"the settings were refused while checking: {error}")
        except Exception as error:
            yield Outcome(name, "FAILED", f"crashed with {described(error)}.")
        else:
            yield Outcome(name, "ok")


def require(holds: bool, sentence: str) -> None:
    """Raise ConformanceError with the sentence unless it holds."""
    if not holds:
        raise ConformanceError(sentence)


def described(error: BaseException) -> str:
    """What was raised and where, in one line; what a constructor raised stands for Hydra's own."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        return described(error.__cause__)
    frames = [x for x in traceback.extract_tb(error.__traceback__) if Path(x.filename).exists()]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{place}"
