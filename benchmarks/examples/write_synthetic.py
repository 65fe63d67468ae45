"""Write the synthetic annotation files of this folder: drawn from seeds, judged by nobody.

Usage: python benchmarks/examples/write_synthetic.py [FOLDER]

The formats are those of alpaca-eval, Arena-Hard v0.1 (the round-robin: v2.0), FastChat's MT-Bench
and lm-eval; the numbers mean nothing. "synthetic-nash" and "synthetic-dpo" have three training runs
each on AlpacaEval's format, with true win rates near 58 and 52 % and an SD of 1 point between runs.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

JUDGE = "synthetic-judge"
QUESTIONS = 200


def main(folder: Path) -> None:
    """Write every file."""
    folder.mkdir(parents=True, exist_ok=True)
    common = np.random.default_rng(0).standard_normal(QUESTIONS)
    for number, (model, share) in enumerate((("synthetic-nash", 0.58), ("synthetic-dpo", 0.52))):
        suited = np.random.default_rng([1, number]).standard_normal(QUESTIONS)
        for seed in range(3):
            rows = alpaca_rows(
                model, share, common, suited, np.random.default_rng([2, number, seed])
            )
            lines(folder / f"synthetic_alpaca_eval_{model[10:]}_seed{seed}.jsonl", rows)
    lines(folder / "synthetic_arena_hard.jsonl", arena_rows(np.random.default_rng(3)))
    lines(folder / "synthetic_round_robin.jsonl", round_robin_rows(np.random.default_rng(6)))
    lines(folder / "synthetic_mt_bench.jsonl", mt_rows(np.random.default_rng(4)))
    academic(folder, np.random.default_rng(5))


def alpaca_rows(
    model: str, share: float, common: Any, suited: Any, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """One training run; longer answers are preferred, and answers are longer than the baseline."""
    run = 0.01 * rng.standard_normal()
    baseline = rng.integers(10, 40, QUESTIONS)
    lengths = np.maximum(1, baseline + rng.integers(-12, 20, QUESTIONS))
    taste = 0.2 * common + 0.08 * suited + 0.15 * rng.standard_normal(QUESTIONS)
    preference = np.clip(share + run + taste + 0.006 * (lengths - baseline - 3.5), 0, 1)
    return [
        {
            "instruction": f"Synthetic question {index:03}.",
            "output_1": letter(index) * int(baseline[index]),
            "generator_1": "synthetic-baseline",
            "output_2": letter(index + 1) * int(lengths[index]),
            "generator_2": model,
            "annotator": JUDGE,
            "preference": round(1 + float(preference[index]), 4),
        }
        for index in range(QUESTIONS)
    ]


def letter(index: int) -> str:
    """What an answer consists of."""
    return chr(ord("a") + index % 26)


def arena_rows(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Two models against the protocol's baseline on 100 questions, two games each."""
    labels = ["A>>B", "A>B", "A=B", "B>A", "B>>A"]
    rows = []
    for model, strength in (("synthetic-nash", 0.3), ("synthetic-dpo", -0.3)):
        for index in range(100):
            quality = strength + rng.standard_normal()
            first, second = (
                int(np.clip(np.round(2 + sign * quality + 0.5 * rng.standard_normal()), 0, 4))
                for sign in (1, -1)
            )
            games = [{"score": labels[place]} for place in (first, second)]
            row = {"question_id": f"synthetic-{index:03}", "model": model, "judge": JUDGE}
            rows.append(row | {"games": games})
    return rows


def round_robin_rows(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Four models, each against every other on 60 questions, two games a pair, in v2.0's form."""
    labels = ["A>>B", "A>B", "A=B", "B>A", "B>>A"]
    strengths = {"nash": 0.5, "dpo": 0.25, "ipo": 0.2, "sft": -0.4}
    own = {name: value + rng.standard_normal(60) for name, value in strengths.items()}
    rows = []
    for model, baseline in itertools.combinations(strengths, 2):
        for index in range(60):
            lead = own[model][index] - own[baseline][index]
            games = [
                int(np.clip(np.round(2 + sign * lead + 0.5 * rng.standard_normal()), 0, 4))
                for sign in (1, -1)
            ]
            row = {"uid": f"synthetic-{index:03}", "category": "hard_prompt", "judge": JUDGE}
            pair = {"model": f"synthetic-{model}", "baseline": f"synthetic-{baseline}"}
            rows.append(row | pair | {"games": [{"score": labels[place]} for place in games]})
    return rows


def mt_rows(rng: np.random.Generator) -> list[dict[str, Any]]:
    """One model on MT-Bench's 80 question numbers, two turns."""
    rows = []
    for question in range(81, 161):
        quality = 7.5 - 2 * (question // 10 % 3 == 1) + rng.standard_normal()
        for turn in (1, 2):
            score = float(np.clip(np.round(quality - 0.4 * turn + rng.standard_normal()), 1, 10))
            prompt = "single-v1" if turn == 1 else "single-v1-multi-turn"
            row = {"question_id": question, "model": "synthetic-nash", "judge": [JUDGE, prompt]}
            rows.append(row | {"turn": turn, "score": score})
    return rows


def academic(folder: Path, rng: np.random.Generator) -> None:
    """A results file of one task with 120 documents, and its samples."""
    right = rng.random(120) < 0.7
    lines(
        folder / "samples_synthetic_task_synthetic_2026-01-01T00-00-00.jsonl",
        [
            {
                "doc_id": index,
                "doc_hash": f"synthetic-{index:03}",
                "filter": "none",
                "metrics": ["acc"],
                "acc": float(value),
            }
            for index, value in enumerate(right)
        ],
    )
    results = {
        "results": {"synthetic_task": {"acc,none": float(np.mean(right))}},
        "n-shot": {"synthetic_task": 0},
        "n-samples": {"synthetic_task": {"original": 120, "effective": 120}},
        "lm_eval_version": "0.4.13",
        "model_name": "synthetic-nash",
    }
    text = json.dumps(results, indent=1) + "\n"
    (folder / "results_synthetic_2026-01-01T00-00-00.json").write_text(text)


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
