"""Bundles of several machines: what agrees is one, what contradicts or differs is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
from bundles import contents, export, half, nlhf, other_code, repacked

from nlhf_repro.pipeline.cell import read_run, run_directory
from nlhf_repro.pipeline.files import file_digest, write_json


def test_two_halves_are_the_whole(own_trio):
    folder, conf, cells = own_trio
    expected = nlhf("table", "trio", "--config-dir", conf)[1]
    for seed in (0, 1):
        place = half(folder, cells, (seed,), f"machine{seed}")
        path = export(conf, f"{seed}.zip", place)
        status, output, errors = nlhf("table", path)
        assert status == 1 and "nlhf: 3 cells are missing" in errors and "†" in output
    assert nlhf("table", "0.zip", "1.zip")[:2] == (0, expected)
    assert nlhf("table", "1.zip", "0.zip", "1.zip")[:2] == (0, expected)
    beside = ("table", "trio", "1.zip", "output_dir=machine0", "--config-dir", conf)
    assert nlhf(*beside)[:2] == (0, expected)
    assert sorted(path.name for path in (folder / "machine0" / "tables").iterdir())[0].startswith(
        "trio-bundles-"
    )


def test_one_key_with_two_scores_is_a_contradiction(own_trio):
    folder, conf, cells = own_trio
    store = folder / "outputs" / "stages"
    key = read_run(run_directory(folder / "outputs", cells[0].key))["stages"]["evaluate"]
    place = store / f"evaluate-{key['duality_gap'][:16]}"
    table = pq.read_table(place / "scores.parquet")
    values = table["value"].to_numpy().copy()
    values[-1] += 0.25
    at = table.column_names.index("value")
    changed = table.set_column(at, "value", [values])
    pq.write_table(changed, place / "scores.parquet", compression="zstd")
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["files"]["scores.parquet"] = file_digest(place / "scores.parquet")
    write_json(place / "manifest.json", manifest)
    export(conf, "b.zip")
    status, output, errors = nlhf("table", "a.zip", "b.zip")
    assert (status, output, errors.count("\n")) == (2, "", 1)
    assert "a.zip and b.zip contradict each other: duality_gap/last of row 'INPO'" in errors
    assert "differs (by up to 0.25)" in errors
    assert "--mixed-code" not in errors
    assert nlhf("table", "a.zip", "b.zip", "--mixed-code")[0] == 2


def test_other_code_is_told_apart_and_mixed_only_where_asked(own_trio):
    folder, conf, cells = own_trio
    export(conf, "0.zip", half(folder, cells, (0,), "machine0"))
    other_code(Path("a.zip"), "other.zip", "f")
    assert nlhf("table", "other.zip")[0] == 0  # alone it is as good as any
    status, output, errors = nlhf("table", "0.zip", "other.zip")
    assert (status, output, errors.count("\n")) == (2, "", 1)
    assert "0.zip and other.zip were not made by the same code (commit " in errors
    assert "ffffffffffff" in errors and "--mixed-code" in errors
    status, output, _ = nlhf("table", "0.zip", "other.zip", "--mixed-code")
    assert status == 0
    assert "\n- Mixed code: 0.zip and other.zip differ (commit " in output


def test_other_settings_are_never_mixed(own_trio):
    path = other_code(Path("a.zip"), "other.zip", "f")
    name = "configs/00000.yaml"
    changed = contents(path)[name].replace(b"iterations: 3", b"iterations: 4")
    repacked(path, **{name: changed})
    status, output, errors = nlhf("table", "a.zip", "other.zip", "--mixed-code")
    assert (status, output) == (2, "")
    assert "training.iterations is 3 against 4" in errors


def test_what_was_declared_otherwise_is_not_merged(own_trio):
    _, conf, _ = own_trio
    status, _, errors = nlhf(
        "export", "trio", "seeds.values=[1]", "--config-dir", conf, "--out", "b.zip"
    )
    assert (status, errors) == (0, "")
    assert (
        "hold different experiments (changes by the command line"
        in nlhf("table", "a.zip", "b.zip")[2]
    )
    assert "row 'INPO'" not in nlhf("table", "b.zip")[2]
    assert "Changed by the command line: seeds.values=[1]." in nlhf("table", "b.zip")[1]


def test_a_failure_stays_and_one_that_another_machine_completed_is_said(own_trio):
    folder, conf, cells = own_trio
    record = run_directory(folder / "outputs", cells[0].key)
    write_json(record / "run.json", read_run(record) | {"status": "failed", "error": "E: broke"})
    export(conf, "b.zip")
    status, output, errors = nlhf("table", "b.zip")
    assert status == 1 and "nlhf: failed: INPO, seed 0: E: broke" in errors
    assert "failed" in next(x for x in output.splitlines() if x.startswith("INPO "))
    status, output, _ = nlhf("table", "a.zip", "b.zip")
    assert status == 0
    assert "INPO, seed 0, failed in b.zip and is complete in a.zip: E: broke" in output
