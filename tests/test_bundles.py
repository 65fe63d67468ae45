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
from bundles import nlhf, run_cells, trio, written

from nlhf_repro.pipeline.bundle_files import packed
from nlhf_repro.pipeline.cell import read_run, run_directory
from nlhf_repro.pipeline.files import file_digest, write_json
from nlhf_repro.pipeline.private import Privacy, leaks, secrets


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder, its configurations and its cells, all run into `outputs`; not to be changed."""
    folder = tmp_path_factory.mktemp("trio")
    conf = trio(folder)
    cells = run_cells(conf, folder / "outputs")
    export(conf, folder / "whole.zip", f"output_dir={folder}/outputs")
    return folder, conf, cells


@pytest.fixture
def own(finished, tmp_path, monkeypatch):
    """The same in a folder of the test's own, which is the current one, and its bundle a.zip."""
    folder, conf, cells = finished
    shutil.copytree(folder / "outputs", tmp_path / "outputs")
    shutil.copy(folder / "whole.zip", tmp_path / "a.zip")
    monkeypatch.chdir(tmp_path)
    return tmp_path, conf, cells


def export(conf: Path, name: Path | str, *arguments: str) -> Path:
    status, output, errors = nlhf("export", "trio", "--config-dir", conf, "--out", name, *arguments)
    assert (status, errors) == (0, ""), errors
    assert output.startswith(f"{name}: ")
    return Path(name)


def half(folder: Path, cells, seeds: tuple[int, ...], name: str) -> str:
    """An output folder that has the runs of these seeds alone."""
    shutil.copytree(folder / "outputs", folder / name)
    for cell in cells:
        if cell.seed not in seeds:
            shutil.rmtree(run_directory(folder / name, cell.key))
    return f"output_dir={name}"


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repacked(path: Path, **changed: bytes) -> Path:
    """The bundle with other files, and a manifest that fits: what a careful forger would write."""
    files = {k: v for k, v in contents(path).items() if k != "MANIFEST.json"}
    path.write_bytes(packed(files | changed))
    return path


# --- a round trip


def test_the_table_of_a_bundle_is_that_of_its_folder_to_the_byte(own):
    folder, conf, _ = own
    status, output, _ = nlhf("table", "trio", "--config-dir", conf)
    tables = written(folder / "outputs")
    shutil.rmtree(folder / "outputs")
    assert status == 0 and "| INPO" in output
    assert nlhf("table", "a.zip")[:2] == (0, output)
    again = written(folder / "outputs")
    assert set(again) == {"trio.md", "trio.tex", "trio.csv"}
    assert again == {name: tables[name] for name in again}


def test_equal_records_give_equal_bytes_wherever_they_lie(own):
    _, conf, _ = own
    assert export(conf, "b.zip").read_bytes() == Path("a.zip").read_bytes()


def test_unpacked_a_bundle_is_an_output_folder(own):
    folder, conf, _ = own
    with zipfile.ZipFile("a.zip") as archive:
        archive.extractall(folder / "there")
    found = nlhf("table", "trio", "--config-dir", conf, "output_dir=there")
    assert found[:2] == (0, nlhf("table", "a.zip")[1])


def test_rows_of_a_bundle_are_compared(own):
    _, conf, _ = own
    status, output, errors = nlhf("compare", "a.zip:INPO", "a.zip:SPPO", "--metric", "gap")
    assert status == 0, errors
    here = nlhf("compare", "trio:INPO", "trio:SPPO", "--metric", "gap", "--config-dir", conf)[1]
    assert output.replace("a.zip", "trio") == here


# --- what must not leave


def test_no_path_host_process_or_policy_is_in_it(own):
    folder, conf, cells = own
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


def test_a_secret_in_a_record_stops_the_export(own, monkeypatch):
    folder, conf, cells = own
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
        ("mini/quickstart", "mini/quickstart"),
        ("E: broke", "E: broke"),
    ],
)
def test_places_are_taken_out_and_nothing_else(text, cleaned):
    assert Privacy(frozenset({"node17"})).text(text) == cleaned
    assert Privacy(frozenset({"node17"})).value({"a": [text, 1.5, None]}) == {
        "a": [cleaned, 1.5, None]
    }


# --- files that are not what they were


def test_a_cut_off_bundle_is_refused_in_one_sentence(own):
    path = Path("a.zip")
    whole = path.read_bytes()
    for data in (whole[:-200], whole[: len(whole) // 2], b"", b"no zip"):
        path.write_bytes(data)
        status, output, errors = nlhf("table", path)
        assert (status, output, errors.count("\n")) == (2, "", 1)
        assert "a.zip is no whole ZIP file" in errors


def test_every_changed_byte_of_a_score_is_noticed(own):
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
def test_a_bundle_writes_nowhere_else(own, name):
    path = Path("a.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), "x")
    assert "holds a file that no export wrote" in nlhf("table", path)[2]
    assert not Path("../x.json").exists()


def test_a_score_under_another_key_is_noticed_though_the_manifest_fits(own):
    _, _, cells = own
    path = Path("a.zip")
    files = contents(path)
    name = f"runs/{cells[0].key[:16]}/run.json"
    record = json.loads(files[name])
    record["stages"]["evaluate"] = json.loads(files[f"runs/{cells[1].key[:16]}/run.json"])[
        "stages"
    ]["evaluate"]
    repacked(path, **{name: json.dumps(record).encode()})
    assert "has the scores of another key" in nlhf("table", path)[2]


def test_a_bundle_chooses_no_code(own):
    path = Path("a.zip")
    changed = contents(path)["configs/00000.yaml"].replace(
        b"nlhf_repro.reporting.columns.LedgerTotal", b"antigravity.Column"
    )
    repacked(path, **{"configs/00000.yaml": changed})
    assert "has a column of other code, antigravity.Column" in nlhf("table", path)[2]


def test_a_file_of_another_format_is_refused(own):
    path = Path("a.zip")
    index = json.loads(contents(path)["bundle.json"])
    repacked(path, **{"bundle.json": json.dumps(index | {"format": 99}).encode()})
    assert "has format 99" in nlhf("table", path)[2]
    repacked(path, **{"bundle.json": b"[]"})
    assert "is no bundle that this version can read" in nlhf("table", path)[2]
    assert "z.zip does not exist" in nlhf("table", "z.zip")[2]


# --- merging


def test_two_halves_are_the_whole(own):
    folder, conf, cells = own
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


def test_one_key_with_two_scores_is_a_contradiction(own):
    folder, conf, cells = own
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


def other_code(path: Path, name: str, commit: str) -> Path:
    """The bundle as another version would have written it: every key is another."""
    files = {k: v for k, v in contents(path).items() if k != "MANIFEST.json"}
    index = json.loads(files["bundle.json"])
    index["made_with"]["commit"] = {"hash": commit * 40, "dirty": False}
    text = json.dumps(index)
    moved: dict[str, bytes] = {}
    from nlhf_repro.pipeline.files import digest

    for cell in index["cells"]:
        old = json.loads(files[f"runs/{cell['key'][:16]}/run.json"])
        stages = {
            "train": digest(["other", old["stages"]["train"]]),
            "evaluate": {k: digest(["other", x]) for k, x in old["stages"]["evaluate"].items()},
        }
        key = digest(stages)
        text = text.replace(cell["key"], key)
        named = {**old["stages"], **stages}
        record = old | {"key": key, "stages": named}
        moved[f"runs/{key[:16]}/run.json"] = json.dumps(record).encode()
        pairs = [("train", old["stages"]["train"], stages["train"])]
        pairs += [
            ("evaluate", x, stages["evaluate"][k]) for k, x in old["stages"]["evaluate"].items()
        ]
        for stage, before, after in pairs:
            prefix = f"stages/{stage}-{before[:16]}/"
            for each, data in files.items():
                if each.startswith(prefix):
                    data = data.replace(before.encode(), after.encode())
                    moved[f"stages/{stage}-{after[:16]}/{each.removeprefix(prefix)}"] = data
    kept = {k: v for k, v in files.items() if k.startswith("configs/")}
    Path(name).write_bytes(packed(kept | moved | {"bundle.json": text.encode()}))
    return Path(name)


def test_other_code_is_told_apart_and_mixed_only_where_asked(own):
    folder, conf, cells = own
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


def test_other_settings_are_never_mixed(own):
    path = other_code(Path("a.zip"), "other.zip", "f")
    name = "configs/00000.yaml"
    changed = contents(path)[name].replace(b"iterations: 3", b"iterations: 4")
    repacked(path, **{name: changed})
    status, output, errors = nlhf("table", "a.zip", "other.zip", "--mixed-code")
    assert (status, output) == (2, "")
    assert "training.iterations is 3 against 4" in errors


def test_what_was_declared_otherwise_is_not_merged(own):
    _, conf, _ = own
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


def test_a_failure_stays_and_one_that_another_machine_completed_is_said(own):
    folder, conf, cells = own
    record = run_directory(folder / "outputs", cells[0].key)
    write_json(record / "run.json", read_run(record) | {"status": "failed", "error": "E: broke"})
    export(conf, "b.zip")
    status, output, errors = nlhf("table", "b.zip")
    assert status == 1 and "nlhf: failed: INPO, seed 0: E: broke" in errors
    assert "| failed" in output
    status, output, _ = nlhf("table", "a.zip", "b.zip")
    assert status == 0
    assert "INPO, seed 0, failed in b.zip and is complete in a.zip: E: broke" in output


def test_what_means_nothing_is_refused(own):
    folder, conf, _ = own
    assert "drop it" in nlhf("table", "trio", "--mixed-code", "--config-dir", conf)[2]
    assert "changes no bundle" in nlhf("table", "a.zip", "seeds.values=[1]")[2]
    assert (
        "is a second experiment" in nlhf("table", "trio", "other", "a.zip", "--config-dir", conf)[2]
    )
    assert "call it *.zip" in nlhf("export", "trio", "--config-dir", conf, "--out", "x.tar")[2]
    shutil.rmtree(folder / "outputs" / "runs")
    assert "there is nothing to export" in nlhf("export", "trio", "--config-dir", conf)[2]
