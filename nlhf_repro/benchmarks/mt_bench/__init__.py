"""MT-Bench: single-answer ratings and pairwise verdicts in, question-clustered scores out."""

from nlhf_repro.benchmarks.mt_bench.pairs import Pair, parse_winner, read_pairs, score_pairs
from nlhf_repro.benchmarks.mt_bench.questions import OFFICIAL_QUESTIONS, read_categories
from nlhf_repro.benchmarks.mt_bench.ratings import Rating, parse_rating, read_ratings
from nlhf_repro.benchmarks.mt_bench.scores import score_ratings
from nlhf_repro.benchmarks.mt_bench.upstream import UpstreamMeans, upstream_means

__all__ = [
    "OFFICIAL_QUESTIONS",
    "Pair",
    "Rating",
    "UpstreamMeans",
    "parse_rating",
    "parse_winner",
    "read_categories",
    "read_pairs",
    "read_ratings",
    "score_pairs",
    "score_ratings",
    "upstream_means",
]
