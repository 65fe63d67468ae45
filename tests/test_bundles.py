"""Bundles: the same table from the file alone, nothing that must not leave, and honest merging."""

from __future__ import annotations

import json
import re
import shutil
import socket
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from bundles import contents, export, nlhf, repacked, written

from nlhf_repro.pipeline.cell import read_run, run_directory
from nlhf_repro.pipeline.files import write_json
from nlhf_repro.pipeline.private import Privacy, leaks, secrets

# --- a round trip


def test_the_table_of_a_bundle_is_that_of_its_folder_to_the_byte(own_trio):
    folder, conf, _ = own_trio
    status, output, _ = nlhf("table", "trio", "--config-dir", conf)
    tables = written(folder / "outputs")
    shutil.rmtree(folder / "outputs")
    assert status == 0 and "\nINPO " in output
    assert nlhf("table", "a.zip")[:2] == (0, output)
    again = written(folder / "outputs")
    forest = {"trio-forest.png", "trio-forest.svg"}
    assert set(again) == {"trio.md", "trio.tex", "trio.csv"} | forest
    assert again == {name: tables[name] for name in again}


def test_equal_records_give_equal_bytes_wherever_they_lie(own_trio):
    _, conf, _ = own_trio
    assert export(conf, "b.zip").read_bytes() == Path("a.zip").read_bytes()


def test_unpacked_a_bundle_is_an_output_folder(own_trio):
    folder, conf, _ = own_trio
    with zipfile.ZipFile("a.zip") as archive:
        archive.extractall(folder / "there")
    found = nlhf("table", "trio", "--config-dir", conf, "output_dir=there")
    assert found[:2] == (0, nlhf("table", "a.zip")[1])


def test_rows_of_a_bundle_are_compared(own_trio):
    _, conf, _ = own_trio
    status, output, errors = nlhf("compare", "a.zip:INPO", "a.zip:SPPO", "--metric", "gap")
    assert status == 0, errors
    here = nlhf("compare", "trio:INPO", "trio:SPPO", "--metric", "gap", "--config-dir", conf)[1]
    assert output.replace("a.zip", "trio") == here


# --- what must not leave


def test_no_path_host_process_or_policy_is_in_it(own_trio):
    folder, conf, cells = own_trio
    record = run_directory(folder / "outputs", cells[0].key) / "run.json"
    write_json(record, read_run(record.parent) | {"status": "failed", "error": f"{folder}/a b: no"})
    files = contents(export(conf, "x.zip"))
    everything = b"\n".join(files.values())
    for name in (str(folder), str(conf), str(Path.home()), socket.gethostname(), "output_dir"):
        assert name.encode() not in everything, name
    assert not re.search(rb'"(host|process)"', everything)
    error = json.loads(files[f"runs/{record.parent.name}/run.json"])["error"]
    assert error.startswith("<path>/")
    for name, data in files.items():
        assert not name.endswith((".safetensors", ".txt"))
        if name.endswith("trajectory.npz"):
            (folder / "t.npz").write_bytes(data)
            with np.load(folder / "t.npz") as arrays:
                assert arrays["last"].size == 0 and "average" not in arrays


def test_a_secret_in_a_record_stops_the_export(own_trio, monkeypatch):
    folder, conf, cells = own_trio
    monkeypatch.setenv("SOME_API_KEY", "sk-12345678")
    record = run_directory(folder / "outputs", cells[0].key)
    write_json(record / "run.json", read_run(record) | {"note": "key sk-12345678"})
    status, output, errors = nlhf("export", "trio", "--config-dir", conf, "--out", "x.zip")
    assert (status, output) == (2, "")
    assert "the value of $SOME_API_KEY" in errors and "sk-123" not in errors
    assert not Path("x.zip").exists()


def test_secrets_are_found_in_the_columns_of_parquet_files(tmp_path):
    import pyarrow as pa

    column = pa.array(["sk-abcdefgh" * 50]).dictionary_encode()
    pq.write_table(pa.table({"text": column}), tmp_path / "x.parquet", compression="zstd")
    data = (tmp_path / "x.parquet").read_bytes()
    assert list(leaks(data, True, {"a key": "ghsk-abcdefghsk"})) == ["a key"]
    assert list(leaks(data, True, {"a key": "sk-other"})) == []
    assert secrets({"A_TOKEN": "12345678", "B_KEY": "1", "PATH": "/usr/bin:/bin"}) == {
        "A_TOKEN": "12345678"
    }


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("/home/anna/models/llama 3", "<path>/llama 3"),
        (
            "FileNotFoundError: '/data/x/y.jsonl' is gone",
            "FileNotFoundError: '<path>/y.jsonl' is gone",
        ),
        ("~/models/x", "<path>/x"),
        (r"no C:\Users\anna\x.json here", "no <path>/x.json here"),
        ("a=/home/anna/x,b=/srv/y/z", "a=<path>/x,b=<path>/z"),
        ("file:///home/anna/conf", "<path>/conf"),
        ("node17 said no, node17.example.org too", "<host> said no, <host>.example.org too"),
        ("http://gpu-3.internal:8000/v1", "http://<host>:8000/v1"),
        ("http://10.0.0.7:8000/v1", "http://<host>:8000/v1"),
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        (
            "HuggingFaceTB/SmolLM2-135M and/or 1/2, P / Q",
            "HuggingFaceTB/SmolLM2-135M and/or 1/2, P / Q",
        ),
        ("mini/one_world", "mini/one_world"),
        ("E: broke", "E: broke"),
    ],
)
def test_places_are_taken_out_and_nothing_else(text, cleaned):
    assert Privacy(frozenset({"node17"})).text(text) == cleaned
    assert Privacy(frozenset({"node17"})).value({"a": [text, 1.5, None]}) == {
        "a": [cleaned, 1.5, None]
    }


# --- files that are not what they were


def test_a_cut_off_bundle_is_refused_in_one_sentence(own_trio):
    path = Path("a.zip")
    whole = path.read_bytes()
    for data in (whole[:-200], whole[: len(whole) // 2], b"", b"no zip"):
        path.write_bytes(data)
        status, output, errors = nlhf("table", path)
        assert (status, output, errors.count("\n")) == (2, "", 1)
        assert "a.zip is no whole ZIP file" in errors


def test_every_changed_byte_of_a_score_is_noticed(own_trio):
    path = Path("a.zip")
    files = contents(path)
    score = next(name for name in files if name.endswith("scores.parquet"))
    for changed in ({score: files[score][:-1]}, {"extra.json": b"{}"}):
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in (files | changed).items():
                archive.writestr(name, data)
        assert "a.zip was changed after its export" in nlhf("table", path)[2]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            if name != score:
                archive.writestr(name, data)
    assert f"{score} is missing" in nlhf("table", path)[2]


@pytest.mark.parametrize("name", ["../x.json", "/x.json", "a/../../x", "C:\\x", "a//b"])
def test_a_bundle_writes_nowhere_else(own_trio, name):
    path = Path("a.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), "x")
    assert "holds a file that no export wrote" in nlhf("table", path)[2]
    assert not Path("../x.json").exists()


def test_a_score_under_another_key_is_noticed_though_the_manifest_fits(own_trio):
    _, _, cells = own_trio
    path = Path("a.zip")
    files = contents(path)
    name = f"runs/{cells[0].key[:16]}/run.json"
    record = json.loads(files[name])
    record["stages"]["evaluate"] = json.loads(files[f"runs/{cells[1].key[:16]}/run.json"])[
        "stages"
    ]["evaluate"]
    repacked(path, **{name: json.dumps(record).encode()})
    assert "has the scores of another key" in nlhf("table", path)[2]


def test_a_bundle_chooses_no_code(own_trio):
    path = Path("a.zip")
    changed = contents(path)["configs/00000.yaml"].replace(
        b"nlhf_repro.reporting.columns.LedgerTotal", b"antigravity.Column"
    )
    repacked(path, **{"configs/00000.yaml": changed})
    assert "has a column of other code, antigravity.Column" in nlhf("table", path)[2]


def test_a_file_of_another_format_is_refused(own_trio):
    path = Path("a.zip")
    index = json.loads(contents(path)["bundle.json"])
    repacked(path, **{"bundle.json": json.dumps(index | {"format": 99}).encode()})
    assert "has format 99" in nlhf("table", path)[2]
    repacked(path, **{"bundle.json": json.dumps(index | {"format": 1}).encode()})
    assert nlhf("table", path)[0] == 0
    repacked(path, **{"bundle.json": b"[]"})
    assert "is no bundle that this version can read" in nlhf("table", path)[2]
    assert "z.zip does not exist" in nlhf("table", "z.zip")[2]


def test_what_means_nothing_is_refused(own_trio):
    folder, conf, _ = own_trio
    assert "drop it" in nlhf("table", "trio", "--mixed-code", "--config-dir", conf)[2]
    assert "changes no bundle" in nlhf("table", "a.zip", "seeds.values=[1]")[2]
    assert (
        "is a second experiment" in nlhf("table", "trio", "other", "a.zip", "--config-dir", conf)[2]
    )
    assert "call it *.zip" in nlhf("export", "trio", "--config-dir", conf, "--out", "x.tar")[2]
    shutil.rmtree(folder / "outputs" / "runs")
    assert "there is nothing to export" in nlhf("export", "trio", "--config-dir", conf)[2]
