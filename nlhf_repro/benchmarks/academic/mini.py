"""Academic tasks for the mini world, in its words: the same code path as the published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

from nlhf_repro.benchmarks.academic.harness import Examples, HarnessTasks
from nlhf_repro.interfaces import ImpossibleSettingError, MetricScores

NOTE = "academic_mini: tasks of our own for the mini world, not comparable with published numbers"


def mini_folder() -> Path:
    """The tasks of academic_mini: in the package, or in benchmarks/ of a checkout."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "mini" / "academic", package.parent / "benchmarks/mini/academic"):
        if folder.is_dir():
            return folder
    raise ImpossibleSettingError(
        f"the tasks of academic_mini lie neither in nor beside {package}: install nlhf_repro again."
    )


@final
@dataclass(frozen=True)
class MiniTasks:
    """`HarnessTasks` over tasks that ship: faithful summaries, agreement of style, facts retold.

    Their posts are of facts that no world trains on. Nothing outside of the record's folder is
    written.
    """

    tasks: Sequence[str]
    metrics: Mapping[str, str]
    limit: int | None
    batch_size: int
    comparable: ClassVar[bool] = False
    draws_by_seed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._harness()

    def check(self) -> None:
        """As of `HarnessTasks`."""
        self._harness().check()

    def fingerprint(self) -> Mapping[str, str]:
        """As of `HarnessTasks`: versions, and SHA-256 of the tasks' files."""
        return self._harness().fingerprint()

    def score_model(
        self, model: Any, tokenizer: Any, seed: int, folder: Path
    ) -> tuple[MetricScores, tuple[str, ...]]:
        """As of `HarnessTasks`; the notes begin with what the numbers must not be compared with."""
        scores, notes = self._harness().score_model(model, tokenizer, seed, folder)
        return scores, (NOTE, *notes)

    def _harness(self) -> HarnessTasks:
        examples: Examples = "fixed"  # there are none
        return HarnessTasks(
            tasks=self.tasks,
            shots={},
            metrics=self.metrics,
            include_path=str(mini_folder()),
            limit=self.limit,
            batch_size=self.batch_size,
            apply_chat_template=True,
            examples=examples,
            shared_cache=False,
        )
