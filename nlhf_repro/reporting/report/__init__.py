"""One HTML page that shows experiments: a pure function of their records."""

from nlhf_repro.reporting.report.document import report_document
from nlhf_repro.reporting.report.html import LIMIT, report_page
from nlhf_repro.reporting.report.material import CellFacts, Material, Origin, SampleSet

__all__ = [
    "LIMIT",
    "CellFacts",
    "Material",
    "Origin",
    "SampleSet",
    "report_document",
    "report_page",
]
