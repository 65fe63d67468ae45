"""Our `upstream` mode against the installed alpaca-eval, faults included."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import alpaca_rows
import numpy as np
import pytest

from nlhf_repro.benchmarks.alpaca_eval import (
    UpstreamNumbers,
    length_controlled_win_rate,
    read_annotations,
    read_gamed_rows,
    read_reference,
    upstream_numbers,
)
from nlhf_repro.interfaces import UnusableAnnotationsError

COUNT = 120
OFFICIAL = """
import json, sys
from pathlib import Path
from alpaca_eval.metrics import glm_winrate
folder = Path(sys.argv[1])
glm_winrate.hf_hub_download = lambda **_: str(folder / "df_gamed.csv")
found = {}
for path in sorted(folder.glob("case_*.json")):
    for glm in glm_winrate.GLM_INFO:
        rows = json.loads(path.read_text())
        try:
            numbers = glm_winrate.get_length_controlled_winrate(
                rows, glm_name=glm, save_weights_dir=None
            )
            found[f"{path.stem} {glm}"] = {key: float(value) for key, value in numbers.items()}
        except Exception as error:
            found[f"{path.stem} {glm}"] = {"error": type(error).__name__}
(folder / "official.json").write_text(json.dumps(found))
"""


def cases() -> dict[str, alpaca_rows.Rows]:
    rng = np.random.default_rng(3)
    plain = alpaca_rows.annotations(COUNT)
    return {
        "plain": plain,
        "longer": alpaca_rows.annotations(COUNT, 1, strength=1.5, longer=2.5),
        "weak": alpaca_rows.annotations(COUNT, 2, strength=-4.0, length_effect=0.0),
        "shuffled": [plain[index] for index in rng.permutation(COUNT)],
        "rows_missing": plain[:17] + plain[20:90] + plain[95:],
        "null_preferences": changed(plain, range(0, 30, 3), None),
        "nan_preferences": changed(plain, range(10, 15), float("nan")),
        "zero_draws": changed(plain, range(5, 40), 0),
        "discrete": [row | {"preference": 1 + round(row["preference"] - 1)} for row in plain],
        "near_draws": changed(changed(plain, range(9), 1.5000001), range(9, 20), 1.5),
        "itself": [row | {"generator_2": alpaca_rows.BASELINE} for row in plain],
        "one_wins_all": changed(plain, range(COUNT), 2.0),
        "equal_lengths": [row | {"output_2": row["output_1"]} for row in plain],
        "single_row": plain[:1],
        "too_many_rows": alpaca_rows.annotations(COUNT + 1, 4),
    }


def changed(rows: alpaca_rows.Rows, places: range, preference: float | None) -> alpaca_rows.Rows:
    return [
        row | {"preference": preference} if place in places else row
        for place, row in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alpaca")
    alpaca_rows.write_gamed(folder / "df_gamed.csv", COUNT)
    alpaca_rows.write_questions(folder / "questions.json", COUNT)
    for name, rows in cases().items():
        alpaca_rows.write(folder / f"case_{name}.json", rows)
    return folder


@pytest.fixture(scope="module")
def official(folder: Path) -> dict[str, dict[str, float]]:
    """A process of its own: importing alpaca-eval changes the root logger."""
    subprocess.run([sys.executable, "-c", OFFICIAL, str(folder)], check=True, cwd=folder)
    return json.loads((folder / "official.json").read_text())


def ours(folder: Path, case: str, glm: str) -> UpstreamNumbers:
    gamed = read_gamed_rows(folder / "df_gamed.csv")
    (numbers,) = upstream_numbers(folder / f"case_{case}.json", glm, gamed).values()
    return numbers


@pytest.mark.slow
@pytest.mark.parametrize(
    "glm", ["length_controlled_v1", "length_controlled_noreg", "length_controlled_minimal"]
)
@pytest.mark.parametrize("case", cases())
def test_upstream_mode_prints_what_alpaca_eval_prints(
    folder: Path, official: dict[str, dict[str, float]], case: str, glm: str
) -> None:
    theirs = official[f"case_{case} {glm}"]
    if (case, glm) == ("too_many_rows", "length_controlled_minimal"):
        assert "error" in theirs  # it looks up difficulties that this formula does not use
        assert 0 < ours(folder, case, glm).length_controlled_winrate < 100
        return
    if "error" in theirs:
        with pytest.raises(UnusableAnnotationsError):
            ours(folder, case, glm)
        return
    numbers = asdict(ours(folder, case, glm))
    assert set(numbers) == set(theirs)
    for name, value in numbers.items():
        tolerance = 1e-6 if name in ("length_controlled_winrate", "lc_standard_error") else 1e-9
        assert value == pytest.approx(theirs[name], abs=tolerance, rel=0, nan_ok=True), name


@pytest.mark.slow
def test_the_default_mode_differs_by_little_where_upstream_is_right(
    folder: Path, official: dict[str, dict[str, float]]
) -> None:
    reference = read_reference(folder / "questions.json", folder / "df_gamed.csv")
    for case in ("plain", "longer", "weak"):
        (model,) = read_annotations(folder / f"case_{case}.json", reference.questions)
        difficulties = np.array([reference.difficulties[text] for text in model.questions])
        found = length_controlled_win_rate(
            model.preferences, model.length_differences, difficulties, reference.gamed
        )
        theirs = official[f"case_{case} length_controlled_v1"]
        assert found.estimate == pytest.approx(theirs["length_controlled_winrate"], abs=0.16)
        assert found.standard_error > 1.2 * theirs["lc_standard_error"]


def test_order_moves_the_upstream_number(folder: Path) -> None:
    plain, shuffled = (ours(folder, case, "length_controlled_v1") for case in ("plain", "shuffled"))
    assert plain.win_rate == pytest.approx(shuffled.win_rate, abs=1e-9)
    gap = abs(plain.length_controlled_winrate - shuffled.length_controlled_winrate)
    assert gap > 0.1


def test_the_minimal_fit_prints_a_standard_error_of_zero(folder: Path) -> None:
    assert ours(folder, "plain", "length_controlled_minimal").lc_standard_error < 1e-12


def test_upstream_mode_needs_gamed_rows_and_outputs(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="df_gamed"):
        upstream_numbers(folder / "case_plain.json", "length_controlled_v1")
    rows = alpaca_rows.annotations(9)
    del rows[3]["output_1"]
    path = alpaca_rows.write(tmp_path / "annotations.json", rows)
    with pytest.raises(UnusableAnnotationsError, match="without an output"):
        upstream_numbers(path, "length_controlled_minimal")
    rows[3]["preference"] = "model"
    path = alpaca_rows.write(tmp_path / "annotations.json", rows)
    with pytest.raises(UnusableAnnotationsError, match="no number"):
        upstream_numbers(path, "length_controlled_minimal")


def test_one_judgment_has_no_standard_error(folder: Path) -> None:
    rows = [row | {"generator_2": alpaca_rows.BASELINE} for row in alpaca_rows.annotations(1)]
    path = alpaca_rows.write(folder / "one.json", rows)
    (numbers,) = upstream_numbers(path, "length_controlled_minimal").values()
    assert math.isnan(numbers.standard_error)
    assert numbers.length_controlled_winrate == 50
