"""Labels of points in plots cover neither each other nor the ends of the plot, however close the points are."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import matplotlib as mpl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from coremlbench.report.render.figures import LIGHT, new_canvas, rc_style
from coremlbench.report.render.plot_labels import PointLabel, place_labels
from coremlbench.report.render.plots import draw_plots
from tests import record_samples as samples
from tests.report.test_build import report_of

NAMES = (
    "efficientnet_v2_large_feature_vector_classification",
    "mobilenet_v3_large_100_224_fine_tuned_on_birds",
    "resnet152_imagenet_pretrained_and_frozen",
    "vit-b16-224-in21k-finetuned-cifar100-v2",
)


def assert_apart(axes: Axes) -> list[Annotation]:
    """Return the annotations of the axes, none of which covers another or leaves the axes."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    frame = axes.get_window_extent().padded(1)
    annotations = [text for text in axes.texts if isinstance(text, Annotation)]
    boxes = [Text.get_window_extent(annotation) for annotation in annotations]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(frame.contains(*box.min) and frame.contains(*box.max) for box in boxes)
    return annotations


@pytest.mark.parametrize(
    "points",
    [
        [(0, 0), (100, 100), (0, 100), (100, 0)],
        [(50, 50)] * 8,
        [(10 + step, 60) for step in range(8)],
    ],
    ids=["corners", "one place", "a row"],
)
def test_labels_are_apart(points: Sequence[tuple[float, float]]) -> None:
    with mpl.rc_context(rc_style(LIGHT)):
        _, (axes,) = new_canvas(2.8)
        axes.plot([x for x, _ in points], [y for _, y in points])
        axes.set_xlim(0, 105)
        axes.set_ylim(0, 115)
        place_labels(axes, [PointLabel(f"palettized-{x} (degraded)", x, y, "black") for x, y in points])
        assert len(assert_apart(axes)) == len(points)


def test_a_label_leaves_a_line_free_where_it_can() -> None:
    with mpl.rc_context(rc_style(LIGHT)):
        _, (axes,) = new_canvas(2.8)
        axes.plot([0, 100], [50, 50])
        axes.plot([0, 100], [58, 58])  # where the label would be else
        axes.set_ylim(0, 115)
        place_labels(axes, [PointLabel("int8 (degraded)", 50, 50, "black")])
        (label,) = assert_apart(axes)
        box = Text.get_window_extent(label)
        for height in (50, 58):
            assert not box.y0 < axes.transData.transform((0, height))[1] < box.y1


def test_packages_of_models_with_long_names_are_named_apart() -> None:
    records = []
    for number, name in enumerate(NAMES):
        record = samples.conversion(60 + number, model=name)
        assert record.source is not None
        records.append(replace(record, source=replace(record.source, name=name)))
    plot = next(plot for plot in draw_plots(report_of(*records)) if plot.name == "accuracy-size")
    (axes,) = plot.figure.axes
    labels = assert_apart(axes)
    assert [label.get_text() for label in labels] == ["palettized-4 (degraded)"] * len(NAMES)
