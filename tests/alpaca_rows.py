"""Synthetic AlpacaEval files: annotations, questions and gamed rows, all drawn from seeds."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

JUDGE = "weighted_alpaca_eval_gpt4_turbo"
BASELINE = "gpt4_1106_preview"
COLUMNS = "index model std_delta_len instruction_difficulty not_gamed_baseline preference"
Rows = list[dict[str, Any]]


def instructions(count: int) -> list[str]:
    """In an order that sorting would change."""
    return [f"Explain item {(37 * index) % count} of {count}." for index in range(count)]


def difficulties(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(0.3, 1.2, count).round(9)


def annotations(
    count: int = 60,
    seed: int = 0,
    model: str = "ours",
    strength: float = -0.4,
    length_effect: float = -1.0,
    longer: float = 1.2,
) -> Rows:
    """Preferences from the model of the length-controlled fit with noise, in the official order."""
    rng = np.random.default_rng(seed)
    baseline = rng.lognormal(5, 0.6, count).astype(int)
    evaluated = (baseline * rng.lognormal(np.log(longer), 0.5, count)).astype(int)
    gap = baseline - evaluated
    scale = gap.std() or 1
    logits = length_effect * np.tanh(gap / scale) + 0.5 * difficulties(count) + strength
    shares = expit(logits + 2.5 * rng.standard_normal(count))
    return [
        {
            "instruction": instruction,
            "output_1": "b" * int(baseline[index]),
            "generator_1": BASELINE,
            "output_2": "m" * int(evaluated[index]),
            "generator_2": model,
            "annotator": JUDGE,
            "preference": float(1 + shares[index]),
        }
        for index, instruction in enumerate(instructions(count))
    ]


def write(path: Path, rows: Any) -> Path:
    path.write_text(json.dumps(rows))
    return path


def write_gamed(path: Path, count: int = 60, seed: int = 5) -> Path:
    """`df_gamed.csv`: a verbose and a concise version of the baseline."""
    rng = np.random.default_rng(seed)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS.split())
        for version, shift in (("verbose", -1.0), ("concise", 1.0)):
            for index, difficulty in enumerate(difficulties(count)):
                length = shift + 0.5 * rng.standard_normal()
                logit = -1.2 * np.tanh(length) + 0.1 * difficulty + rng.standard_normal()
                name = f"{BASELINE}_{version}"
                writer.writerow([index, name, length, difficulty, False, expit(logit)])
    return path


def write_questions(path: Path, count: int = 60) -> Path:
    return write(path, [{"instruction": text, "output": "b"} for text in instructions(count)])
