"""Academic tasks: the files of lm-eval in, values per document out."""

from nlhf_repro.benchmarks.academic.files import Run, TaskSamples, read_run
from nlhf_repro.benchmarks.academic.scores import score_run

__all__ = ["Run", "TaskSamples", "read_run", "score_run"]
