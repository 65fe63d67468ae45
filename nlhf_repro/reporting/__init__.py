"""Tables and figures from the records of an experiment; the statistics come from `uncertainty`."""

from nlhf_repro.reporting.answers import Answer, table_answers
from nlhf_repro.reporting.cells import Cell, RefusedCell, Table, TableRow
from nlhf_repro.reporting.csv_export import to_csv
from nlhf_repro.reporting.figure import draw_figures
from nlhf_repro.reporting.forest import draw_forest
from nlhf_repro.reporting.latex import to_latex
from nlhf_repro.reporting.markdown import to_markdown
from nlhf_repro.reporting.published_matrix import check_published_matrix
from nlhf_repro.reporting.published_specification import check_published_rows
from nlhf_repro.reporting.round_robin import render_round_robin
from nlhf_repro.reporting.round_robin_published import render_published_matrix
from nlhf_repro.reporting.samples_page import samples_page
from nlhf_repro.reporting.specification import TableSpecification, table_specification
from nlhf_repro.reporting.table import render_cost_table, render_table

__all__ = [
    "Answer",
    "Cell",
    "RefusedCell",
    "Table",
    "TableRow",
    "TableSpecification",
    "check_published_matrix",
    "check_published_rows",
    "draw_figures",
    "draw_forest",
    "render_cost_table",
    "render_published_matrix",
    "render_round_robin",
    "render_table",
    "samples_page",
    "table_answers",
    "table_specification",
    "to_csv",
    "to_latex",
    "to_markdown",
]
