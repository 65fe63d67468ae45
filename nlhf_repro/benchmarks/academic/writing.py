"""What lm-eval leaves behind: its own files, and what happened to the prompts on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nlhf_repro.interfaces import UnusableAnnotationsError

MODEL = "policy"  # lm-eval knows no name of a model in memory


def write_run(folder: Path, results: dict[str, Any], tasks: Mapping[str, Any], seed: int) -> Path:
    """The path of `results_DATE.json`, with the samples of every task beside it.

    Both are written by lm-eval, so that its own tools read them.

    Raises:
        UnusableAnnotationsError: a file was not written, or documents changed between being asked
            about and being scored.
    """
    from lm_eval.loggers import EvaluationTracker

    samples = results.pop("samples")
    _refuse_changed(samples)
    results |= {
        "lm_eval_version": version("lm_eval"),
        "config": {"model": MODEL, "seed": seed},
        "data_revisions": {name: revision(task) for name, task in tasks.items()},
    }
    tracker = EvaluationTracker(output_path=str(folder / "results.json"))
    tracker.general_config_tracker.model_name = MODEL
    tracker.save_results_aggregated(results=results, samples=samples)
    path = folder / f"results_{tracker.date_id}.json"
    for task, rows in samples.items():
        tracker.save_results_samples(task_name=task, samples=rows)
    for written in (path, *(folder / f"samples_{x}_{tracker.date_id}.jsonl" for x in samples)):
        if not written.is_file():  # lm-eval logs what went wrong, and goes on
            raise UnusableAnnotationsError(
                f"lm-eval did not write {written}: its reason is in {folder / 'lm_eval.log'}."
            )
    return path


def _refuse_changed(samples: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    from lm_eval.utils import handle_non_serializable, hash_string

    for task, rows in samples.items():
        for row in rows:
            text = json.dumps(
                row["doc"], indent=2, default=handle_non_serializable, ensure_ascii=False
            )
            if hash_string(text) != row["doc_hash"]:
                raise UnusableAnnotationsError(
                    f"document {row['doc_id']} of {task} changed between being asked about and "
                    "being scored: the task shuffles when it is read, so fix its random state."
                )


def revision(task: Any) -> str:
    """The hub's commits that the data came from, "" where they are local or not known."""
    found: set[str] = set()
    for split in getattr(task, "dataset", None) or ():
        checksums = getattr(getattr(task.dataset[split], "info", None), "download_checksums", None)
        found |= {
            each.group(1)
            for address in checksums or ()
            if (each := re.match(r"hf://datasets/([^@]+@[0-9a-f]{40})/", str(address)))
        }
    return ", ".join(sorted(found))


def reading_notes(
    samples: Mapping[str, Sequence[Mapping[str, Any]]], reader: Any
) -> tuple[str, ...]:
    """Tasks whose prompts the model could not see whole, or whose words its tokenizer has not.

    Of every document the longest text is looked at.
    """
    notes = []
    unknown = reader.tokenizer.unk_token_id
    for task, rows in samples.items():
        documents = {row["doc_id"]: row["arguments"] for row in rows}
        texts = [max(_texts(each, reader), key=_length) for each in documents.values() if each]
        tokens = [(reader.tok_encode(text), most) for text, most in texts]
        cut = sum(len(each) > most for each, most in tokens)
        foreign = sum(unknown is not None and unknown in each for each, _ in tokens)
        if cut:
            notes.append(
                f"{task}: {cut} of {len(documents)} prompts are longer than the model reads and "
                "lost their beginning"
            )
        if foreign:
            notes.append(
                f"{task}: {foreign} of {len(documents)} prompts hold words that the model's "
                "tokenizer does not know"
            )
    return tuple(notes)


def _texts(arguments: Sequence[Sequence[Any]], reader: Any) -> Iterator[tuple[str, int]]:
    """What a request has the model read, and the most tokens of it that the model sees."""
    from lm_eval.models.utils import normalize_gen_kwargs

    for given in arguments:
        if len(given) == 1:  # read in windows
            yield given[0], len(given[0]) + 1
        elif isinstance(given[1], str):
            yield given[0] + given[1], reader.max_length + 1
        else:
            answer = normalize_gen_kwargs(dict(given[1]), reader.max_gen_toks)["max_gen_toks"]
            yield given[0], reader.max_length - answer


def _length(text: tuple[str, int]) -> int:
    return len(text[0])
