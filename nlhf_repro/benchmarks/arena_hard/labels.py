"""Verdict labels of Arena-Hard: closed sets and the parsers of the two protocols.

v0.1: the judge must give exactly one distinct label in double brackets; two different ones are no
verdict. v2.0: the text is upper-cased, double brackets are tried before single ones, and the last
label wins. Source: arena-hard-auto efc012e and 196f6b8, `gen_judgment.py: get_score`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

Version = Literal["v0.1", "v2.0"]

_DOUBLE = re.compile(r"\[\[([AB<>=]+)\]\]")
_SINGLE = re.compile(r"\[([AB<>=]+)\]")


@final
@dataclass(frozen=True)
class Verdict:
    """What a label says: A's share of the win (1, 0.5 or 0), and whether by far (`>>`)."""

    share_of_a: float
    decisive: bool = False


_LABELS_V01: Mapping[str, Verdict] = {
    "A>>B": Verdict(1.0, decisive=True),
    "A>B": Verdict(1.0),
    "A=B": Verdict(0.5),
    "B>A": Verdict(0.0),
    "B>>A": Verdict(0.0, decisive=True),
}

VERDICTS: Mapping[Version, Mapping[str, Verdict]] = {
    "v0.1": _LABELS_V01,
    "v2.0": {
        **_LABELS_V01,
        "A<<B": Verdict(0.0, decisive=True),
        "A<B": Verdict(0.0),
        "B=A": Verdict(0.5),
        "B<A": Verdict(1.0),
        "B<<A": Verdict(1.0, decisive=True),
    },
}


def parse_label(text: str, version: Version) -> str | None:
    """The label that the version's parser reads in a judge's text; None where it reads none.

    The label is what stands in the brackets and may lie outside `VERDICTS`, such as `A>>A`.
    """
    if version == "v0.1":
        distinct = set(_DOUBLE.findall(text))
        return distinct.pop() if len(distinct) == 1 else None
    for pattern in (_DOUBLE, _SINGLE):
        if matches := pattern.findall(text.upper()):
            return str(matches[-1])
    return None


def has_several_labels(text: str) -> bool:
    """Whether a judge's text names two or more different labels in double brackets."""
    return len(set(_DOUBLE.findall(text))) > 1
