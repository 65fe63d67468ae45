"""Tables of language-model rows: prompts crossed with seeds, or worlds that share nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reporting_rows import GAP, lognormal, record, specification, texts

from nlhf_repro.interfaces import Tuning
from nlhf_repro.reporting import render_table
from nlhf_repro.reporting.cells import CHECKPOINT
from nlhf_repro.reporting.columns import (
    GeometricMeanGap,
    Maximum,
    MeanValue,
    RatioToBound,
    ShareBelow,
    TuningTotal,
    UpdatesToReach,
    Verdict,
)
from nlhf_repro.reporting.columns.levels import games_share_nothing
from nlhf_repro.reporting.figure import draw_figures
from nlhf_repro.reporting.figure_specification import FigureSpecification
from nlhf_repro.reporting.series import cluster_noun, singular
from nlhf_repro.uncertainty import difference, estimate

WIN_RATE = MeanValue("win rate", "oracle_win_rate", "last", "last", across_regularization=True)
SIMULATIONS = 2000


def language(label, values, clusters="prompts", **fields):
    """A row of one recorded point at update 100, from values [seeds, items]."""
    values = np.asarray(values, dtype=float)
    both = np.stack([np.full(values.shape, 0.5), values], axis=-1)
    row = record(label, values)
    problems = values.shape[1] if clusters == "worlds" else 1
    fields = {"values": {"oracle_win_rate/last": both}, "problems": problems} | fields
    return replace(row, clusters=clusters, floors={"oracle_win_rate": 0.0}, **fields)


def win_rates(seed, shape=(3, 200), seed_sd=0.02, prompt_sd=0.32, noise=0.24):
    rng = np.random.default_rng(seed)
    runs = seed_sd * rng.standard_normal((shape[0], 1))
    prompts = 0.5 + prompt_sd * np.random.default_rng(99).standard_normal(shape[1])
    return prompts + runs + noise * rng.standard_normal(shape)


def notes_of(*rows, columns=(WIN_RATE,), against=None):
    return render_table(rows, specification(*columns, against=against, column="win rate")).notes


# --- the interval is the right one


def test_prompts_are_crossed_with_seeds():
    values = win_rates(0, seed_sd=0.08)
    cell = render_table([language("a", values)], specification(WIN_RATE)).rows[0].cells[1]
    crossed, nested = estimate(values), estimate(values, nested=True)
    assert (cell.estimate, cell.lower, cell.upper) == (
        crossed.estimate,
        crossed.lower,
        crossed.upper,
    )
    assert crossed.upper - crossed.lower > 1.2 * (nested.upper - nested.lower)


def test_as_many_problems_as_prompts_make_prompts_no_problems():
    row = language("a", win_rates(0), problems=200)
    assert not games_share_nothing(row)


def test_worlds_are_nested():
    values = win_rates(0, (3, 12), seed_sd=0.2)
    cell = render_table([language("a", values, "worlds")], specification(WIN_RATE)).rows[0].cells[1]
    nested = estimate(values, nested=True)
    assert (cell.estimate, cell.lower, cell.upper) == (nested.estimate, nested.lower, nested.upper)
    assert estimate(values).upper != nested.upper
    assert cell.level == "algorithm"


def test_differences_are_paired_by_prompt_or_by_world():
    for clusters, shape in (("prompts", (3, 200)), ("worlds", (3, 12))):
        first, second = win_rates(0, shape), win_rates(1, shape)
        rows = [language("a", first, clusters), language("b", second, clusters)]
        table = render_table(rows, specification(WIN_RATE, against="a", column="win rate"))
        found = table.rows[1].cells[2]
        expected = difference(second, first, nested=clusters == "worlds")
        assert (found.estimate, found.lower, found.upper) == (
            expected.estimate,
            expected.lower,
            expected.upper,
        )
        explained = next(note for note in table.notes if note.startswith("comparison:"))
        assert f"paired by {singular(clusters)} " in explained


def simulated(seeds, prompts, seed_sd, rng):
    """Whether the printed interval holds the true mean, 1/2, of 2,000 experiments."""
    hits = 0
    table = specification(WIN_RATE)
    for _ in range(SIMULATIONS):
        values = (
            0.5
            + 0.32 * rng.standard_normal(prompts)
            + seed_sd * rng.standard_normal((seeds, 1))
            + 0.24 * rng.standard_normal((seeds, prompts))
        )
        cell = WIN_RATE.cell(language("a", values), table.level)
        hits += cell.lower <= 0.5 <= cell.upper
    return hits / SIMULATIONS


@pytest.mark.slow
@pytest.mark.parametrize("seed_sd", [0.0, 0.01, 0.03])
@pytest.mark.parametrize(("seeds", "prompts"), [(3, 128), (3, 512), (10, 256)])
def test_intervals_over_prompts_and_seeds_cover(seeds, prompts, seed_sd):
    share = simulated(seeds, prompts, seed_sd, np.random.default_rng(2026))
    assert 0.935 <= share <= {3: 0.99, 10: 0.975}[seeds]


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "worlds"), [(1, 10), (3, 10), (3, 20)])
def test_intervals_over_worlds_cover(seeds, worlds):
    rng, hits = np.random.default_rng(2026), 0
    for _ in range(SIMULATIONS):
        values = 0.3 + 0.05 * rng.standard_normal(worlds)
        values = values + 0.04 * rng.standard_normal((seeds, worlds))
        cell = WIN_RATE.cell(language("a", values, "worlds"), 0.95)
        hits += cell.lower <= 0.3 <= cell.upper
    assert 0.935 <= hits / SIMULATIONS <= 0.965


def test_prompts_taken_for_games_of_their_own_would_not_cover():
    """The guard of the field `clusters`: nested intervals over prompts miss the seed variance."""
    rng, hits = np.random.default_rng(5), 0
    for _ in range(300):
        values = 0.03 * rng.standard_normal((3, 1)) + 0.2 * rng.standard_normal((3, 512))
        cell = WIN_RATE.cell(language("a", values, "games", problems=512), 0.95)
        hits += cell.lower <= 0 <= cell.upper
    assert hits / 300 < 0.6


# --- what is said


def test_notes_of_prompts_speak_of_prompts_and_of_one_world():
    said = notes_of(language("a", win_rates(0)), language("b", win_rates(1)), against="a")
    text = "\n".join(said)
    assert "K x n: training seeds x prompts, the same prompts for every row." in said
    assert "Prompts are crossed with seeds: the policy of every seed answers all of them." in said
    (one_world,) = (note for note in said if note.startswith("One world"))
    assert "a claim about this world only" in one_world
    assert "over seeds and prompts at the end of training" in text
    assert "[95% interval, prompts as clusters]" in text
    assert "game" not in text and "share no weights" not in text


def test_notes_of_worlds_speak_of_worlds():
    said = notes_of(language("a", win_rates(0, (3, 12)), "worlds"))
    text = "\n".join(said)
    assert "K x n: training seeds x worlds, the same worlds for every row." in said
    assert "Worlds share no weights and no draws, so seeds are repeats inside a world." in said
    assert "[95% interval, worlds as clusters]" in text
    assert "game" not in text and "One world" not in text and "rossed" not in text


def test_one_world_of_several_gives_no_interval_and_says_so():
    row = language("a", [[0.6], [0.7]], "worlds")
    table = render_table([row], specification(WIN_RATE))
    assert np.isnan(table.rows[0].cells[1].lower)
    said = "One world: nothing in this table generalizes over worlds, so no interval is estimable."
    assert said in table.notes


def test_one_seed_on_prompts_is_a_checkpoint_and_on_worlds_is_not():
    one = render_table([language("a", win_rates(0, (1, 50)))], specification(WIN_RATE))
    assert one.rows[0].cells[1].text.endswith(CHECKPOINT)
    assert any(note.startswith(f"{CHECKPOINT} checkpoint level") for note in one.notes)
    worlds = language("a", win_rates(0, (1, 12)), "worlds")
    assert CHECKPOINT not in texts(render_table([worlds], specification(WIN_RATE)))["a"][1]


COLUMNS = (
    WIN_RATE,
    GeometricMeanGap("gap", "gap", "last", "last", True),
    Maximum("worst", "oracle_win_rate", "last", "last"),
    ShareBelow("share", "oracle_win_rate", "last", "last", 0.5),
    UpdatesToReach("time", "oracle_win_rate", "last", 0.5, "updates"),
    Verdict("verdict", "oracle_win_rate", "last", 0.5, 0.5, 1.1),
    RatioToBound("bound", "oracle_win_rate", "last", "log_ratio", ("a",)),
    TuningTotal("tuning"),
)


@pytest.mark.parametrize("clusters", ["prompts", "worlds"])
def test_no_column_speaks_of_games_where_there_are_none(clusters):
    tuning = Tuning("t", "a", 3, 0, (), 900, (1, 2), (0,), "mean")
    row = language("a", win_rates(0, (3, 12)), clusters, tuning=tuning)
    spoken = [column.explanation(0.95, clusters) for column in COLUMNS]
    spoken += [column.comparison_explanation(clusters) for column in COLUMNS[:2]]
    spoken += render_table([row], specification(*(COLUMNS[i] for i in (0, 2, 3, 7)))).notes
    assert not [text for text in spoken if "game" in text]
    own = [text for text in spoken if clusters in text or singular(clusters) in text]
    assert len(own) >= 8
    assert "comparisons a world" in "\n".join(spoken)


def test_columns_speak_of_games_by_default():
    for column in COLUMNS:
        assert column.explanation(0.95) == column.explanation(0.95, "games")
    assert "games as clusters" in WIN_RATE.explanation(0.95)
    assert WIN_RATE.comparison_explanation().endswith("paired by game")
    assert record("a", lognormal(0)).clusters == "games"


def test_a_table_of_several_kinds_names_them_all():
    rows = [language("a", win_rates(0)), record("b", lognormal(0))]
    assert cluster_noun(rows) == "prompts or games" and singular("prompts or games") == (
        "prompt or game"
    )
    # A row without records says nothing of what its items would be.
    absent = replace(record("c", np.empty((0, 4)), missing=(0,)), values={})
    assert cluster_noun([language("a", win_rates(0)), absent]) == "prompts"
    assert cluster_noun([]) == "games"


# --- what may be set against what


def refusal(first, second):
    table = render_table([first, second], specification(WIN_RATE, against="a", column="win rate"))
    return texts(table)["b"][2]


def test_rows_with_other_prompts_are_not_paired():
    first = language("a", win_rates(0, (3, 3)), items=("p1", "p2", "p3"))
    same = language("b", win_rates(1, (3, 3)), items=("p1", "p2", "p3"))
    assert refusal(first, same).startswith(("+", "-"))
    moved = replace(same, items=("p1", "p3", "p2"))
    assert refusal(first, moved) == "refused: other prompts"
    fewer = language("b", win_rates(1, (3, 2)))
    assert refusal(first, fewer) == "refused: 2 against 3 prompts"
    worlds = language("b", win_rates(1, (3, 3)), "worlds")
    assert refusal(first, worlds) == "refused: worlds against prompts"


def test_samples_of_the_starting_policy_may_differ_between_rows():
    """Games are recognized by their values before the first update; sampled answers vary."""
    first, second = language("a", win_rates(0)), language("b", win_rates(1))
    drawn = second.values["oracle_win_rate/last"].copy()
    drawn[..., 0] = win_rates(7)
    second = replace(second, values={"oracle_win_rate/last": drawn})
    assert refusal(first, second).startswith(("+", "-"))
    as_games = [replace(row, clusters="games") for row in (first, second)]
    assert refusal(*as_games).startswith("refused: other games")


def test_a_figure_says_what_its_band_is_over(tmp_path):
    figure = FigureSpecification(
        name="f",
        title="t",
        benchmark="duality_gap",
        label="y",
        axis="updates",
        iterates=("last",),
        panels="iterate",
        bounds=(),
        lines={},
    )
    for clusters in ("games", "worlds"):
        row = replace(record("a", lognormal(0, (3, 12))), clusters=clusters, problems=12)
        table = replace(specification(GAP), figures=(figure,))
        _, svg = draw_figures([row], table, tmp_path / clusters)
        text = svg.read_text()
        assert f"{clusters} as clusters" in text
        assert ("games as clusters" in text) == (clusters == "games")
