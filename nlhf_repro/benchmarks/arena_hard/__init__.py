"""Arena-Hard v0.1 and v2.0: judgment files in, question-clustered scores out."""

from nlhf_repro.benchmarks.arena_hard.judgments import Judgment, pairwise_wins, read_judgments
from nlhf_repro.benchmarks.arena_hard.questions import Question, read_questions
from nlhf_repro.benchmarks.arena_hard.round_robin import round_robins, score_round_robin
from nlhf_repro.benchmarks.arena_hard.scores import score_judgments
from nlhf_repro.benchmarks.arena_hard.styles import AnswerStyle, read_styles
from nlhf_repro.benchmarks.arena_hard.upstream import UpstreamScore, upstream_scores
from nlhf_repro.benchmarks.arena_hard.upstream_style import upstream_style_scores

__all__ = [
    "AnswerStyle",
    "Judgment",
    "Question",
    "UpstreamScore",
    "pairwise_wins",
    "read_judgments",
    "read_questions",
    "read_styles",
    "round_robins",
    "score_judgments",
    "score_round_robin",
    "upstream_scores",
    "upstream_style_scores",
]
