"""What `nlhf plan` assumes of a benchmark unless it is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Usual:
    """What is assumed of a benchmark unless it is said: SDs of one algorithm, in its unit."""

    questions: int
    prompt_sd: float
    noise_sd: float
    seed_sds: tuple[float, ...]  # tabulated, as no measurement is public
    unit: str
    source: str


_PERCENT = (
    "planning values, our reading; the second leaves .85 points on 805 questions, and published "
    "re-evaluations of one checkpoint had an SD of .72 and .91"
)
USUAL = {
    "alpaca_eval": Usual(805, 14.0, 24.0, (0.0, 0.5, 1.0, 2.0), "points of percent", _PERCENT),
    "arena_hard": Usual(500, 14.0, 24.0, (0.0, 0.5, 1.0, 2.0), "points of percent", _PERCENT),
    "mt_bench": Usual(
        80,
        2.1 / 2**0.5,
        0.0,
        (),
        "points of 1 to 10",
        "per-question differences of two models had an SD of 1.6 to 2.6 points; the middle, 2.1, "
        "is taken, none of it shrinking with more seeds (our reading, the cautious one)",
    ),
}


# By arXiv number what a paper says of its compute; of any other nothing is stated.
STATED_COMPUTE = {
    "2405.00675": "8 A100, time not stated",
    "2404.03715": (
        "an iteration of the 600k experiment: sampling 18 to 24 h on 80 A100-80G (about 6,000 US "
        "dollars), annotation about 34,000 US dollars, training 12 to 24 h on 16 A100-80G; by us, "
        "1,632 to 2,304 A100 hours together"
    ),
    "2407.00617": "not stated",
}
