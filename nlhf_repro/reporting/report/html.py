"""The page: template, style, scripts and document in one file that needs nothing else."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.reporting.report.document import report_document
from nlhf_repro.reporting.report.encoding import Json
from nlhf_repro.reporting.report.material import Material
from nlhf_repro.reporting.report.samples import keep_what_fits

LIMIT = 5_000_000  # bytes of a page
FOLDER = Path(__file__).parent / "page"
SCRIPTS = (
    "elements",
    "scrolling",
    "tables",
    "axes",
    "forest",
    "curves",
    "pointer",
    "matrix",
    "samples",
    "sections",
    "page",
)


def report_page(materials: Sequence[Material]) -> str:
    """The report as one HTML file in ASCII, below 5 MB: samples that do not fit are left out.

    Raises:
        ImpossibleSettingError: it is too large even without samples.
    """
    document = report_document(materials)
    sets = [each for section in document["sections"] for each in section["samples"]]
    kept = [each["prompts"] for each in sets]
    for each in sets:
        each["prompts"] = []
    least = len(render(document))
    if least > LIMIT:
        raise ImpossibleSettingError(
            f"The report of {len(materials)} experiments takes {least / 1e6:.1f} MB without its "
            f"samples, and a page {LIMIT / 1e6:g} MB at most: name fewer experiments."
        )
    for each, prompts in zip(sets, kept, strict=True):
        each["prompts"] = prompts
    keep_what_fits(sets, LIMIT - least)
    return render(document)


def render(document: Json) -> str:
    """The template with its parts; a policy in it forbids whatever is not in the file."""
    style, script = _asset("style.css"), _script()
    parts = {
        "title": escape(document["title"]).encode("ascii", "xmlcharrefreplace").decode(),
        "policy": (
            f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
        "style": style,
        "script": script,
        "document": embedded(document),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("page.html"))


def embedded(document: Json) -> str:
    """JSON that no parser of HTML can take for markup: in ASCII, without <, > and &."""
    text = json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


@cache
def _asset(name: str) -> str:
    return (FOLDER / name).read_text(encoding="ascii")


@cache
def _script() -> str:
    body = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    return f'(function () {{\n"use strict";\n{body}}})();\n'


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()
