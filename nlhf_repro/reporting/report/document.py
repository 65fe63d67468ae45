"""The document of a report: what its page shows, as JSON, from the records alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.answers import table_answers
from nlhf_repro.reporting.forest import forest_columns
from nlhf_repro.reporting.report.cautions import cautions, row_notes, shortfalls
from nlhf_repro.reporting.report.costs import cost_tables, mean_spending
from nlhf_repro.reporting.report.encoding import Json, table_json
from nlhf_repro.reporting.report.figures import figures_json
from nlhf_repro.reporting.report.material import Material
from nlhf_repro.reporting.report.meetings import matrix_json, meeting_answers
from nlhf_repro.reporting.report.provenance import provenance_json
from nlhf_repro.reporting.report.samples import samples_json
from nlhf_repro.reporting.report.variance import variance_tables
from nlhf_repro.reporting.round_robin import render_round_robin
from nlhf_repro.reporting.series import collapse_exact
from nlhf_repro.reporting.table import render_table


def report_document(materials: Sequence[Material]) -> Json:
    """The sections of a report, one an experiment, in their order.

    Every number of a table comes from the cell that its CSV prints; curves are those of the
    figures. The same records give the same document.
    """
    return {
        "title": "Report: " + ", ".join(x.name for x in materials),
        "sections": [_section(x) for x in materials],
    }


def _section(material: Material) -> Json:
    specification, records = material.specification, material.records
    rows = [collapse_exact(row) for row in records]
    table = render_table(records, specification)
    spending = {row.label: mean_spending(row.label, material.cells) for row in records}
    return {
        "name": material.name,
        "title": specification.title,
        "asked": list(material.asked) or [specification.caption],
        "level": specification.level,
        "cautions": cautions(material, rows),
        "row_notes": row_notes(rows),
        "shortfalls": shortfalls(material),
        "answers": [asdict(x) for x in table_answers(records, specification)],
        "table": table_json(table, material.name),
        "forest": [asdict(x) for x in forest_columns(table, specification)],
        "figures": figures_json(rows, material.logged, specification, spending),
        "meetings": _meetings(material),
        "variance": list(_variance(rows, material)),
        "costs": [
            table_json(each, f"{material.name}-{name}")
            for name, each in cost_tables(records, material.cells)
        ],
        "samples": [samples_json(each) for each in material.samples],
        "provenance": provenance_json(material),
    }


def _meetings(material: Material) -> Json | None:
    record, specification = material.round_robin, material.specification
    if record is None:
        return None
    table = render_round_robin(record, specification.title, specification.level)
    return {
        "table": table_json(table, f"{material.name}-round-robin"),
        "matrix": matrix_json(record, table),
        "answers": [asdict(x) for x in meeting_answers(record, table, specification.level)],
    }


def _variance(rows: Sequence[RowRecord], material: Material) -> Iterator[Json]:
    for header, table in variance_tables(rows, material.specification):
        name = "-".join("".join(x if x.isalnum() else " " for x in header).split())
        yield table_json(table, f"{material.name}-variance-{name}")
