"""Weights on disk: lazily read, written whole or not at all, and never guessed at."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from language_models import mini_policy

from nlhf_repro.interfaces import ImpossibleSettingError, Snapshot
from nlhf_repro.models import snapshots
from nlhf_repro.models.responses import ResponseBank
from nlhf_repro.models.snapshots import (
    DiskParameters,
    read_snapshot,
    write_parameters,
    write_snapshot,
)


def written(folder: Path) -> Path:
    path = folder / "deep" / "weights.safetensors"
    write_parameters(path, {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(1000)})
    return path


def test_tensors_come_back_by_name(tmp_path: Path) -> None:
    found = DiskParameters(written(tmp_path))
    assert dict(found).keys() == {"a", "b"} and len(found) == 2
    assert torch.equal(found["a"], torch.arange(6.0).view(2, 3))
    assert "c" not in found
    with pytest.raises(KeyError):
        found["c"]
    assert os.listdir(tmp_path / "deep") == ["weights.safetensors"]


def test_a_policy_takes_a_snapshot_from_disk_for_one_in_memory(tmp_path: Path) -> None:
    policy = mini_policy()
    kept = policy.snapshot({})
    write_parameters(tmp_path / "weights.safetensors", kept.parameters)
    disk = Snapshot(DiskParameters(tmp_path / "weights.safetensors"), {})
    prompts = torch.arange(5)[None]
    drawn = [
        policy.sample([(each, 1.0)], 1.0, prompts, 2, np.random.default_rng(0))
        for each in (kept, disk)
    ]
    assert torch.equal(*drawn)
    first = drawn[0][:, :, 0]
    scores = [policy.frozen_log_prob(each, prompts, first) for each in (kept, disk)]
    assert torch.equal(*scores)
    with torch.no_grad():
        for value in policy.parameters():
            value.zero_()
    policy.load(disk)
    assert torch.equal(policy.log_prob(prompts, first).detach(), scores[0])


def test_parts_of_one_tensor_are_written_as_they_are(tmp_path: Path) -> None:
    whole = torch.arange(6.0).view(2, 3)
    write_parameters(
        tmp_path / "w", {"rows": whole[1], "turned": whole.T, "whole": whole, "same": whole}
    )
    found = DiskParameters(tmp_path / "w")
    assert torch.equal(found["rows"], whole[1]) and torch.equal(found["turned"], whole.T)
    assert torch.equal(found["whole"], whole) and torch.equal(found["same"], whole)


def test_files_that_are_no_weights_are_named_in_one_sentence(tmp_path: Path) -> None:
    whole = written(tmp_path).read_bytes()
    foreign = tmp_path / "foreign"
    cases = {
        "missing": None,
        "empty": b"",
        "header": whole[:20],
        "truncated": whole[:-100],
        "longer": whole + b"x",
        "foreign": pickle.dumps({"a": [1.0] * 50}),
    }
    for name, content in cases.items():
        path = foreign.with_name(name)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ImpossibleSettingError, match=name) as refused:
            DiskParameters(path)
        assert "run the command that wrote it again" in " ".join(str(refused.value).split())
        assert "\n" not in str(refused.value)


def test_a_write_that_fails_leaves_the_file_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)
    before = path.read_bytes()

    def full(tensors: object, partial: Path, metadata: object) -> None:
        partial.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(snapshots, "save_file", full)
    with pytest.raises(OSError, match="no space"):
        write_parameters(path, {"a": torch.zeros(2)})
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_training_goes_on_from_disk_as_from_memory(tmp_path: Path) -> None:
    ends = []
    for through_disk in (False, True):
        policy = mini_policy()
        numbers = policy.encode(torch.tensor([[0, 1]]), ["w1 w2", "w3"])
        optimizer = torch.optim.AdamW(list(policy.parameters()), lr=1e-2)

        def step(policy=policy, numbers=numbers, optimizer=optimizer) -> None:
            optimizer.zero_grad()
            (-policy.log_prob(torch.tensor([[0, 1]]), numbers).sum()).backward()
            optimizer.step()

        step()
        kept = policy.snapshot(optimizer.state_dict())
        if through_disk:
            write_snapshot(tmp_path / "s", kept)
            kept = read_snapshot(tmp_path / "s")
        step()
        policy.load(kept)
        optimizer.load_state_dict(dict(kept.optimizer_state))
        step()
        ends.append([value.detach().clone() for value in policy.parameters()])
    assert all(map(torch.equal, *ends))


def test_an_optimizer_s_state_comes_back_as_it_was(tmp_path: Path) -> None:
    policy = mini_policy()
    state = {
        "state": {0: {"step": torch.tensor(3.0)}},
        "groups": [{"betas": (0.9, 1.0), "x": None}],
    }
    write_snapshot(tmp_path / "s", policy.snapshot(state))
    found = read_snapshot(tmp_path / "s")
    assert found.optimizer_state["state"].keys() == {0}
    assert torch.equal(found.optimizer_state["state"][0]["step"], torch.tensor(3.0))
    assert found.optimizer_state["groups"] == state["groups"]
    assert set(found.parameters) == set(policy.snapshot({}).parameters)
    with pytest.raises(TypeError, match="set"):
        write_snapshot(tmp_path / "t", policy.snapshot({"a": {1}}))
    write_parameters(tmp_path / "plain", policy.snapshot({}).parameters)
    with pytest.raises(ImpossibleSettingError, match="no optimizer's state"):
        read_snapshot(tmp_path / "plain")


def test_responses_are_numbered_once() -> None:
    bank = ResponseBank()
    numbers = bank.add([0, 1, 0, 0], [[5, 1], [5, 1], [5, 1], [5]])
    assert numbers.tolist() == [0, 1, 0, 2] and numbers.dtype == torch.int64
    assert bank.prompt(numbers.view(2, 2)).tolist() == [[0, 1], [0, 0]]
    assert bank.tokens(0).tolist() == [5, 1]
    with pytest.raises(ValueError, match="without tokens"):
        bank.add([0], [[]])


def test_forgotten_responses_free_memory_and_no_number() -> None:
    bank = ResponseBank()
    numbers = bank.add([0, 0, 0], [[1], [2], [3]])
    bank.keep(numbers[1:2])
    assert len(bank) == 1 and bank.tokens(1).tolist() == [2]
    with pytest.raises(KeyError, match="response 0"):
        bank.tokens(0)
    assert bank.add([0, 0], [[1], [2]]).tolist() == [3, 1]


def test_a_bank_goes_on_where_it_was_exported() -> None:
    bank = ResponseBank()
    bank.add([4, 0, 2], [[1, 2, 3], [2], [3, 3]])
    bank.keep([0, 2])
    other = ResponseBank()
    other.add([9], [[9]])
    other.restore(bank.export())
    for each in (bank, other):
        assert each.add([4, 0], [[1, 2, 3], [2]]).tolist() == [0, 3]
        assert each.tokens(2).tolist() == [3, 3] and each.prompt(torch.tensor(2)) == 2
        assert len(each) == 3
    empty = ResponseBank()
    empty.restore(ResponseBank().export())
    assert len(empty) == 0 and empty.add([0], [[1]]).tolist() == [0]
