"""The stages of a judged benchmark: answer its questions, ask its judge, score the verdicts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nlhf_repro.interfaces import (
    Answers,
    Array,
    Judge,
    JudgedBenchmark,
    JudgeReply,
    JudgeRequest,
    Judgment,
)
from nlhf_repro.pipeline.answer_files import answer_file
from nlhf_repro.pipeline.files import digest
from nlhf_repro.pipeline.language.answering import read_answers
from nlhf_repro.pipeline.language.judged_notes import (
    agreement_notes,
    aligned,
    lost_note,
    merged,
    provenance,
)
from nlhf_repro.pipeline.language.task import LanguageTask
from nlhf_repro.pipeline.scored import judge_node, judge_of, judged_benchmark
from nlhf_repro.pipeline.stages import at_last, load_trajectory, write_judge_draws, write_scores
from nlhf_repro.uncertainty import plain_values

Config = Mapping[str, Any]

FILE, JUDGE = "judgments.parquet", "judge.json"
POLICY, REFERENCE = "policy", "reference_policy"
_COLUMNS = ("iterate", "draw", "request", "attempt", "text", "first_token", "finish")
_COUNTS = ("prompt_tokens", "completion_tokens")


@dataclass(frozen=True)
class Compared:
    """Where the policy's answers lie, and those of the reference where they are compared."""

    policy: Path
    reference: Path | None

    def own(self) -> dict[str, Answers]:
        """The policy's answers by iterate."""
        return read_answers(self.policy, POLICY)

    def baseline(self, benchmark: JudgedBenchmark) -> Answers | None:
        """What they are compared with."""
        if self.reference is None:
            return benchmark.baseline()
        return read_answers(self.reference, REFERENCE)["last"]


def judge_stage(config: Config, name: str, compared: Compared, folder: Path) -> None:
    """Ask the judge about every answer, `repeats` times; write its replies and what they cost.

    Replies lie in a file of the output folder as soon as they are there, so that after a kill or a
    failure only the rest is asked for; a judge that calls itself `instant` is asked anew.
    """
    from nlhf_repro.asking.kept import KeptAnswers

    benchmark, judge = judged_benchmark(config, name), judge_of(config, name)
    asked = judge
    if not getattr(judge, "instant", False):
        path = answer_file(Path(config["output_dir"]), judge_node(config, name))
        asked = KeptAnswers(judge, path)
    baseline = compared.baseline(benchmark)
    judgments = {}
    for iterate, own in compared.own().items():
        requests = benchmark.requests(own, baseline)
        drawn = [replace(x, draw=d) for d in range(benchmark.repeats) for x in requests]
        judgments[iterate] = judged(asked, benchmark, drawn)
    _write(folder, judgments)
    replies = [reply for each in judgments.values() for x in each for reply in x.replies]
    description = {
        "judge": judge.name,
        "identity": judge.identity,
        "usage": asdict(asked.usage),  # of the process that finished; the replies cost in all:
        "replies": {
            "count": len(replies),
            "prompt_tokens": sum(reply.prompt_tokens for reply in replies),
            "completion_tokens": sum(reply.completion_tokens for reply in replies),
        },
    }
    (folder / JUDGE).write_text(json.dumps(description, indent=2, sort_keys=True))


def judged(
    judge: Judge, benchmark: JudgedBenchmark, requests: Sequence[JudgeRequest]
) -> list[Judgment]:
    """Every request with its replies, follow-ups included."""
    found = [Judgment(request, ()) for request in requests]
    waiting = list(enumerate(requests))
    while waiting:
        for (place, _), reply in zip(waiting, _replies(judge, waiting), strict=True):
            found[place] = replace(found[place], replies=(*found[place].replies, reply))
        further = ((place, benchmark.follow_up(found[place])) for place, _ in waiting)
        waiting = [(place, request) for place, request in further if request is not None]
    return found


def _replies(judge: Judge, waiting: Sequence[tuple[int, JudgeRequest]]) -> list[JudgeReply]:
    replies: dict[int, JudgeReply] = {}
    judge.answer([request for _, request in waiting], replies.__setitem__)
    return [replies[place] for place in range(len(waiting))]


def score_judged_stage(
    config: Config,
    name: str,
    policy_key: str,
    version: str,
    training: Path,
    compared: Compared,
    asked: Path,
    folder: Path,
) -> None:
    """Score the last update's verdicts, a draw of the judge at a time; write what was scored.

    scores.parquet has a value a question, the mean over draws; other updates have NaN. Questions
    without a usable verdict leave the metric and its variance those of the others (`aligned`): the
    benchmark refuses more than a few, and the notes count them. `upstream/` holds every draw's
    answers and judgments in the format of the benchmark's own tools.
    """
    benchmark, judge = judged_benchmark(config, name), judge_of(config, name)
    places = {question.identifier: x for x, question in enumerate(benchmark.questions())}
    baseline = compared.baseline(benchmark)
    updates = load_trajectory(training).updates
    scores: dict[str, Array] = {}
    draws: dict[str, Array] = {}
    notes: list[str] = []
    lost = 0
    judgments = _read(asked, benchmark, compared, baseline)
    for iterate, own in compared.own().items():
        values, said = [], []
        for draw in range(benchmark.repeats):
            written = folder / "upstream" / iterate / f"draw-{draw}"
            written.mkdir(parents=True)
            drawn = [x for x in judgments[iterate] if x.request.draw == draw]
            benchmark.write(written, own, baseline, drawn, judge.name)
            metric, of_draw = benchmark.score(written, own.name)
            said.append(of_draw)
            lost += len(places) - len(metric.questions)
            values.append(aligned(metric.questions, plain_values(metric), places, name))
        prefix = "" if iterate == "last" else f"iterate {iterate}: "
        notes += [f"{prefix}{note}" for note in merged(said)]
        draws[iterate] = at_last(np.stack(values), len(updates))
        scores[iterate] = at_last(np.mean(values, axis=0), len(updates))
    write_scores(folder, scores, updates, policy_key, name, version)
    write_judge_draws(folder, draws)
    description = {
        "benchmark": name,
        "version": version,
        "floor": 0.0,
        "judge": f"{judge.name} ({digest(judge.identity)[:12]})",  # all of it: judge.json
        "scored_updates": [float(updates[-1])],
        "notes": [
            provenance(benchmark, judge),
            *agreement_notes(judge, LanguageTask(config, None).oracle(), judgments["last"]),
            *notes,
            *lost_note(lost, len(places) * benchmark.repeats * len(scores)),
        ],
        "questions": list(places),
    }
    (folder / "benchmark.json").write_text(json.dumps(description, sort_keys=True))
    shutil.copy(asked / JUDGE, folder / JUDGE)


def _write(folder: Path, judgments: Mapping[str, Sequence[Judgment]]) -> None:
    """One line a reply; texts as JSON, which keeps what UTF-8 cannot."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        (
            iterate,
            judgment.request.draw,
            judgment.request.identifier,
            attempt,
            json.dumps(reply.text),
            json.dumps(reply.first_token, sort_keys=True),
            json.dumps(reply.finish),
            reply.prompt_tokens,
            reply.completion_tokens,
        )
        for iterate, each in judgments.items()
        for judgment in each
        for attempt, reply in enumerate(judgment.replies)
    ]
    names = (*_COLUMNS, *_COUNTS)
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    table = pa.table({name: list(x) for name, x in zip(names, columns, strict=True)})
    pq.write_table(table, folder / FILE, compression="zstd")


def _read(
    asked: Path, benchmark: JudgedBenchmark, compared: Compared, baseline: Answers | None
) -> dict[str, list[Judgment]]:
    """The judgments by iterate: requests as the answers determine them, replies as stored."""
    import pyarrow.parquet as pq

    replies: dict[tuple[str, str, int], list[JudgeReply]] = {}
    for row in pq.read_table(asked / FILE).to_pylist():
        reply = JudgeReply(
            json.loads(row["text"]),
            json.loads(row["first_token"]),
            row["prompt_tokens"],
            row["completion_tokens"],
            json.loads(row["finish"]),
        )
        replies.setdefault((row["iterate"], row["request"], row["draw"]), []).append(reply)
    return {
        iterate: [
            Judgment(replace(request, draw=draw), tuple(replies[iterate, request.identifier, draw]))
            for draw in range(benchmark.repeats)
            for request in benchmark.requests(own, baseline)
        ]
        for iterate, own in compared.own().items()
    }
