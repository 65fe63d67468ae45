"""Speed of scoring: a whole AlpacaEval 2 leaderboard, 223 models with 805 rows each.

Run with `make speed`. Writes synthetic annotations in alpaca-eval's format (drawn from a seed) to a
temporary folder, one file a model, then runs `nlhf score alpaca_eval` on all of them as a user
would: every win rate, the length-controlled one with its cross-validation, and the ranks from all
24,753 paired differences. With `--gamed` the questions and regularising rows are there too, and the
length-controlled rate is `length_controlled_v1`. Prints seconds of wall clock and of processor.
"""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.special import expit

MODELS, QUESTIONS, BASELINE = 223, 805, "gpt4_1106_preview"
GAMED = "index model std_delta_len instruction_difficulty not_gamed_baseline preference"


def write_models(folder: Path, rng: np.random.Generator) -> list[Path]:
    """One annotations.json a model."""
    lengths = rng.lognormal(7, 0.6, QUESTIONS).astype(int)
    difficulty = rng.normal(0, 1.2, QUESTIONS)
    paths = []
    for model in range(MODELS):
        own = (lengths * rng.lognormal(0.1, 0.5, QUESTIONS)).astype(int)
        shape = np.tanh((lengths - own) / np.std(lengths - own))
        logits = 2 - 4 * model / MODELS - shape + 0.5 * difficulty
        preferences = 1 + expit(logits + 2.5 * rng.standard_normal(QUESTIONS))
        rows = [
            {
                "instruction": f"Question {question}",
                "output_1": "b" * int(lengths[question]),
                "generator_1": BASELINE,
                "output_2": "m" * int(own[question]),
                "generator_2": f"model-{model:03}",
                "annotator": "weighted_alpaca_eval_gpt4_turbo",
                "preference": float(preferences[question]),
            }
            for question in range(QUESTIONS)
        ]
        paths.append(folder / f"model-{model:03}.json")
        paths[-1].write_text(json.dumps(rows))
    return paths


def write_reference(folder: Path, rng: np.random.Generator) -> list[str]:
    """The options that name the questions and the gamed rows."""
    questions = [{"instruction": f"Question {each}", "output": "b"} for each in range(QUESTIONS)]
    (folder / "questions.json").write_text(json.dumps(questions))
    difficulty = rng.normal(0, 1.2, QUESTIONS)
    with (folder / "gamed.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(GAMED.split())
        for version, shift in (("verbose", -1.0), ("concise", 1.0)):
            for index, hard in enumerate(difficulty):
                length = shift + 0.5 * rng.standard_normal()
                share = expit(-1.2 * np.tanh(length) + 0.1 * hard + rng.standard_normal())
                writer.writerow([index, f"{BASELINE}_{version}", length, hard, False, share])
    return ["--questions", str(folder / "questions.json"), "--gamed", str(folder / "gamed.csv")]


def main() -> None:
    """Print the seconds of one command."""
    with tempfile.TemporaryDirectory() as name:
        rng = np.random.default_rng(0)
        folder = Path(name)
        paths = [str(path) for path in write_models(folder, rng)]
        options = write_reference(folder, rng) if "--gamed" in sys.argv else []
        command = [sys.executable, "-m", "nlhf_repro", "score", "alpaca_eval", *paths, *options]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    metric = "lc_win_rate" if options else "lc_win_rate_minimal"
    assert done.stdout.count("1 x 805") == MODELS and metric in done.stdout
    print(f"nlhf score alpaca_eval, {MODELS} models x {QUESTIONS} rows, {metric}:")
    print(f"  wall clock {seconds:8.1f} s (target: below 60 s)")
    print(f"  processor  {used.ru_utime + used.ru_stime:8.1f} s")


if __name__ == "__main__":
    main()
