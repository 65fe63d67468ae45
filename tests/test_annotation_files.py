"""Files of judgments: refused in one sentence, or read without losing a row."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlhf_repro.benchmarks.annotation_files import (
    only_value,
    read_rows,
    refuse_duplicates,
    refuse_losses,
    require_fields,
)
from nlhf_repro.interfaces import UnusableAnnotationsError

WHERE = Path("annotations.json")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"[]", "holds no rows"),
        (b'[{"a": 1}', "truncated"),
        (b'[{"a": "b', "truncated"),
        (b'{"a": 1}\n{"a": "b', "truncated.*line 2"),
        (b'{"a": 1}\n{"a" 2}\n', "not JSON.*line 2"),
        (b"index,preference\n0,1.5\n", "not JSON"),
        (b"[1, 2]", "Row 1 .* is a int"),
        (b'{"a": 1}\n3\n', "Row 2 .* is a int"),
        (b'{\n "a": 1\n}', "holds one object"),
        (b"3", "holds one value"),
        (b'[{"a": 1, "a": 2}]', "names 'a' twice"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[" * 100_000, "not usable JSON"),
    ],
)
def test_a_broken_file_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "annotations.json"
    path.write_bytes(content)
    with pytest.raises(UnusableAnnotationsError, match=sentence) as caught:
        read_rows(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_folders_and_damaged_archives_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UnusableAnnotationsError, match="cannot be read"):
            read_rows(path)
    archive = tmp_path / "annotations.json.gz"
    archive.write_bytes(gzip.compress(b'[{"a": 1}]' * 50)[:-12])
    with pytest.raises(UnusableAnnotationsError, match="damaged"):
        read_rows(archive)
    archive.write_bytes(b'[{"a": 1}]')
    with pytest.raises(UnusableAnnotationsError, match="cannot be read"):
        read_rows(archive)


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.dictionaries(st.text(), JSON), min_size=1), packed=st.booleans())
def test_lists_and_lines_give_back_every_row(
    rows: list[dict[str, object]], packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    texts = json.dumps(rows), "\n".join(map(json.dumps, rows))
    for name, text in zip(("list.json", "lines.jsonl"), texts, strict=True):
        path = folder / (name + ".gz" * packed)
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
        assert repr(read_rows(path)) == repr(rows)


@settings(max_examples=50, deadline=None)
@given(content=st.binary())
def test_arbitrary_bytes_are_read_or_refused(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "annotations.json"
    path.write_bytes(content)
    try:
        rows = read_rows(path)
    except UnusableAnnotationsError:
        return
    assert all(isinstance(row, dict) for row in rows)


def test_a_foreign_format_is_named_by_its_fields() -> None:
    with pytest.raises(UnusableAnnotationsError, match=r"no row has preference .*'uid'"):
        require_fields([{"uid": 1}], ["preference"], WHERE, "a file of annotations")
    require_fields([{"uid": 1}, {"preference": 2}], ["preference"], WHERE, "a file of annotations")


def test_mixed_and_missing_judges_are_refused() -> None:
    rows = [{"annotator": "a"}, {"annotator": "a"}, {"annotator": "b"}]
    with pytest.raises(UnusableAnnotationsError, match=r"'a' \(2 rows\), 'b' \(1 rows\); split"):
        only_value(rows, "annotator", WHERE, "split it.")
    with pytest.raises(UnusableAnnotationsError, match=r"1 of 2 rows .* no 'annotator'"):
        only_value([{"annotator": 3}, {"annotator": "a"}], "annotator", WHERE, "split it.")
    assert only_value(rows[:2], "annotator", WHERE, "split it.") == "a"


def test_duplicates_are_counted() -> None:
    rows = [{"key": "a"}, {"key": "a"}, {"key": "a"}, {"key": "b"}]
    with pytest.raises(UnusableAnnotationsError, match=r"2 of 4 rows .*'a' \(3 times\)"):
        refuse_duplicates(rows, lambda row: str(row["key"]), WHERE, "key")
    refuse_duplicates(rows[2:], lambda row: str(row["key"]), WHERE, "key")


def test_losses_beyond_the_allowed_share_are_refused() -> None:
    lost = {"without a verdict": 2, "out of range": 1}
    with pytest.raises(UnusableAnnotationsError, match=r"3 of 100 .*2 without a verdict, 1 out"):
        refuse_losses(lost, 100, 0.02, "model")
    refuse_losses(lost, 150, 0.02, "model")
    refuse_losses({}, 0, 0.02, "model")
    with pytest.raises(UnusableAnnotationsError, match="3 of 3"):
        refuse_losses(lost, 3, 1.0, "model")
    with pytest.raises(ValueError, match="from 0 to 1"):
        refuse_losses(lost, 100, 2, "model")
