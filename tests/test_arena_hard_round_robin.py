"""Arena-Hard where models meet each other: strengths, their errors, and what must stand beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import evalica
import judgment_files as judged
import numpy as np
import pytest
import statsmodels.api as sm
from scipy import special
from verbs import EXAMPLES, group, refused, rows_of, run_verb

from nlhf_repro.benchmarks.arena_hard import read_judgments, round_robins, score_round_robin
from nlhf_repro.benchmarks.arena_hard.round_robin import swapped
from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty import bradley_terry, bradley_terry_contrast, estimate

Capture = pytest.CaptureFixture[str]
ROBIN = EXAMPLES / "synthetic_round_robin.jsonl"
METRIC = "bradley_terry/hard_prompt"
SFT = "synthetic-sft"
Rows = list[dict[str, Any]]


def records(capsys: Capture, *arguments: object) -> dict[tuple[str, str], dict[str, Any]]:
    found = json.loads(run_verb(capsys, "score", "arena_hard", *arguments, "--format", "json"))
    return {(each["name"], each["metric"]): each for each in found if each["metric"] == METRIC}


def verdicts() -> list[tuple[str, str, str, float, float]]:
    """Question, first and second model, the first one's share, weight: one entry a game."""
    share = {"A>>B": (1, 3), "A>B": (1, 1), "A=B": (0.5, 1), "B>A": (0, 1), "B>>A": (0, 3)}
    found = []
    for row in rows_of(ROBIN):
        for number, game in enumerate(row["games"]):
            of_a, weight = share[game["score"]]
            own = of_a if number == 1 else 1 - of_a
            found.append((row["uid"], row["model"], row["baseline"], own, weight))
    return found


def test_strengths_are_those_of_evalica(capsys: Capture) -> None:
    left, right, winners = [], [], []
    for _, one, other, share, weight in verdicts():
        for _ in range(int(weight)):
            left.append(one)
            right.append(other)
            winners.append(
                {1: evalica.Winner.X, 0: evalica.Winner.Y, 0.5: evalica.Winner.Draw}[share]
            )
    fitted = evalica.bradley_terry(left, right, winners, tolerance=1e-14, limit=100_000)
    expected = np.log(fitted.scores) - np.log(fitted.scores[SFT])
    found = records(capsys, ROBIN, "--anchor", SFT)
    assert len(found) == 4
    for (name, _), record in found.items():
        assert record["estimate"] == pytest.approx(expected[name], abs=1e-8)
        assert record["unit"] == "log odds" and record["questions"] == 60


def test_errors_are_those_of_a_logistic_regression_clustered_by_question(capsys: Capture) -> None:
    names = ["synthetic-dpo", "synthetic-ipo", "synthetic-nash"]
    games = [game for game in verdicts() for _ in range(int(game[4]))]
    design = [[float(one == n) - float(other == n) for n in names] for _, one, other, *_ in games]
    question = np.unique([game[0] for game in games], return_inverse=True)[1]
    fit = sm.GLM([game[3] for game in games], design, family=sm.families.Binomial()).fit(
        tol=1e-14, cov_type="cluster", cov_kwds={"groups": question, "use_correction": False}
    )
    found = records(capsys, ROBIN, "--anchor", SFT)
    for name, coefficient, error in zip(names, fit.params, fit.bse, strict=True):
        record = found[name, METRIC]
        assert record["estimate"] == pytest.approx(coefficient, abs=1e-8)
        assert record["standard_error"] == pytest.approx(error * np.sqrt(60 / 59), rel=1e-6)


def test_rows_sides_and_files_change_nothing(capsys: Capture, tmp_path: Path) -> None:
    expected = run_verb(capsys, "score", "arena_hard", ROBIN, "--anchor", SFT)
    rows = rows_of(ROBIN)
    for row in rows[::2]:
        row["model"], row["baseline"] = row["baseline"], row["model"]
        row["games"].reverse()
    np.random.default_rng(0).shuffle(rows)  # type: ignore[arg-type]
    one = judged.write_lines(tmp_path / "one.jsonl", rows)
    assert run_verb(capsys, "score", "arena_hard", one, "--anchor", SFT) == expected
    parts = [judged.write_lines(tmp_path / f"{k}.jsonl", rows[k::3]) for k in range(3)]
    assert run_verb(capsys, "score", "arena_hard", *parts, "--anchor", SFT) == expected


def test_another_anchor_moves_all_strengths_alike_and_no_difference(capsys: Capture) -> None:
    by_sft, by_ipo = (records(capsys, ROBIN, "--anchor", name) for name in (SFT, "synthetic-ipo"))
    for key, record in by_sft.items():
        moved = record["estimate"] - by_sft["synthetic-ipo", METRIC]["estimate"]
        assert by_ipo[key]["estimate"] == pytest.approx(moved, abs=1e-9)
    anchor = by_sft[SFT, METRIC]
    assert (anchor["estimate"], anchor["lower"], anchor["standard_error"]) == (0, None, None)
    assert "0 by definition, the anchor" in anchor["notes"]
    tables = [
        run_verb(capsys, "score", "arena_hard", ROBIN, "--anchor", name).split("\n\n")
        for name in (SFT, "synthetic-ipo")
    ]
    first, second = (next(t for t in ts if t.startswith("pair  ")) for ts in tables)
    exact = [  # the last column is simulated
        sorted(line.rpartition("p ")[0] for line in table.splitlines()[2:])
        for table in (first, second)
    ]
    assert len(exact[0]) == 6 and exact[0] == exact[1]


def test_strengths_never_stand_alone(capsys: Capture) -> None:
    text = run_verb(capsys, "score", "arena_hard", ROBIN, "--anchor", SFT)
    flat = " ".join(text.split())
    assert "Arena-Hard, pair by pair" in text
    assert "synthetic-nash against synthetic-sft 1 x 60 81.8 [" in flat
    assert "6 of 6 pairs met, each on 60 of 60 questions" in flat
    assert "curl test of transitivity F(3, 57) = 0.69, p = 0.56, cyclic share 0 %" in flat
    assert "is not the protocol's" not in flat
    everything = json.loads(run_verb(capsys, "score", "arena_hard", ROBIN, "--format", "json"))
    pair_scores = [record for record in everything if record["metric"] == "score/hard_prompt"]
    assert len(pair_scores) == 6


def circle(count: int = 40) -> Rows:
    """a beats b, b beats c, c beats a, each on three of four questions, not the same ones."""
    rows = []
    for shift, (one, other) in enumerate((("a", "b"), ("b", "c"), ("c", "a"))):
        for index in range(count):
            labels = ("A>B", "B>A") if (index + shift) % 4 == 0 else ("B>A", "A>B")
            rows.append(judged.new_row(f"q{index:02}", *labels, model=one, baseline=other))
    for row in rows[::7]:
        row["games"][0]["score"] = "A=B"
    return rows


def test_a_circle_of_preferences_is_said(capsys: Capture, tmp_path: Path) -> None:
    path = judged.write_lines(tmp_path / "circle.jsonl", circle())
    text = " ".join(run_verb(capsys, "score", "arena_hard", path).split())
    assert "p < 0.001" in text and "preferences go in circles" in text
    assert "strength 0 is a's" in text  # the first by name where the protocol's takes no part


def test_pairs_that_did_not_meet_leave_transitivity_untested(
    capsys: Capture, tmp_path: Path
) -> None:
    rows = [row for row in circle() if {row["model"], row["baseline"]} != {"a", "c"}]
    path = judged.write_lines(tmp_path / "chain.jsonl", rows)
    text = " ".join(run_verb(capsys, "score", "arena_hard", path).split())
    assert "2 of 3 pairs met" in text and "no models met in a circle" in text
    assert "no curl test of transitivity" in text


def test_one_model_against_two_baselines_has_the_log_odds_of_its_scores(
    capsys: Capture, tmp_path: Path
) -> None:
    rng, labels = np.random.default_rng(3), ["A>>B", "A>B", "A=B", "B>A", "B>>A"]
    rows = [
        judged.new_row(f"q{i}", *rng.choice(labels, 2).tolist(), model="m", baseline=name)
        for name in ("x", "y")
        for i in range(30)
    ]
    path = judged.write_lines(tmp_path / "star.jsonl", rows)
    found = json.loads(
        run_verb(capsys, "score", "arena_hard", path, "--anchor", "m", "--format", "json")
    )
    strengths = {r["name"]: r["estimate"] for r in found if r["metric"] == METRIC}
    scores = {r["name"]: r["estimate"] for r in found if r["metric"] == "score/hard_prompt"}
    assert set(scores) == {"x", "y"}  # the anchor comes second
    for name, score in scores.items():
        assert strengths[name] == pytest.approx(special.logit(score / 100), abs=1e-9)


def test_a_model_that_never_lost_has_no_strength_but_its_pairs(
    capsys: Capture, tmp_path: Path
) -> None:
    rows = [
        row | {"games": [judged.game("B>A"), judged.game("A>B")]} if row["model"] == "a" else row
        for row in circle()
    ]
    rows = [
        row | {"games": [judged.game("A>B"), judged.game("B>A")]} if row["baseline"] == "a" else row
        for row in rows
    ]
    path = judged.write_lines(tmp_path / "unbeaten.jsonl", rows)
    text = " ".join(run_verb(capsys, "score", "arena_hard", path).split())
    assert "no strengths: Bradley-Terry strengths are not finite" in text
    assert "bradley_terry/hard_prompt" not in text and "b against a" in text


def test_models_against_one_baseline_are_no_round_robin(tmp_path: Path) -> None:
    rows = [judged.new_row("q", "A>B", "B>A", model=model) for model in "mno"]
    assert round_robins(read_judgments([judged.write_lines(tmp_path / "a.jsonl", rows)])) == []


def test_sets_of_models_that_never_met_are_round_robins_of_their_own(tmp_path: Path) -> None:
    rows = circle(4) + [
        row | {"model": row["model"].upper(), "baseline": row["baseline"].upper()}
        for row in circle(4)
    ]
    rows += [judged.new_row("q00", "A>B", "B>A", model="alone", baseline="base")]
    judgments = read_judgments([judged.write_lines(tmp_path / "a.jsonl", rows)])
    groups = round_robins(judgments)
    assert [{each.model for each in group} for group in groups] == [set("ABC"), set("abc")]
    strengths, pairs = score_round_robin(groups[0])
    assert len(strengths) == len(pairs) == 3
    assert swapped(swapped(judgments[0])) == judgments[0]


def test_losses_of_a_pair_are_refused(capsys: Capture, tmp_path: Path) -> None:
    rows = circle()
    rows[0]["games"][0]["score"] = "A>>A"
    path = judged.write_lines(tmp_path / "lost.jsonl", rows)
    sentence = refused(capsys, "score", "arena_hard", path)
    assert "2 of 80 judgments of b (hard_prompt" in sentence
    run_verb(capsys, "score", "arena_hard", path, "--max-unusable", 3)


def test_misuse_is_refused(capsys: Capture, tmp_path: Path) -> None:
    assert "takes no part" in refused(capsys, "score", "arena_hard", ROBIN, "--anchor", "x")
    star = EXAMPLES / "synthetic_arena_hard.jsonl"
    assert "met a single baseline" in refused(
        capsys, "score", "arena_hard", star, "--anchor", "synthetic-dpo"
    )
    assert "--anchor means nothing" in refused(
        capsys, "score", "mt_bench", EXAMPLES / "synthetic_mt_bench.jsonl", "--anchor", "x"
    )
    assert "knows no round-robin" in refused(capsys, "score", "arena_hard", ROBIN, "--upstream")
    assert "--answers controls style" in refused(
        capsys, "score", "arena_hard", ROBIN, "--answers", star
    )
    assert "--anchor is for a round-robin" in refused(
        capsys, "compare", ROBIN, star, "--anchor", SFT
    )
    rows = rows_of(ROBIN)
    own = [row for row in rows if row["model"] == "synthetic-nash"]
    single = judged.write_lines(tmp_path / "nash.jsonl", own)
    sentence = refused(capsys, "score", "arena_hard", "--seeds", group("x", [single]))
    assert "met 3 baselines" in sentence and "without --seeds" in sentence
    first = rows[0]
    again = first | {"model": first["baseline"], "baseline": first["model"]}
    twice = judged.write_lines(tmp_path / "twice.jsonl", [*rows, again])
    sentence = refused(capsys, "score", "arena_hard", twice)
    assert "repeat the pair of models and question of another" in sentence


def hard(rng: np.random.Generator, expected: Array, spread: float, questions: int) -> Array:
    """Wins of two games a pair; a question moves the log-odds of every pair."""
    items = len(expected)
    own = spread * rng.normal(size=(questions, items, 1))
    chance = special.expit(expected + own - own.transpose(0, 2, 1))
    won = np.triu(rng.binomial(2, chance).astype(float), 1)
    return np.asarray(won + np.triu(2 - won, 1).transpose(0, 2, 1))


@pytest.mark.slow
@pytest.mark.parametrize("questions", [60, 250])
def test_intervals_of_strengths_cover(questions: int) -> None:
    """The truth is the fit to expected wins: questions that vary make it smaller than the input."""
    strengths = np.array([0.0, 0.4, -0.3, 0.8])
    log_odds = strengths[:, None] - strengths[None]
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    share = sum(
        w * special.expit(log_odds + np.sqrt(2) * 1.2 * x)
        for x, w in zip(nodes, weights, strict=True)
    ) / weights.sum()  # fmt: skip
    contrast = np.array([-1.0, 0, 0, 1])
    truth = contrast @ bradley_terry(share[None]).strengths
    rng, covered, naive = np.random.default_rng(7), 0, 0
    for _ in range(2000):
        fit = bradley_terry(hard(rng, log_odds, 1.2, questions))
        found = estimate(bradley_terry_contrast(fit, contrast)[None])
        covered += found.lower <= truth <= found.upper
        error = np.sqrt(np.linalg.inv(fit.information[1:, 1:])[2, 2])
        naive += abs(found.estimate - truth) <= 1.96 * error
    assert 93.5 <= covered / 20 <= 96.5
    assert naive / 20 < 90  # games as if independent
