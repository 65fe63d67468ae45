"""Ticks of logarithmic axes: plain numbers, few of them, none that collides."""

from __future__ import annotations

from itertools import pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nlhf_repro.reporting.ticks import LABELLED, label_few_ticks


def labels(low, high):
    """The boxes and texts of the labels of a panel as narrow as a forest plot's."""
    figure = Figure(figsize=(2.7, 2.0), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    label_few_ticks(ax)
    figure.canvas.draw()
    assert ax.get_xlim() == pytest.approx((low, high))
    drawn = [*ax.get_xticklabels(), *ax.get_xticklabels(minor=True)]
    shown = [x for x in drawn if x.get_text() and low <= x.get_position()[0] <= high]
    boxes = sorted((x.get_window_extent() for x in shown), key=lambda box: box.x0)
    return [x.get_text() for x in shown], boxes


@pytest.mark.parametrize(
    ("ends", "texts"),
    [
        ((0.09, 0.8), ["0.1", "0.2", "0.5"]),
        ((0.7, 4.9), ["1", "2"]),
        ((0.93, 1.08), ["0.95", "1", "1.05"]),
        ((1e-5, 1.05e-4), ["1e-5", "2e-5", "5e-5", "1e-4"]),
        ((1.1e-5, 1.5e-5), ["1.2e-5", "1.4e-5"]),
        ((99990.0, 100040.0), ["100000", "100020", "100040"]),
    ],
)
def test_labels_are_plain_where_less_than_two_decades_are_shown(ends, texts):
    assert labels(*ends)[0] == texts


@pytest.mark.parametrize("low", [1e-12, 1.3e-5, 0.02, 0.11, 0.93, 3.0])
@pytest.mark.parametrize("ratio", [1.15, 2.0, 4.0, 9.0, 30.0, 90.0, 1e3, 1e8])
def test_no_label_runs_into_another(low, ratio):
    texts, boxes = labels(low, low * ratio)
    assert 2 <= len(texts) <= LABELLED + 1 and len(set(texts)) == len(texts)
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
