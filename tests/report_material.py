"""Experiments made by hand for the tests of the report: no run, every part of a page."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import meetings
import numpy as np
from reporting_rows import GAP, lognormal, record

from nlhf_repro.interfaces import ShownAnswer, ShownPrompt
from nlhf_repro.reporting import TableSpecification
from nlhf_repro.reporting.columns import LedgerTotal, MeanValue
from nlhf_repro.reporting.comparison import Primary
from nlhf_repro.reporting.figure_specification import FigureSpecification
from nlhf_repro.reporting.report import CellFacts, Material, SampleSet

EXPLOITABILITY = MeanValue("exploitability", "oracle_exploitability", "last", "last", True)
WIN_RATE = MeanValue("win rate", "oracle_win_rate", "last", "last", True)
COMPARISONS = LedgerTotal("comparisons", "comparisons")
FIGURE = FigureSpecification(
    "exploitability", "Exploitability", "oracle_exploitability", "exploitability", ("last",),
    "comparisons", "none", {"uniform": 0.3}, (), "arithmetic",
)  # fmt: skip
HOSTILE = "</script><script>document.title='broken'</script><!-- \ud800 \u2028 {{document}} \"'&<b>"


def row(label: str, mean: float, seed: int, seeds: int = 3, prompts: int = 40, **fields):
    """A row of four points over prompts: exploitability falls to the mean, the win rate rises."""
    rng = np.random.default_rng(seed)
    effects = 0.004 * rng.standard_normal((seeds, 1, 1)) + 0.03 * np.random.default_rng(
        99
    ).standard_normal((1, prompts, 1))
    noise = effects + 0.02 * rng.standard_normal((seeds, prompts, 4))
    path = np.array([0.4, 0.3 + mean / 4, 0.2 + mean / 2, mean])
    base = record(
        label,
        np.ones((seeds, prompts)),
        updates=np.array([0.0, 4.0, 8.0, 12.0]),
        comparisons=np.array([0.0, 2304.0, 4608.0, 6912.0]),
        preference_evaluations=np.zeros(4),
        values={
            "oracle_exploitability/last": path + noise,
            "oracle_win_rate/last": 0.5 + (0.4 - path) / 2 + noise / 3,
        },
        floors={"oracle_exploitability": 0.0, "oracle_win_rate": 0.0},
        measured={
            "seconds": np.linspace(7.5, 8.5, seeds),
            "peak_memory_mib": np.full(seeds, 700.0),
        },
        clusters="prompts",
    )
    return replace(base, **fields)


def rows() -> list:
    """A baseline, a worse row, one like the baseline, and one of which a seed failed."""
    failed = {"missing": (4,), "failed": {3: "FloatingPointError: it diverged"}}
    return [
        row("INPO", 0.10, 1),
        row("Iterative DPO", 0.16, 2),
        row("SPPO", 0.101, 3),
        row("Nash-MD", 0.12, 4, **failed),
    ]


def specification(*columns, against="INPO", figures=(FIGURE,), column="exploitability"):
    primary = Primary(column, against, "independent") if against else None
    chosen = columns or (EXPLOITABILITY, WIN_RATE, COMPARISONS)
    return TableSpecification("Who is exploitable", "Caption.", chosen, primary, figures, 0.95)


def cells(records) -> list[CellFacts]:
    """A cell for every declared seed of the records."""
    found = []
    for each in records:
        for seed in (*each.seeds, *each.missing, *each.failed):
            done = seed in each.seeds
            run = _run(seed) if done else {}
            if seed in each.failed:
                run = {"status": "failed", "error": each.failed[seed]}
            key = f"{len(found):064x}"
            found.append(CellFacts(each.label, seed, 0, key, done, run))
    return found


def _run(seed: int) -> dict:
    return {
        "status": "complete",
        "commit": {"hash": "0123abcd" * 5, "dirty": False},
        "versions": {"numpy": "2.4.6", "torch": "2.13.0"},
        "python": "3.11.7",
        "hardware": {"machine": "x86_64", "processors": 2},
        "seed_design": "independent",
        "ledger": {"comparisons": 6912, "sampled_tokens": 1000 + seed, "trained_tokens": 3000},
        "measured": {"seconds": 7.5 + seed / 2},
        "judges": {},
    }


def prompts(count: int, labels=("the reference", "INPO", "SPPO"), text: str = "") -> SampleSet:
    """Prompts of which every row has an answer, but for the last row's to the first prompt."""
    shown = []
    for number in range(count):
        answers = [
            ShownAnswer(
                label,
                None
                if (number, label) == (0, labels[-1])
                else f"answer {number} of {label} {text}",
                {"coverage": float(number % 7)},
                None if label == labels[0] else (number % 11) / 10,
            )
            for label in labels
        ]
        shown.append(ShownPrompt(f"prompt/{number}", f"question {number}? {text}", tuple(answers)))
    return SampleSet("evaluation prompts", "One answer of every row.", "P over it", tuple(shown))


def material(records=None, asked=None, **fields) -> Material:
    """Everything that a section can show."""
    records = rows() if records is None else records
    base = Material(
        name="made_by_hand",
        asked=("Question: who is exploitable?", "Primary comparison: all against INPO."),
        command="made_by_hand",
        report="made_by_hand",
        changes=(),
        specification=asked or specification(),
        records=tuple(records),
        logged=(),
        round_robin=meetings.full(),
        lacking=(),
        samples=(prompts(25),),
        cells=tuple(cells(records)),
    )
    return replace(base, **fields)


def games() -> Material:
    """A section about gaps on games, without samples, meetings and a comparison."""
    records = [record(f"Row {place}", lognormal(place)) for place in range(8)]
    asked = specification(GAP, against=None, figures=())
    return material(records, asked, name="games", round_robin=None, samples=())


def document_of(page: str):
    """The JSON that a page embeds."""
    found = re.search(r'<script type="application/json" id="document">(.*?)</script>', page, re.S)
    return json.loads(found[1])
