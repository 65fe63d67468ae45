"""Scores for machines: one record a model and metric."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from nlhf_repro.reporting.scores.entries import Entry, Score

Record = Mapping[str, Any]


def score_record(entry: Entry, score: Score, more_notes: Sequence[str] = ()) -> dict[str, Any]:
    """Percentages as 0 to 100; None where not estimable.

    `unusable`, `missing` and `duplicates` count over all runs; `position_flip_rate` is the runs'
    mean, as are `characters` and `opponent_characters`, the mean lengths of the answers; all of
    these but `duplicates` and `unusable` are None unless every run has them. `notes` are what the
    tables print beside the entry, `more_notes` those that come from other entries.
    """
    first, found = entry.runs[0], [run.diagnostics for run in entry.runs]
    missing = [one.missing for one in found if one.missing is not None]
    flips = [one.position_flip_rate for one in found if one.position_flip_rate is not None]
    lengths = [one.characters for one in found if one.characters is not None]
    sizes = zip(*lengths, strict=True) if len(lengths) == len(found) else [None, None]
    own, opposed = (sum(each) / len(found) if each else None for each in sizes)
    notes = [*entry.notes, *([score.note] if score.note else []), *more_notes]
    return {
        "benchmark": first.benchmark,
        "name": entry.name,
        "metric": score.metric,
        "estimate": score.estimate,
        "standard_error": score.standard_error,
        "lower": score.lower,
        "upper": score.upper,
        "questions": score.questions,
        "unusable": sum(sum(run.diagnostics.unusable.values()) for run in entry.runs),
        "judge": first.judge,
        "opponent": first.opponent,
        "version": first.version,
        "unit": score.unit,
        "seeds": score.seeds,
        "level": score.level,
        "note": score.note,
        "missing": sum(missing) if len(missing) == len(found) else None,
        "duplicates": sum(one.duplicates for one in found),
        "position_flip_rate": sum(flips) / len(flips) if len(flips) == len(found) else None,
        "characters": own,
        "opponent_characters": opposed,
        "notes": notes,
    }


def to_json(records: Sequence[Record]) -> str:
    """A list of objects; null where a number is not estimable."""
    plain = [{key: _finite(value) for key, value in record.items()} for record in records]
    return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"


def records_to_csv(records: Sequence[Record]) -> str:
    """One line a record; empty where a number is not estimable; notes joined by semicolons."""
    stream = StringIO()
    writer = csv.DictWriter(stream, list(records[0]), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({key: _in_one_cell(value) for key, value in record.items()})
    return stream.getvalue()


def _in_one_cell(value: Any) -> Any:
    return "; ".join(value) if isinstance(value, list) else _finite(value)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
