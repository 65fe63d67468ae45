"""What lm-eval calls for the tasks of academic_mini: documents, and the score of an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nlhf_repro.summaries import SLOTS, read

WORDS_READ = 16


def load(documents: str, **_: Any) -> Any:
    """The documents of one task as lm-eval's test split, from the file that lies beside this."""
    import datasets

    lines = (Path(__file__).parent / documents).read_text(encoding="utf-8").splitlines()
    return {"test": datasets.Dataset.from_list([json.loads(line) for line in lines])}


def facts_named(document: dict[str, Any], answers: list[str]) -> dict[str, float]:
    """Of one answer: 1 if it names all six facts of the post and no others; the share it names."""
    facts = tuple(document["facts"].split())
    coverage, inventions = read([facts], [answers[0]], WORDS_READ)[0, :2]
    return {
        "exact_match": float(coverage == len(SLOTS) and inventions == 0),
        "facts_acc": float(coverage) / len(SLOTS),
    }
