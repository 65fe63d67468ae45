"""Prompts from a file, and the trainer on another model, another oracle and a file's prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import nlhf

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.models.mini_llama import MiniLlama
from nlhf_repro.prompts.jsonl import JsonLines

LINES = [
    {"prompt": f"say w{n % 7} and w{n}", "topic": n, "response": f"w{n} w1"} for n in range(40)
]


def write(path: Path, lines=LINES) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def family(path: Path, **changes) -> JsonLines:
    return JsonLines(
        str(path), **{"training": 20, "selection": 5, "tuning": 5, "evaluation": 5} | changes
    )


def test_splits_are_disjoint_and_do_not_depend_on_the_order_of_lines(tmp_path: Path) -> None:
    one = family(write(tmp_path / "a.jsonl"))
    other = family(write(tmp_path / "b.jsonl", LINES[::-1]))
    names = ("training", "selection", "tuning", "evaluation")
    splits = [{x.identifier for x in one.prompts(name, 0)} for name in names]
    assert [len(each) for each in splits] == [20, 5, 5, 5]
    assert len(set.union(*splits)) == 35
    assert one.prompts("training", 0) == other.prompts("training", 0)
    assert one.prompts("training", 0) != one.prompts("training", 1)
    assert one.prompts("training", 0)[0].details.keys() == {"topic"}


def test_responses_are_demonstrations_on_training_prompts(tmp_path: Path) -> None:
    one = family(write(tmp_path / "a.jsonl"))
    shown = one.demonstrations(0)
    assert [each.prompt for each in shown] == list(one.prompts("training", 0))
    assert all(each.response.endswith("w1") for each in shown)


def test_equal_prompts_count_once(tmp_path: Path) -> None:
    with pytest.raises(
        ImpossibleSettingError, match="has 40 different prompts, and the splits take 4"
    ):
        family(write(tmp_path / "a.jsonl", LINES * 2), training=30).prompts("training", 0)


def test_equal_texts_under_other_ids_count_once_and_stay_in_one_split(tmp_path: Path) -> None:
    lines = [{"prompt": f"say {n % 10}", "id": n} for n in range(40)]
    path = write(tmp_path / "a.jsonl", lines)
    one = family(path, training=4, selection=2, tuning=2, evaluation=2)
    names = ("training", "selection", "tuning", "evaluation")
    texts = [x.messages for name in names for x in one.prompts(name, 0)]
    assert len(set(texts)) == len(texts) == 10
    clash = write(tmp_path / "b.jsonl", [{"prompt": "x", "id": 1}, {"prompt": "y", "id": 1}])
    with pytest.raises(ImpossibleSettingError, match="has the id 1 of another prompt"):
        family(clash, training=1, selection=1, tuning=1, evaluation=1).prompts("training", 0)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "line 2 of prompts.path = .* is no JSON"),
        ("[1]", "has neither prompt nor messages"),
        ('{"text": "x"}', "has neither prompt nor messages"),
        ('{"prompt": 3}', "is no conversation that ends with the user"),
        ('{"messages": []}', "is no conversation that ends with the user"),
        ('{"messages": [{"role": "assistant", "content": "x"}]}', "ends with the user"),
        ('{"messages": [{"role": "judge", "content": "x"}]}', "ends with the user"),
        ('{"prompt": "x", "response": 1}', "has a response that is no text"),
    ],
)
def test_a_line_that_is_no_prompt_is_named(line: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "fine"}\n' + line + "\n")
    with pytest.raises(ImpossibleSettingError, match=sentence):
        family(path, training=1, selection=1, tuning=1, evaluation=1).prompts("training", 0)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImpossibleSettingError, match="cannot be read"):
        family(tmp_path / "none.jsonl").fingerprint()


ORACLE = '''
from dataclasses import dataclass

import numpy as np

from nlhf_repro.interfaces import ImpossibleSettingError


class LikesShort:
    def preference(self, prompts, first, second):
        gap = np.array([len(b.split()) - len(a.split()) for a, b in zip(first, second)])
        return 1 / (1 + np.exp(-gap.astype(float)))

    def score(self, prompts, responses):
        raise ImpossibleSettingError("it compares only.")


@dataclass(frozen=True)
class Short:
    """Prefers the answer of fewer words."""

    def oracle(self, world):
        return LikesShort()
'''


@pytest.mark.slow
def test_a_saved_model_trains_on_a_files_prompts_by_a_users_oracle(tmp_path: Path) -> None:
    """The trainer of the mini world with every part another one, as a larger run composes it."""
    words = ["say", "and", *(f"w{n}" for n in range(40))]
    model, tokenizer = MiniLlama(16, 1, 2, 24, 64, False).base(words, 0)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    write(tmp_path / "prompts.jsonl")
    (tmp_path / "mine.py").write_text(ORACLE)
    (tmp_path / "conf" / "oracle").mkdir(parents=True)
    (tmp_path / "conf" / "oracle" / "short.yaml").write_text(
        "# Short (ours)\n_target_: mine.Short\n"
    )
    run = [
        *("run", "model=pretrained", "model.name_or_path=model", "prompts=jsonl", "oracle=short"),
        *("prompts.path=prompts.jsonl", "prompts.training=20", "prompts.selection=1"),
        *("prompts.tuning=1", "prompts.evaluation=8", "language=paper", "language.microbatch=64"),
        *("language.max_new_tokens=5", "language.evaluation_samples=8", "language.snapshots=disk"),
        *("benchmark=[oracle_win_rate,response_length]", "tracker=none", "--config-dir", "conf"),
        *(
            "training.iterations=12",
            "training.groups_per_iteration=20",
            "training.minibatch_size=20",
        ),
        *("training.learning_rate=0.01", "algorithm=inpo", "algorithm.gradient_steps=20"),
        *("algorithm.labels=probability", "algorithm.step_size=5"),
    ]
    status, output, errors = nlhf(tmp_path, *run, HF_HUB_OFFLINE="1")
    assert status == 0, errors
    won = float(output.split("oracle_win_rate, last iterate: mean ")[1].split(",")[0])
    assert won > 0.6
    (tmp_path / "prompts.jsonl").write_text((tmp_path / "prompts.jsonl").read_text() + "\n")
    _, again, _ = nlhf(tmp_path, *run, HF_HUB_OFFLINE="1")
    assert "was complete before" not in again  # another file is another run
