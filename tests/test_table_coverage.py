"""The intervals that tables print cover: 2,000 simulated experiments at the shipped sizes.

The population is thousands of random games, each trained by the package; an experiment draws its
games (and seeds) from it, goes through the table code, and its printed interval either contains the
population's geometric mean or does not.
"""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest
from conftest import CONF
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from nlhf_repro import games
from nlhf_repro.algorithms.egpo import EGPO
from nlhf_repro.algorithms.inpo import INPO
from nlhf_repro.algorithms.online_ipo import OnlineIPO
from nlhf_repro.interfaces import RowRecord, TrainingSettings
from nlhf_repro.models.tabular_softmax import TabularSoftmax
from nlhf_repro.oracles.random_games import RandomGames
from nlhf_repro.pipeline.training import train
from nlhf_repro.reporting.columns import GeometricMeanGap, ShareBelow
from nlhf_repro.reporting.comparison import Primary
from nlhf_repro.reporting.specification import TableSpecification
from nlhf_repro.reporting.table import render_table
from nlhf_repro.seeds import generator_for

EXPERIMENTS = 2000
THRESHOLD = 0.2
COLUMNS = (
    GeometricMeanGap("gap", "duality_gap", "last", "last", across_regularization=True),
    ShareBelow("share", "duality_gap", "last", "last", THRESHOLD),
)


def specification(baseline):
    primary = Primary("gap", baseline, "independent")
    return TableSpecification(
        title="t", caption="c", columns=COLUMNS, primary=primary, figures=(), level=0.95
    )


def record(label, gaps, deterministic):
    return RowRecord(
        label=label,
        seeds=tuple(range(len(gaps))),
        missing=(),
        failed={},
        updates=np.array([1.0]),
        comparisons=np.array([0.0]),
        preference_evaluations=np.array([0.0]),
        values={"duality_gap/last": gaps[:, :, None]},
        floors={"duality_gap": 1e-14},
        deterministic=deterministic,
        regularization=0.1,
        variants={},
        measured={},
        problems=gaps.shape[1],
    )


def final_gaps(method, face, size, seed=0, regularized=False):
    game = RandomGames(games=size, actions=10, reference="normal_logits").game(5)
    settings = TrainingSettings(face, 60, 2, False, 20, None, "sgd", None)
    streams = lambda stream: generator_for(stream, seed, type(method).__name__)  # noqa: E731
    found = train(method, TabularSoftmax(), game, (), settings, None, streams)
    if regularized:
        return games.log_space.regularized_duality_gap(
            game.preference_matrix, found.last[-1], game.log_reference, method.regularization
        )
    return games.log_space.duality_gap(game.preference_matrix, found.last[-1])


@pytest.fixture(autouse=True)
def no_collection(monkeypatch):
    """statsmodels collects garbage at every adjustment, a hundred times the table's own time."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


@pytest.fixture(scope="module")
def exact_population():
    rows = {
        "INPO": INPO(0.3, 0.1, 2, "unfiltered", "probability", None),
        "EGPO": EGPO(0.3, 0.1, "probability", 1),
    }
    return {label: final_gaps(method, "exact", 6000)[None] for label, method in rows.items()}


@pytest.fixture(scope="module")
def sampled_population():
    rows = {
        "INPO": OnlineIPO(0.3, 0.1, "uniform", "bernoulli", 2, "unfiltered", 1),
        "EGPO": EGPO(0.3, 0.1, "bernoulli", 1),
    }
    return {
        label: np.stack([final_gaps(method, "sampled", 2000, seed) for seed in range(24)])
        for label, method in rows.items()
    }


def coverage(population, seeds, size, deterministic):
    """Shares of experiments whose printed interval holds the truth: gap, ratio, share below."""
    rng = np.random.default_rng(2026)
    table = specification("EGPO")
    means = {label: np.log(gaps).mean() for label, gaps in population.items()}
    truth = {
        "gap": np.exp(means["INPO"]),
        "comparison": np.exp(means["INPO"] - means["EGPO"]),
        "share": (population["INPO"] <= THRESHOLD).mean(),
    }
    hits = dict.fromkeys(truth, 0)
    for _ in range(EXPERIMENTS):
        chosen = rng.choice(population["INPO"].shape[1], size)
        rows = []
        for label, gaps in population.items():
            runs = rng.choice(len(gaps), seeds, replace=False)
            rows.append(record(label, gaps[np.ix_(runs, chosen)], deterministic))
        printed = render_table(rows, table)
        cells = dict(zip(printed.header[1:], printed.rows[0].cells, strict=True))
        for name, value in truth.items():
            hits[name] += cells[name].lower <= value <= cells[name].upper
    return {name: count / EXPERIMENTS for name, count in hits.items()}


@pytest.mark.slow
@pytest.mark.parametrize("size", [50, 100])
def test_exact_tables_cover(exact_population, size):
    """Within 93.5 to 96.5 %: three Monte-Carlo standard errors of 2,000 experiments at 95 %."""
    for name, share in coverage(exact_population, 1, size, deterministic=True).items():
        assert 0.935 <= share <= 0.965, (name, share)


@pytest.mark.slow
def test_exact_tables_of_the_regularized_gap_cover():
    """What egpo_tabular prints and compares, at its 100 games."""
    rows = {
        "INPO": INPO(0.3, 0.1, 2, "unfiltered", "probability", None),
        "EGPO": EGPO(0.3, 0.1, "probability", 1),
    }
    population = {
        label: final_gaps(method, "exact", 6000, regularized=True)[None]
        for label, method in rows.items()
    }
    shares = coverage(population, 1, 100, deterministic=True)
    for name in ("gap", "comparison"):
        assert 0.935 <= shares[name] <= 0.965, (name, shares[name])


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "size"), [(5, 50), (5, 100)])
def test_sampled_tables_cover(sampled_population, seeds, size):
    for name, share in coverage(sampled_population, seeds, size, deterministic=False).items():
        assert 0.935 <= share <= 0.965, (name, share)


def test_missing_runs_do_not_make_the_other_p_values_smaller():
    rng = np.random.default_rng(3)
    gaps = np.exp(rng.standard_normal((4, 60)))
    effects = (1.0, 1.12, 1.1, 1.08)
    noise = np.exp(0.3 * rng.standard_normal((4, 60)))
    rows = [
        record(label, (effect * gaps[0] * noise[index])[None], deterministic=True)
        for index, (label, effect) in enumerate(zip("ABCD", effects, strict=True))
    ]
    whole = render_table(rows, specification("A"))
    partial = render_table(
        [*rows[:3], replace(rows[3], seeds=(), missing=(0,), values={})], specification("A")
    )
    column = whole.header.index("comparison") - 1
    for line in (1, 2):
        before, after = (t.rows[line].cells[column].p_value for t in (whole, partial))
        assert 0 < before <= after + 1e-15


def shipped_sizes():
    """(experiment, games) of every tabular experiment with a table."""
    for path in sorted((CONF / "experiment" / "tabular").glob("*.yaml")):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("config", [f"experiment=tabular/{path.stem}"])
        yield path.stem, config.oracle.games
    tables = {  # of the questions, those on games
        "path_inner_steps": "question_path",
        "loss_fixed_points": "loss_fixed_points",
        "loss_fixed_points_cycle": "loss_fixed_points_cycle",
    }
    for name, table in tables.items():
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("config", [f"experiment=questions/{name}"])
        yield table, config.oracle.games


def declares(path):
    """Whether a table file declares a comparison of its rows."""
    return OmegaConf.load(path).primary is not None


def test_every_shipped_table_has_at_least_the_games_that_intervals_need():
    """T on the log gap covers from 10 games on, the paired ratio from 50."""
    sizes = dict(shipped_sizes())
    assert {"six_algorithms", "egpo_tabular", "comal_game", "inpo_theory"} <= set(sizes)
    # A single game prints no interval at all.
    assert min(size for size in sizes.values() if size > 1) >= 10
    assert sizes["egpo_tabular"] >= 100
    on_prompts = {path.stem for path in (CONF / "experiment" / "mini").glob("*.yaml")}
    on_prompts |= {path.stem for path in (CONF / "table").glob("question*.yaml")} - set(sizes)
    tables = [path for path in (CONF / "table").glob("*.yaml") if path.stem not in on_prompts]
    compared = [path.stem for path in tables if declares(path)]
    assert {"egpo_tabular", "egpo_tabular_sampled"} <= set(compared)
    assert min(sizes[name] for name in compared) >= 50
