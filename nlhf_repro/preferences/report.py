"""The report of a learned preference: JSON, Markdown and a reliability plot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import isnan
from pathlib import Path
from typing import Any

from nlhf_repro.preferences.measures import plain

TITLES = {
    "accuracy": "accuracy",
    "log_loss": "log-loss, nats",
    "calibration_error": "calibration error (ECE)",
    "position_bias": "position bias",
    "position_inconsistency": "disagreement of the two orders",
    "cycle_share": "triples that cycle",
    "cyclic_part": "cyclic part of squared log-odds",
    "true_cycle_share": "triples that cycle, asked oracle",
    "true_cyclic_part": "cyclic part of squared log-odds, asked oracle",
    "absolute_error": "mean absolute error of P, against the asked oracle",
    "agreement": "same preference as the asked oracle, ties half",
    "rank_correlation": "rank correlation with the asked oracle (tau-b)",
}


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write report.json, report.md and reliability.png."""
    text = json.dumps(plain(report), indent=2, sort_keys=True)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    (folder / "report.md").write_text("\n".join(markdown(plain(report))) + "\n", encoding="utf-8")
    _plot(folder / "reliability.png", report)


def markdown(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines of report.md."""
    parts = report["parts"]
    yield f"# Learned oracle: {report['kind']}"
    yield ""
    yield f"Learned from {report['source']}; kept after {report['kept_step']} steps."
    yield (
        f"{parts['training']} comparisons to learn from, {parts['validation']} to check on, "
        f"{parts['held_out']} held out; no prompt is in two parts. {parts['left_out']} were longer "
        "than max_tokens and left out."
    )
    if report["unknown_tokens"] > 0:
        yield f"{report['unknown_tokens']:.1%} of the tokens are unknown to the tokenizer."
    yield ""
    yield "| on held-out prompts | value | 95% interval | prompts |"
    yield "|---|---|---|---|"
    for name, value in _measures(report):
        shown = f"{value['value']:.4f}", f"[{value['lower']:.4f}, {value['upper']:.4f}]"
        interval = "none" if isnan(value["lower"]) else shown[1]
        yield f"| {TITLES[name]} | {shown[0]} | {interval} | {value['prompts']} |"
    yield ""
    yield (
        "Intervals are clustered by prompt and belong to this one fit: another seed or other "
        "comparisons to learn from would differ by more."
    )
    known = report["calibration_error_if_calibrated"]
    if known is not None:
        yield (
            f"A calibrated model would read a calibration error of {known:.4f} on as many drawn "
            "answers: noise counts as error."
        )
    if report["kind"] == "reward_model":
        yield "Position bias and cycles: none, since a reward ranks responses one by one."
    elif "cycle_share" not in report:
        yield "Cycles: not measured, since no held-out prompt has three responses."
    yield ""
    yield f"Reliability, {len(report['reliability'])} bins of equal mass, both orders:"
    yield ""
    yield "| predicted from | to | count | mean predicted | answered |"
    yield "|---|---|---|---|---|"
    for row in report["reliability"]:
        numbers = (row[x] for x in ("lowest", "highest", "predicted", "answered"))
        low, high, predicted, answered = (f"{x:.3f}" for x in numbers)
        yield f"| {low} | {high} | {row['count']} | {predicted} | {answered} |"


def summary(report: Mapping[str, Any]) -> Iterator[str]:
    """The measures in a line each, for a terminal."""
    for name, value in _measures(report):
        interval = f", 95% interval [{value['lower']:.4g}, {value['upper']:.4g}]"
        shown = "" if isnan(value["lower"]) else interval
        count = f"{value['prompts']} held-out prompts"
        yield f"{TITLES[name]}: {value['value']:.4g}{shown} over {count}"


def _measures(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((name, report[name]) for name in TITLES if report.get(name) is not None)


def _plot(path: Path, report: Mapping[str, Any]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    bins = report["reliability"]
    axes.plot([row["predicted"] for row in bins], [row["answered"] for row in bins], marker="o")
    axes.set(
        xlabel="predicted probability",
        ylabel="share of answers",
        title=f"{report['kind']}, held-out prompts",
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
    )
    figure.savefig(path, dpi=120, metadata={"Software": None})
