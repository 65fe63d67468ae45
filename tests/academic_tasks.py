"""Tasks of lm-eval that are written for a test, and what is found in the record of one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nlhf_repro.benchmarks.academic.harness import HarnessTasks

LOGITS = {
    "q1": {"a": 2.0, "b": 1.0},
    "q2": {"b": 3.0},
    "q3": {"c": 9.0, "then": 8.0},
    "a": {"c": 1.0, "d": 0.5},
    "b": {"d": 2.5},
    "c": {"d": 9.0},
    "d": {"<eos>": 9.0},
}
PICKS = [  # question, choices, answer, what the logits prefer
    ("q1", ["a", "b"], 0, 0),
    ("q1", ["c", "b", "d"], 0, 1),
    ("q2", ["a", "b"], 1, 1),
    ("q1", ["a c", "b d"], 1, 1),
    ("q1", ["a c", "b e"], 0, 0),
]


def write_task(folder: Path, name: str, documents: Sequence[Mapping[str, Any]], text: str) -> None:
    """A task of lm-eval: its data as JSON lines, and a YAML that names them."""
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(each) + "\n" for each in documents))
    (folder / f"{name}.yaml").write_text(
        f"task: {name}\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {data}}}}}\ntest_split: test\n{text}"
    )


CHOICE = """output_type: multiple_choice
doc_to_text: question
doc_to_choice: choices
doc_to_target: answer
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
ANSWER = """output_type: generate_until
doc_to_text: question
doc_to_target: answer
generation_kwargs: {until: [], do_sample: false, max_gen_toks: 4}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


def picks_and_answers(folder: Path) -> Path:
    """Tasks whose outcome the logits above decide."""
    tasks = folder / "tasks"
    tasks.mkdir()
    documents = [dict(zip(("question", "choices", "answer"), x, strict=False)) for x in PICKS]
    write_task(tasks, "picks", documents, CHOICE)
    answers = [{"question": "a q3", "answer": x, "n": n} for n, x in enumerate(["c d", "c", "c d"])]
    write_task(tasks, "answers", answers, ANSWER)
    return tasks


def shuffling(folder: Path) -> None:
    """A task whose choices are in a random order, by the global state, whenever they are read."""
    (folder / "shuffling.py").write_text(
        "import random, datasets\n"
        "def shuffled(data):\n"
        "    rows = [dict(row) for row in data]\n"
        "    for row in rows:\n"
        "        random.shuffle(row['choices'])\n"
        "        row['answer'] = row['choices'].index('a')\n"
        "    return datasets.Dataset.from_list(rows)\n"
    )
    documents = [{"question": "q1", "choices": list("abcd"), "n": n} for n in range(8)]
    write_task(folder, "order", documents, f"{CHOICE}process_docs: !function shuffling.shuffled\n")


def harness(folder: Path, *tasks: str, **changes: Any) -> HarnessTasks:
    settings: dict[str, Any] = {
        "shots": {}, "metrics": {}, "include_path": str(folder), "limit": None, "batch_size": 2,
        "apply_chat_template": False, "examples": "fixed", "shared_cache": False,
    }  # fmt: skip
    return HarnessTasks(tasks=list(tasks), **(settings | changes))


def samples(record: Path, task: str) -> list[dict[str, Any]]:
    (path,) = record.glob(f"samples_{task}_*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def results(record: Path) -> Path:
    (path,) = record.glob("results_*.json")
    return path
