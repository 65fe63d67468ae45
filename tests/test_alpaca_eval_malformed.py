"""Malformed annotation rows, drawn at random: counted or refused, never dropped."""

from __future__ import annotations

import json
from typing import Any

import alpaca_rows
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlhf_repro.benchmarks.alpaca_eval import read_annotations
from nlhf_repro.interfaces import UnusableAnnotationsError

VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    | st.lists(st.integers(), max_size=2) | st.just(10**400)
)  # fmt: skip
FIELDS = st.sampled_from([*alpaca_rows.annotations(1)[0], "unknown"])


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 11), FIELDS, VALUES), max_size=6),
    drops=st.lists(st.tuples(st.integers(0, 11), FIELDS), max_size=3),
    lines=st.booleans(),
)
def test_malformed_rows_are_counted_or_refused(
    changes: list[Any], drops: list[Any], lines: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = alpaca_rows.annotations(12)
    for place, field, value in changes:
        rows[place][field] = value
    for place, field in drops:
        rows[place].pop(field, None)
    path = tmp_path_factory.mktemp("rows") / "annotations.json"
    text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows)
    path.write_text(text)
    try:
        models = read_annotations(path, maximum_unusable_share=1)
    except UnusableAnnotationsError as error:
        assert "\n" not in str(error)
        return
    assert sum(model.diagnostics.rows for model in models) == len(rows)
    for model in models:
        used = len(model.questions)
        lost = sum(model.diagnostics.unusable.values())
        assert used + lost == model.diagnostics.rows
        assert used == sum(model.diagnostics.verdicts.values()) == len(set(model.questions))
        assert ((model.preferences >= 1) & (model.preferences <= 2)).all()
        assert np.isfinite(model.length_differences).all()
