"""Tasks of EleutherAI's lm-evaluation-harness, asked of a model in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, final, get_args

import numpy as np

from nlhf_repro.benchmarks.academic.choice import choose_metrics
from nlhf_repro.benchmarks.academic.files import read_run
from nlhf_repro.benchmarks.academic.isolation import (
    EXAMPLES,
    confined,
    logged,
    seed_answers,
    undisturbed,
)
from nlhf_repro.benchmarks.academic.loading import load_tasks, require_packages_and_data
from nlhf_repro.benchmarks.academic.scores import metric_name, score_run
from nlhf_repro.benchmarks.academic.task_files import digests, require_tasks
from nlhf_repro.benchmarks.academic.writing import reading_notes, write_run
from nlhf_repro.interfaces import ImpossibleSettingError, MetricScores
from nlhf_repro.seeds import seed_for

Examples = Literal["fixed", "by_seed"]
"""fixed: lm-eval's own draw of few-shot examples, whatever the seed; by_seed: every training
seed draws its own, so that the spread over seeds holds their luck too."""


@final
@dataclass(frozen=True)
class HarnessTasks:
    """The macro average of lm-eval tasks, tasks of equal weight; of a single task, its own metric.

    Attributes:
        tasks: Names of tasks, groups or tags, of lm-eval or of `include_path`; of a group the
            average takes what lm-eval reports of the group.
        shots: Examples in the prompt, by name; the task's own number where none is given.
        metrics: Metric by name ("acc", "exact_match,strict-match"); needed where there are several.
        include_path: A folder of further tasks; data files in it by absolute path.
        limit: The first documents of every task; null for all.
        batch_size: Rows of a forward pass.
        apply_chat_template: Whether prompts go through the model's chat template, examples as turns
            of the conversation.
        examples: Who shares the draw of few-shot examples.
        shared_cache: Whether data lie in Hugging Face's own cache, to be downloaded once; otherwise
            nothing outside of the record's folder is written.
    """

    tasks: Sequence[str]
    shots: Mapping[str, int | None]
    metrics: Mapping[str, str]
    include_path: str | None
    limit: int | None
    batch_size: int
    apply_chat_template: bool
    examples: Examples
    shared_cache: bool

    def __post_init__(self) -> None:
        names = list(self.tasks)
        if not names or len(set(names)) < len(names):
            raise ImpossibleSettingError(
                f"tasks = {names} must name at least one task of lm-eval, and none twice."
            )
        for key, least in (("limit", 1), ("batch_size", 1)):
            value = getattr(self, key)
            if value is not None and value < least:
                raise ImpossibleSettingError(f"{key} = {value} must be at least {least}.")
        for name, number in self.shots.items():
            if number is not None and number < 0:
                raise ImpossibleSettingError(f"shots.{name} = {number} must be at least 0.")
        if self.examples not in get_args(Examples):
            raise ImpossibleSettingError(
                f"examples = {self.examples} is unknown: choose from "
                f"{', '.join(get_args(Examples))}."
            )

    @property
    def comparable(self) -> bool:
        """With all documents, up to the shots and the template, which the notes say."""
        return self.limit is None

    @property
    def draws_by_seed(self) -> bool:
        """Where examples are drawn anew for every seed."""
        return self.examples == "by_seed"

    def check(self) -> None:
        """Find what is wrong before anything is trained; without network, in under a second.

        Raises:
            ImpossibleSettingError: no such folder or task, a package or permission that is missing.
        """
        if self._folder is not None and not self._folder.is_dir():
            raise ImpossibleSettingError(
                f"include_path = {self.include_path} is no folder: give one with tasks of lm-eval."
            )
        require_tasks(self.tasks, self._folder)
        require_packages_and_data(self.tasks)

    def fingerprint(self) -> Mapping[str, str]:
        """Versions of lm-eval and its libraries, and SHA-256 of the files of `include_path`.

        The data of lm-eval's own tasks are the hub's newest; the record names their revision.
        """
        packages = ("lm_eval", "datasets", "transformers")
        found = {package: version(package) for package in packages}
        return found | (digests(self._folder) if self._folder else {})

    def score_model(
        self, model: Any, tokenizer: Any, seed: int, folder: Path
    ) -> tuple[MetricScores, tuple[str, ...]]:
        """The metric in percent, a value a document; lm-eval's own files go to `folder`.

        Raises:
            ImpossibleSettingError: see `check`; data that cannot be loaded, shots or metrics that a
                task does not have, or a tokenizer without the chat template that is asked for.
            UnusableAnnotationsError: what lm-eval computed does not agree with its documents.
        """
        self.check()
        if self.apply_chat_template and not getattr(tokenizer, "chat_template", None):
            raise ImpossibleSettingError(
                "apply_chat_template = true, but the model's tokenizer has no chat template: set "
                "apply_chat_template=false."
            )
        folder.mkdir(parents=True, exist_ok=True)
        with (
            logged(folder / "lm_eval.log"),
            undisturbed(model),
            confined(folder, self.shared_cache),
        ):
            path, chosen, notes = self._evaluate(model, deepcopy(tokenizer), seed, folder)
        scores = score_run(read_run(path), chosen if len(chosen) > 1 else None)
        names = [metric_name(key, name) for name, key in chosen.items()]
        metric = scores.metrics["macro_average" if len(names) > 1 else names[0]]
        what = f"mean over {len(names)} tasks of equal weight: " if len(names) > 1 else ""
        return metric, (
            f"{what}{', '.join(names)} ({scores.version})",
            *scores.notes,
            *self._notes(metric),
            *notes,
        )

    @property
    def _folder(self) -> Path | None:
        return None if self.include_path is None else Path(self.include_path).expanduser()

    def _notes(self, metric: MetricScores) -> tuple[str, ...]:
        flat = [
            part
            for part in dict.fromkeys(metric.strata or ())
            if np.ptp(metric.values[[each == part for each in metric.strata or ()]]) == 0
        ]
        return (
            f"prompts {'through' if self.apply_chat_template else 'without'} the chat template",
            *(["examples drawn anew for every seed"] if self.examples == "by_seed" else []),
            *(
                [
                    f"all documents of {', '.join(flat)} score alike, so that its part of the "
                    "error is not known and counts as 0"
                ]
                if flat
                else []
            ),
        )

    def _evaluate(
        self, model: Any, tokenizer: Any, seed: int, folder: Path
    ) -> tuple[Path, dict[str, str], tuple[str, ...]]:
        """lm-eval's results file, the metric of every name, and what happened to the prompts."""
        from lm_eval import evaluate
        from lm_eval.models.huggingface import HFLM

        loaded, members = load_tasks(self.tasks, self.shots, self._folder)
        chosen = choose_metrics(loaded, members, self.metrics)
        drawn = EXAMPLES if self.examples == "fixed" else seed_for("academic", "examples", seed)
        for task in loaded["tasks"].values():
            task.set_fewshot_seed(seed=drawn)
        reader = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=self.batch_size)
        seed_answers(model, seed_for("academic", "answers", seed))
        # Not simple_evaluate, which reseeds, has one number of shots and asks the machine for
        # versions of everything; no bootstrap, as the intervals are ours.
        results = evaluate(
            reader,
            loaded,
            limit=self.limit,
            bootstrap_iters=0,
            log_samples=True,
            apply_chat_template=self.apply_chat_template,
            fewshot_as_multiturn=self.apply_chat_template,
        )
        notes = reading_notes(results["samples"], reader)
        return write_run(folder, results, loaded["tasks"], seed), chosen, notes
