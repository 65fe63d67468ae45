"""Plans of experiments: counts are the ledgers' to the unit, times are measured or unknown."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest
import yaml
from bundles import nlhf, run_cells, trio
from command import REPOSITORY
from mini_world import run_record, run_tiny, tiny_overrides

from nlhf_repro.cells import single_cell
from nlhf_repro.pipeline.cell import read_run, run_cell, run_directory
from nlhf_repro.pipeline.files import write_json
from nlhf_repro.pipeline.measured_runs import SIMILAR, judge_tokens, measured_runs, speed_of
from nlhf_repro.pipeline.planned import planned_judgings, planned_training
from nlhf_repro.verbs.plan_notes import money

SAMPLED = (
    *("oracle=random_games", "oracle.games=2", "oracle.actions=3", "tracker=none"),
    *("training.face=sampled", "training.iterations=7", "training.record_points=2"),
    *("training.groups_per_iteration=4", "training.minibatch_size=3"),
    *("training.optimizer=adam", "training.learning_rate=0.01"),
)


def same_counts(config, ledger) -> None:
    planned = planned_training(config)
    for name in ("comparisons", "responses", "preference_evaluations", "paid_calls"):
        assert getattr(planned, name) == ledger[name], name
    assert planned.gradient_steps in (None, ledger["gradient_steps"])


@pytest.mark.parametrize(
    "overrides",
    [
        ["algorithm=inpo", "algorithm.design=tournament", "algorithm.responses=8"],
        ["algorithm=inpo", "algorithm.design=all_pairs", "algorithm.responses=4"],
        ["algorithm=inpo", "budget.comparisons=18"],
        ["algorithm=sppo", "algorithm.responses=3"],
        ["algorithm=nash_md_pg"],
        ["algorithm=dno", "algorithm.opponents=2"],
        ["algorithm=dpo"],
        ["algorithm=mnpo"],
        ["algorithm=comal"],
        ["algorithm=rlhf", "oracle=bradley_terry", "oracle.games=2", "oracle.actions=3"],
        ["algorithm=egpo"],
        ["algorithm=fixed"],
    ],
    ids=lambda x: " ".join(x[:3]),
)
def test_counts_of_games_are_those_of_the_ledger(tmp_path, overrides):
    cell = single_cell([*SAMPLED, *overrides, f"output_dir={tmp_path}"])
    record = read_run(run_cell(cell.config, []).directory)
    same_counts(cell.config, record["ledger"])


@pytest.mark.parametrize(
    "overrides",
    [
        ["algorithm=sppo", "training.face=exact", "training.iterations=9"],
        ["algorithm=sppo", "training.face=expected", "training.learning_rate=0.05"],
        ["algorithm=inpo", "training.face=expected", "algorithm.gradient_steps=null"],
    ],
    ids=lambda x: " ".join(x[:2]),
)
def test_counts_of_enumerated_training_are_those_of_the_ledger(tmp_path, overrides):
    games = [x for x in SAMPLED if not x.startswith(("training.face", "training.minibatch"))]
    own = {x.partition("=")[0] for x in overrides}
    kept = [x for x in games if x.partition("=")[0] not in own]
    cell = single_cell([*kept, *overrides, f"output_dir={tmp_path}"])
    record = read_run(run_cell(cell.config, []).directory)
    same_counts(cell.config, record["ledger"])
    planned = planned_training(cell.config)
    assert planned.most_sampled_tokens is None
    if "null" in overrides[-1]:
        assert planned.gradient_steps is None  # nobody knows before


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    """A tiny language cell, run, whose answers a judge rates."""
    folder = tmp_path_factory.mktemp("planned")
    chosen = {"benchmark": "[oracle_win_rate,mt_bench_mini]"}
    result = run_tiny(folder, **chosen)
    config = single_cell([*tiny_overrides(**chosen), f"output_dir={folder}"]).config
    return folder, config, run_record(result)


def test_counts_of_a_language_cell_are_those_of_its_ledger_and_of_its_judge(language):
    _, config, record = language
    same_counts(config, record["ledger"])
    planned = planned_training(config)
    assert 0 < record["ledger"]["sampled_tokens"] <= planned.most_sampled_tokens
    (judging,) = planned_judgings(config)
    usage = record["judges"]["mt_bench_mini"]["usage"]
    assert judging.calls == usage["calls"] + usage["replayed"] > 0
    assert judging.prices is None  # in memory


def test_a_learned_oracle_is_paid_for_once(language):
    _, config, _ = language
    wrapper = yaml.safe_load(
        (REPOSITORY / "conf/oracle_wrapper/bradley_terry_fit.yaml").read_text()
    )
    wrapper = wrapper.get("bradley_terry_fit", wrapper) | {"comparisons": 40}
    fitted = {**config, "oracle_wrapper": {"bradley_terry_fit": wrapper}}
    plain, planned = planned_training(config), planned_training(fitted)
    assert (planned.comparisons, planned.responses) == (40, plain.responses + 80)
    assert planned.gradient_steps == plain.gradient_steps


def test_times_of_other_rows_are_bounds_and_say_so(language):
    folder, config, record = language
    runs = measured_runs(folder)
    planned = planned_training(config)
    seconds = record["measured"]["seconds"]
    own = speed_of(config, [record["key"]], planned, runs)
    assert (own.least, own.most, own.runs) == (seconds, seconds, 1)
    assert own.tokens == (record["ledger"]["sampled_tokens"], record["ledger"]["trained_tokens"])
    other = replace(
        planned,
        responses=2 * planned.responses,
        trained_responses=5 * planned.trained_responses,
    )
    found = speed_of(config, ["another"], other, runs)
    assert found.least == pytest.approx(2 * seconds) and found.most == pytest.approx(5 * seconds)
    assert (found.source, found.tokens) == (SIMILAR, None)
    longer = {**config, "language": {**config["language"], "max_new_tokens": 99}}
    assert speed_of(longer, ["another"], other, runs) is None
    assert speed_of(config, ["another"], replace(other, responses=0), runs) is None


def test_runs_of_another_machine_tell_no_time(language, tmp_path):
    folder, _, record = language
    directory = run_directory(tmp_path, record["key"])
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(
        (run_directory(folder, record["key"]) / "config.yaml").read_text()
    )
    write_json(directory / "run.json", record)
    assert len(measured_runs(tmp_path)) == 1
    write_json(directory / "run.json", record | {"host": f"not-{socket.gethostname()}"})
    assert measured_runs(tmp_path) == []
    write_json(directory / "run.json", record | {"status": "failed"})
    assert measured_runs(tmp_path) == []


def test_tokens_of_a_judge_are_means_of_charged_calls(language):
    folder, _, record = language
    (run,) = measured_runs(folder)
    judged = json.loads(json.dumps(record["judges"]["mt_bench_mini"]))
    judged["usage"] |= {"calls": 4, "replayed": 6, "prompt_tokens": 400, "completion_tokens": 20}
    charged = replace(run, record={**run.record, "judges": {"x": judged}})
    assert judge_tokens(judged["identity"], [charged]) == (100, 5)
    assert judge_tokens({"judge": "another"}, [charged]) is None
    judged["usage"]["calls"] = 0  # all of it was replayed
    assert judge_tokens(judged["identity"], [charged]) is None


def lines(markdown: str) -> dict[str, list[str]]:
    rows = (line.strip("|").split("|") for line in markdown.splitlines() if line.startswith("| "))
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


def test_the_plan_says_what_is_complete_and_what_nobody_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    conf = trio(tmp_path)
    plan = ("plan", "trio", "--config-dir", conf, "--format", "markdown")
    status, output, errors = nlhf(*plan)
    assert (status, errors) == (0, "")
    assert not (tmp_path / "outputs").exists()
    rows = lines(output)
    assert rows["INPO"][:2] == ["2", "0"] and "unknown: no run here yet" in rows["INPO"]
    assert rows["in all"][:2] == ["6", "0"] and rows["in all"][-1] == "unknown"
    run_cells(conf, tmp_path / "outputs", seeds=(0,))
    rows = lines(nlhf(*plan)[1])
    assert rows["SPPO"][1] == "1" and "unknown" not in rows["SPPO"][-1]
    assert rows["in all"][:2] == ["6", "3"]
    header = rows["row"]
    place = {name: number for number, name in enumerate(header)}
    for name in ("comparisons", "responses", "gradient steps"):
        each = [int(rows[row][place[name]]) for row in ("INPO", "SPPO", "Nash-MD")]
        assert int(rows["in all"][place[name]]) == 2 * sum(each)
    run_cells(conf, tmp_path / "outputs")
    rows = lines(nlhf(*plan)[1])
    assert rows["in all"][:2] == ["6", "6"] and rows["in all"][-1] == "0 s"


def test_a_plan_is_as_wide_as_the_terminal_and_leaves_no_note_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    conf = trio(tmp_path)
    markdown = nlhf("plan", "trio", "--config-dir", conf, "--format", "markdown")[1]
    notes = [line[2:] for line in markdown.splitlines() if line.startswith("- ")]
    for width in ("80", "200"):
        monkeypatch.setenv("COLUMNS", width)
        output = nlhf("plan", "trio", "--config-dir", conf)[1]
        assert max(map(len, output.splitlines())) <= int(width)
        assert notes and all(note in " ".join(output.split()) for note in notes)
    monkeypatch.delenv("COLUMNS")
    assert max(map(len, nlhf("plan", "trio", "--config-dir", conf)[1].splitlines())) <= 100


def test_what_a_plan_of_an_experiment_cannot_use_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "--seeds plans a comparison" in nlhf("plan", "check", "--seeds", "3")[2]
    assert "say csv" in nlhf("plan", "check", "--format", "json")[2]
    assert "did you mean check?" in nlhf("plan", "chek")[2]
    status, output, _ = nlhf("plan", "check", "oracle.games=3", "--format", "csv")
    assert status == 0 and output.startswith("row,")


def test_money_is_measured_tokens_at_the_configured_price_or_unknown(language):
    folder, config, record = language
    (run,) = measured_runs(folder)
    (judging,) = planned_judgings(config)
    judged = json.loads(json.dumps(record["judges"]["mt_bench_mini"]))
    judged["usage"] |= {"calls": 4, "prompt_tokens": 400, "completion_tokens": 20}
    charged = [replace(run, record={**run.record, "judges": {"x": judged}})]
    assert money(judging, 1000, charged) == "none, it is in memory"
    priced = replace(judging, prices=(2.0, 8.0))
    assert money(priced, 1000, charged) == "$0.240 at the 105 tokens a call of runs here"
    assert money(replace(judging, prices=(2.0, None)), 1000, charged).startswith("unknown, set")
    assert money(priced, 1000, []) == "unknown, its tokens a call have not been measured here"
