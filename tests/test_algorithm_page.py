"""The page of the algorithms says what the algorithms declare."""

from __future__ import annotations

import re

from command import REPOSITORY
from laboratory import ALGORITHMS, algorithm

ROW = re.compile(r"^\| `(\w+)` \| .* \| ([a-z ]+) \| ([a-z ]+) \| (\d) \|$", re.MULTILINE)


def test_the_page_lists_every_algorithm_as_it_declares_itself():
    page = (REPOSITORY / "docs" / "algorithms.md").read_text()
    said = {name: tuple(rest) for name, *rest in ROW.findall(page)}
    declared = {}
    for name in ALGORITHMS:
        method = algorithm(name)
        words = method.fixed_point.replace("_", " "), method.tie.kind.replace("_", " ")
        declared[name] = (*words, str(method.preference_evaluations))
    assert said == declared
    readme = (REPOSITORY / "README.md").read_text()
    assert f"[{len(ALGORITHMS)} of them]" in readme
