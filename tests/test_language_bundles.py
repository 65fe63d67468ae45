"""Bundles of language models: no weights, texts only where asked for, rows against each other."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from comparisons import BOTH, copy_of, record_of
from mini_world import run_tiny, tiny_overrides

from nlhf_repro.cells import single_cell
from nlhf_repro.pipeline.bundle_contents import Exported, bundle_contents
from nlhf_repro.pipeline.bundle_files import UnusableBundleError, packed
from nlhf_repro.pipeline.bundle_merging import merged
from nlhf_repro.pipeline.bundles import read_bundle
from nlhf_repro.pipeline.cell import run_directory
from nlhf_repro.pipeline.language.comparison import NotComparedError
from nlhf_repro.pipeline.records import DeclaredCell
from nlhf_repro.reporting import render_round_robin, table_specification, to_csv
from nlhf_repro.verbs.bundled import BundledExperiment

CHOSEN = {"benchmark": "[oracle_win_rate,mt_bench_mini]"}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A tiny cell whose answers a judge rates, as an experiment of one cell."""
    folder = tmp_path_factory.mktemp("judged bundle")
    result = run_tiny(folder, **CHOSEN)
    config = single_cell([*tiny_overrides(**CHOSEN), f"output_dir={folder}"]).config
    cell = DeclaredCell("row", 0, 0, result.key, {**config, "row": "row"})
    return Exported("one", (), (cell,), folder, None)


def stages_of(files) -> set[str]:
    return {name.split("/")[1].partition("-")[0] for name in files if name.startswith("stages/")}


def test_weights_never_leave_and_texts_only_where_asked_for(judged):
    plain, whole = bundle_contents(judged, texts=False), bundle_contents(judged, texts=True)
    assert stages_of(plain) == {"train", "evaluate"}
    assert stages_of(whole) == {"train", "evaluate", "sample", "answer", "judge"}
    assert not any("upstream" in name or "samples.parquet" in name for name in plain)
    for name in ("samples.parquet", "answers.parquet", "judgments.parquet"):
        assert any(each.endswith(name) for each in whole)
    assert any("/upstream/last/draw-0/" in name for name in whole)
    for files in (plain, whole):
        assert not any(name.endswith((".safetensors", ".pt", ".bin")) for name in files)
        assert any(name.endswith("training.jsonl") for name in files)
        assert str(judged.output_dir).encode() not in b"".join(files.values())
    assert set(plain) < set(whole) and sum(map(len, plain.values())) < 400_000


def test_a_secret_that_a_policy_answered_stops_the_export_of_texts_alone(judged, monkeypatch):
    from nlhf_repro.pipeline.keys import sample_key
    from nlhf_repro.pipeline.language.samples import first_samples

    folder = judged.output_dir / "stages" / f"sample-{sample_key(judged.cells[0].config)[:16]}"
    columns, rows = first_samples(folder, 6)
    answer = max((row[columns.index("response")] for row in rows), key=len)
    assert len(answer) >= 8
    monkeypatch.setenv("A_SECRET", answer)
    bundle_contents(judged, texts=False)
    with pytest.raises(UnusableBundleError, match=r"the value of \$A_SECRET"):
        bundle_contents(judged, texts=True)


@pytest.fixture
def compared(compared_rows, tmp_path):
    folder, cells = copy_of(compared_rows, tmp_path / "own")
    return folder, Exported("meeting", (), tuple(cells), folder, BOTH)


def bundled(tmp_path, *exported: Exported) -> BundledExperiment:
    sources = []
    for number, each in enumerate(exported):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(packed(bundle_contents(each, texts=False)))
        sources.append(read_bundle(path, tmp_path / f"unpacked {number}"))
    found = merged(sources, False, tmp_path / "merged")
    node = dict(exported[0].cells[0].config["table"])
    specification = replace(table_specification(node), round_robin=BOTH)
    return BundledExperiment(found, specification, tmp_path / "tables")


def test_rows_against_each_other_are_those_of_the_folder_to_the_byte(compared, tmp_path):
    folder, exported = compared
    experiment = bundled(tmp_path, exported)
    found = experiment.round_robin(experiment.records())
    expected = record_of(folder, exported.cells, BOTH)
    texts = [to_csv(render_round_robin(x, "t", 0.95)) for x in (found, expected)]
    assert texts[0] == texts[1] and "INPO" in texts[0]
    names = {path.name for path in (tmp_path / "unpacked 0" / "stages").glob("compare-*/*")}
    assert names == {"won.npy", "responders.npy", "truth.npy", "manifest.json"}


def test_rows_that_no_machine_has_compared_are_not(compared, tmp_path):
    folder, exported = compared
    halves = []
    for seed in (0, 1):
        place = tmp_path / f"machine {seed}"
        shutil.copytree(folder, place)
        for cell in exported.cells:
            if cell.seed != seed:
                shutil.rmtree(run_directory(place, cell.key))
        halves.append(replace(exported, output_dir=place))
    experiment = bundled(tmp_path, *halves)
    records = experiment.records()
    assert all(record.seeds == (0, 1) for record in records)
    with pytest.raises(NotComparedError, match="no bundle has these rows compared at seed 0"):
        experiment.round_robin(records)
