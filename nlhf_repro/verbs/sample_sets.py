"""What language models of an experiment answered, for a report: of a folder, or of bundles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nlhf_repro.interfaces import RowRecord, ShownPrompt
from nlhf_repro.pipeline.cell import is_complete, read_run, run_directory, stage_store
from nlhf_repro.pipeline.keys import is_language
from nlhf_repro.pipeline.records import DeclaredCell
from nlhf_repro.reporting.report import SampleSet

EVALUATION = "evaluation prompts"
CHOSEN = "by the first seed in the first world: the first that was sampled, not a chosen one"


def stored_sets(
    cells: Sequence[DeclaredCell], records: Sequence[RowRecord], output_dir: Path
) -> Iterator[SampleSet]:
    """The evaluation prompts, and the questions of judged benchmarks, from an output folder.

    Their texts and what the oracle says of answers come from the parts that the cells configure.
    """
    if not is_language(cells[0].config) or not any(record.seeds for record in records):
        return
    from nlhf_repro.pipeline.language.round_robins import shown_prompts
    from nlhf_repro.pipeline.language.shown_judgments import judged_names, shown_questions

    store = stage_store(output_dir)
    prompts = shown_prompts(cells, records, None, store)
    yield SampleSet(
        title=EVALUATION,
        note=f"One answer of every row to every evaluation prompt, {CHOSEN}.",
        compared_with="the probability with which the true oracle prefers it to the reference's"
        if _compared(prompts)
        else "",
        prompts=tuple(prompts),
    )
    for name in judged_names(cells[0].config):
        questions = shown_questions(name, cells, records, store)
        yield SampleSet(
            title=f"questions of {name}",
            note=f"Every row's answer to every question of {name}, by the first seed in the first "
            "world.",
            compared_with="how the judge scored it against the answer it is compared with, the "
            "mean over the judge's draws"
            if _compared(questions)
            else "",
            prompts=tuple(questions),
        )


def _compared(prompts: Iterable[ShownPrompt]) -> bool:
    return any(answer.preferred is not None for x in prompts for answer in x.answers)


def bundled_sets(
    cells: Sequence[DeclaredCell], records: Sequence[RowRecord], output_dir: Path
) -> Iterator[SampleSet]:
    """The answers to evaluation prompts that bundles hold; none where they hold none.

    No part that a bundle names is built: it could be any code. So a prompt has its identifier
    alone, and no oracle reads the answers.
    """
    if not is_language(cells[0].config):
        return
    from nlhf_repro.pipeline.language.stored_answers import stored_prompts

    if prompts := stored_prompts(cells, records, output_dir):
        yield SampleSet(
            title=EVALUATION,
            note=f"One answer of every row to every evaluation prompt, {CHOSEN}. Bundles hold "
            "answers and no prompts, so that a prompt is named by its identifier, and nothing "
            "is said of which answer is preferred.",
            compared_with="",
            prompts=tuple(prompts),
        )


def not_in_bundles(cells: Sequence[DeclaredCell], output_dir: Path) -> Iterator[str]:
    """What a report of an output folder shows and these bundles do not, a sentence each."""
    if not is_language(cells[0].config):
        return
    from nlhf_repro.pipeline.language.stored_answers import without_answers

    complete = [cell for cell in cells if is_complete(output_dir, cell.key)]
    if lacking := without_answers(cells, complete, output_dir):
        yield (
            f"The bundles hold no answers of {', '.join(lacking)}, so that none are shown: nlhf "
            "export --texts puts them in."
        )
    directories = [run_directory(output_dir, cell.key) for cell in complete]
    if judged := _judged([read_run(directory) for directory in directories]):
        yield (
            f"Answers to the questions of {', '.join(judged)} are not shown from bundles: nlhf "
            "report where they were run shows them."
        )
    logs = [(cell.row, x / "training.jsonl") for cell, x in zip(complete, directories, strict=True)]
    if rows := dict.fromkeys(row for row, log in logs if not log.exists()):
        yield (
            f"The bundles lack training logs of {', '.join(rows)}, so that curves of what was "
            "logged in training leave those out."
        )


def _judged(runs: Sequence[dict[str, Any]]) -> list[str]:
    """The benchmarks that a judge scored."""
    return list(dict.fromkeys(name for run in runs for name in run.get("judges") or {}))
