"""Finished policies against each other: what is computed, once, and what of it is new."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from comparisons import BOTH, POOL, ROWS, TRAINED, at, compared, copy_of, record_of, stages

from nlhf_repro.benchmarks.oracle_exploitability import OracleExploitability
from nlhf_repro.benchmarks.oracle_win_rate import OracleWinRate
from nlhf_repro.benchmarks.round_robin import (
    BEST_OF_REFERENCE,
    TARGETED_REFERENCE,
    pool_exploitability,
    round_robin,
)
from nlhf_repro.pipeline.cell import stage_store
from nlhf_repro.pipeline.keys import reference_sample_key, sample_key, train_key
from nlhf_repro.pipeline.language.comparison import (
    REFERENCE_RESPONDERS,
    is_compared,
    read_comparison,
)
from nlhf_repro.pipeline.language.comparison_keys import (
    pair_key,
    reference_pair_key,
    responder_key,
    responder_sample_key,
)
from nlhf_repro.pipeline.language.comparison_stages import last_answers
from nlhf_repro.pipeline.language.task import LanguageTask


@pytest.fixture
def copied(compared_rows, tmp_path):
    """The same in a folder of the test's own."""
    return copy_of(compared_rows, tmp_path / "own")


def answers_of(folder, config, key):
    task = LanguageTask(config, None)
    store = stage_store(folder)
    return last_answers(store.folder("sample", key), task.prompts("evaluation"))


# --- what the numbers are


def test_the_matrix_is_symmetric_and_that_of_the_stored_answers(compared_rows):
    folder, cells, _ = compared_rows
    record = record_of(folder, cells)
    assert record.labels == ROWS and record.wins.shape == (2, 4, 4, 10)
    np.testing.assert_array_equal(record.wins + np.swapaxes(record.wins, 1, 2), 1)
    for seed in (0, 1):
        configs = list(at(cells, seed).values())
        samples = [answers_of(folder, config, sample_key(config)) for config in configs]
        reference = answers_of(folder, configs[0], reference_sample_key(configs[0]))
        oracle = LanguageTask(configs[0], None).oracle()
        direct = round_robin(samples, oracle)
        np.testing.assert_allclose(record.wins[seed, :3, :3], direct, atol=1e-12)
        for row, policy in enumerate(samples):  # the column of the first table's win rate
            rate = OracleWinRate().score_samples(policy, reference, oracle)
            np.testing.assert_allclose(record.wins[seed, row, 3], rate, atol=1e-12)
    assert record.wins.std() > 0.05
    assert not np.allclose(record.wins[0], record.wins[1])


def test_the_pool_and_the_truth_are_those_of_the_benchmarks(compared_rows):
    folder, cells, _ = compared_rows
    record = record_of(folder, cells)
    for seed in (0, 1):
        configs = list(at(cells, seed).values())
        samples = [answers_of(folder, config, sample_key(config)) for config in configs]
        reference = answers_of(folder, configs[0], reference_sample_key(configs[0]))
        oracle = LanguageTask(configs[0], None).oracle()
        pool = pool_exploitability(samples, reference, oracle)
        np.testing.assert_allclose(record.bound[seed], pool.values, atol=1e-12)
        np.testing.assert_array_equal(record.half, pool.half)
        one = read_comparison(at(cells, seed), POOL, stage_store(folder))
        names = {**dict(enumerate(ROWS)), BEST_OF_REFERENCE: REFERENCE_RESPONDERS[0]}
        names[TARGETED_REFERENCE] = REFERENCE_RESPONDERS[1]
        for label, chosen in zip(ROWS, pool.chosen, strict=True):
            assert sorted(one.chosen[label].elements()) == sorted(names[int(x)] for x in chosen)
        for row, policy in enumerate(samples):
            exact = OracleExploitability().score_samples(policy, reference, oracle)
            np.testing.assert_allclose(record.truth[seed, row], exact, atol=1e-12)


def test_every_responder_meets_every_policy(compared_rows):
    folder, cells, _ = compared_rows
    record = record_of(folder, cells, BOTH)
    rows = at(cells, 0)
    configs = list(rows.values())
    keys = [responder_sample_key(config, TRAINED) for config in configs]
    responders = [answers_of(folder, configs[0], key) for key in keys]
    policies = [answers_of(folder, config, sample_key(config)) for config in configs]
    oracle = LanguageTask(configs[0], None).oracle()
    for row, policy in enumerate(policies):
        gained = round_robin([responders[row], policy], oracle)[0, 1] - 0.5
        np.testing.assert_allclose(record.trained[0, row], gained, atol=1e-12)
    met = {path.name for path in (folder / "stages").glob("compare-*")}
    for key in keys:
        for config in configs:
            pair = pair_key(configs[0], *sorted((key, sample_key(config))))
            assert f"compare-{pair[:16]}" in met
    alone = record_of(folder, cells, POOL)
    assert alone.trained is None and "trained against INPO" not in str(alone.chosen)


def test_a_trained_responder_in_the_pool_is_chosen_where_it_gains_most(compared_rows, monkeypatch):
    """The pool's numbering is the names': rows, the reference's two, trained ones."""
    folder, cells, _ = compared_rows
    store, rows = stage_store(folder), at(cells, 0)
    config = rows["SPPO"]
    first, second = responder_sample_key(rows["INPO"], TRAINED), sample_key(config)
    ordered = tuple(sorted((first, second)))
    path = store.folder("compare", pair_key(config, *ordered)) / "won.npy"
    load = np.load

    def rigged(file, *arguments):
        if file == path:
            return np.full(10, 1.0 if ordered[0] == first else 0.0)
        return load(file, *arguments)

    monkeypatch.setattr(np, "load", rigged)
    found = read_comparison(rows, BOTH, store)
    assert dict(found.chosen["SPPO"]) == {"trained against INPO": 2}
    np.testing.assert_array_equal(found.bound[2], 0.5)


# --- computed once


def test_a_second_call_computes_nothing(copied):
    folder, cells = copied
    kinds = ("compare", "responder", "sample", "train", "fine_tune")
    before = stages(folder, *kinds)
    assert len([x for x in before if "/responder-" in x]) > 0
    compared(cells, folder, BOTH)
    assert stages(folder, *kinds) == before


def test_comparing_leaves_the_compared_policies_stages_as_they_were(compared_rows):
    folder, _, before = compared_rows
    after = stages(folder, "train", "sample", "evaluate", "fine_tune")
    assert {name: after[name] for name in before} == before
    added = {name.split("/")[1].partition("-")[0] for name in set(after) - set(before)}
    assert added == {"sample"}  # the responders' answers


def test_the_same_answers_of_a_responder_come_back_byte_for_byte(copied):
    folder, cells = copied
    before = stages(folder, "responder", "sample", "compare")
    for path in [*folder.glob("stages/responder-*"), *folder.glob("stages/compare-*")]:
        shutil.rmtree(path)
    for cell in cells:
        key = responder_sample_key(cell.config, TRAINED)
        shutil.rmtree(stage_store(folder).folder("sample", key))
    assert not is_compared(at(cells, 0), BOTH, stage_store(folder))
    compared(cells, folder, BOTH)
    after = stages(folder, "responder", "sample", "compare")
    measured = ("measured.json", "manifest.json")  # seconds, and their hash
    assert {k: v[1] for k, v in after.items() if not k.endswith(measured)} == {
        k: v[1] for k, v in before.items() if not k.endswith(measured)
    }


def test_a_new_row_computes_its_own_pairs_and_its_responder_alone(copied):
    folder, cells = copied
    for path in [*folder.glob("stages/responder-*"), *folder.glob("stages/compare-*")]:
        shutil.rmtree(path)
    two = [cell for cell in cells if cell.row != "SPPO"]
    compared(two, folder, BOTH)
    before = stages(folder, "compare", "responder")

    def counts(found):
        names = {name.split("/")[1] for name in found}
        return [sum(x.startswith(kind) for x in names) for kind in ("compare", "responder")]

    # A seed: 1 pair, 2 with the reference, 4 of responders with rows.
    assert counts(before) == [2 * (1 + 2 + 4), 2 * 2]
    compared(cells, folder, BOTH)
    after = stages(folder, "compare", "responder")
    assert {name: after[name] for name in before} == before
    # A seed: 3 pairs, 3 with the reference, 9 of responders with rows.
    assert counts(after) == [2 * (3 + 3 + 9), 2 * 3]


def test_the_order_of_the_rows_decides_no_key(compared_rows):
    folder, cells, _ = compared_rows
    turned = cells[::-1]
    assert all(is_compared(at(turned, seed), BOTH, stage_store(folder)) for seed in (0, 1))
    record, other = record_of(folder, cells), record_of(folder, turned)
    assert other.labels == record.labels[::-1] and other.seeds == (1, 0)
    np.testing.assert_array_equal(other.wins[1, 0, 2], record.wins[0, 2, 0])


def test_keys_hold_what_decides_and_nothing_else(compared_rows):
    _, cells, _ = compared_rows
    config = cells[0].config
    changed = {**config, "oracle": {**config["oracle"], "cycle_strength": 1.0}}
    more = {**config, "language": {**config["language"], "evaluation_samples": 5}}
    printed = {**config, "table": None, "name": "another", "row": "another"}
    assert pair_key(changed, "a", "b") != pair_key(config, "a", "b") != pair_key(config, "a", "c")
    assert reference_pair_key(more) != reference_pair_key(config) == reference_pair_key(printed)
    assert responder_key(more, TRAINED) == responder_key(config, TRAINED)
    assert responder_sample_key(more, TRAINED) != responder_sample_key(config, TRAINED)
    for budget in (replace(TRAINED, iterations=3), replace(TRAINED, opponents=2)):
        assert responder_key(config, budget) != responder_key(config, TRAINED)
    assert train_key(config) == train_key(printed)
