"""Non-maximum suppression, against its definition in numpy and TensorFlow's."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.mil_programs import Builder, few, run, run_one

pytestmark = pytest.mark.tensorflow

seeds = st.integers(0, 1000)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the intersection over the union of two boxes (centre across, down, width, height)."""
    low = np.maximum(first[:2] - first[2:] / 2, second[:2] - second[2:] / 2)
    high = np.minimum(first[:2] + first[2:] / 2, second[:2] + second[2:] / 2)
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / float(np.prod(first[2:]) + np.prod(second[2:]) - shared) if shared else 0.0


def suppressed(boxes: np.ndarray, scores: np.ndarray, least: float, how: dict[str, Any]) -> list[int]:
    """Return the boxes of one sample, (boxes, 4) and (boxes, classes), that are kept, the best first."""
    best, classes = scores.max(1), scores.argmax(1)
    if not (best >= least).any():
        return [int(best.argmax())]
    kept: list[int] = []
    for box in np.argsort(-best, kind="stable"):
        rivals = [other for other in kept if not how["per_class_suppression"] or classes[other] == classes[box]]
        if best[box] >= least and all(overlap(boxes[box], boxes[other]) <= how["iou_threshold"] for other in rivals):
            kept.append(int(box))
    return kept[: how["max_boxes"]]


def scene(seed: int, samples: int, count: int, classes: int, kind: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes in quarters, whose overlaps any precision tells apart from the thresholds, and unequal scores."""
    random = np.random.default_rng(seed)
    boxes = np.concatenate(
        [random.integers(0, 24, (samples, count, 2)), random.integers(4, 20, (samples, count, 2))], 2
    )
    scores = random.permutation(samples * count * classes).reshape(samples, count, classes) - 10
    return (boxes / 4).astype(kind), scores.astype(kind)


def expected_of(boxes: np.ndarray, scores: np.ndarray, least: float, how: dict[str, Any]) -> list[np.ndarray]:
    limit, samples = how["max_boxes"], len(boxes)
    found = [np.zeros((samples, limit, 4)), np.zeros((samples, limit, scores.shape[2]))]
    found += [np.full((samples, limit), -1), np.zeros(samples)]
    for sample, (places, points) in enumerate(zip(boxes.astype(np.float64), scores.astype(np.float64), strict=True)):
        kept = suppressed(places, points, least, how)
        found[0][sample, : len(kept)], found[1][sample, : len(kept)] = places[kept], points[kept]
        found[2][sample, : len(kept)], found[3][sample] = kept, len(kept)
    return found


@given(
    seed=seeds,
    samples=st.integers(1, 3),
    count=st.integers(1, 12),
    classes=st.integers(1, 3),
    limit=st.integers(1, 14),
    threshold=st.sampled_from([0.0, 0.21, 0.43, 1.0]),
    least=st.sampled_from([-100, -3, 5, 12, 1000]),
    apart=st.booleans(),
    kind=st.sampled_from([np.float32, np.float16]),
)
@few
def test_boxes_that_overlap_a_better_one_are_left_out(
    seed: int,
    samples: int,
    count: int,
    classes: int,
    limit: int,
    threshold: float,
    least: int,
    apart: bool,
    kind: Any,
) -> None:
    boxes, scores = scene(seed, samples, count, classes, kind)
    how = {"iou_threshold": kind(threshold), "max_boxes": limit, "per_class_suppression": apart}
    build = lambda b, s: list(  # noqa: E731 - the program is one op
        Builder.non_maximum_suppression(boxes=b, scores=s, score_threshold=kind(least), **how)
    )
    for actual, wanted in zip(
        run(build, "iOS16", b=boxes, s=scores), expected_of(boxes, scores, least, how), strict=True
    ):
        np.testing.assert_array_equal(actual, wanted)
    turned = run(
        lambda b, s: list(Builder.non_maximum_suppression(boxes=b, scores=s, **how)),
        b=boxes.transpose(0, 2, 1),
        s=scores.transpose(0, 2, 1),
    )
    all_rows = expected_of(boxes, scores, -np.inf, how)
    for actual, rows in zip(
        turned, [all_rows[0].transpose(0, 2, 1), all_rows[1].transpose(0, 2, 1), all_rows[2]], strict=True
    ):
        np.testing.assert_array_equal(actual, rows)


def test_it_is_tensorflows() -> None:
    random = np.random.default_rng(0)
    centres, sizes, scores = random.uniform(0, 9, (40, 2)), random.uniform(1, 5, (40, 2)), random.permutation(40)
    corners = np.concatenate([centres - sizes / 2, centres + sizes / 2], 1)[:, [1, 0, 3, 2]]
    wanted = tf.image.non_max_suppression(corners, scores.astype(np.float64), 25, 0.3, 4.5).numpy()
    boxes = np.concatenate([centres, sizes], 1).astype(np.float32)[np.newaxis]
    actual = run_one(
        lambda b, s: Builder.non_maximum_suppression(
            boxes=b, scores=s, iou_threshold=0.3, score_threshold=4.5, max_boxes=25
        )[2],
        target="iOS15",
        b=boxes,
        s=scores.astype(np.float32)[np.newaxis, :, np.newaxis],
    )
    assert 5 < len(wanted) < 25
    np.testing.assert_array_equal(actual[0], [*wanted, *[-1] * (25 - len(wanted))])


@pytest.mark.parametrize("target", ["iOS16", "iOS17"])
def test_any_number_of_boxes_is_taken(target: str) -> None:
    boxes, scores = scene(3, 2, 6, 2, np.float32)
    how: dict[str, Any] = {"iou_threshold": 0.21, "max_boxes": 9, "per_class_suppression": True}
    wanted = expected_of(boxes, scores, -100, how)[2]
    old = target == "iOS16"
    if not old:
        boxes, scores = boxes.transpose(0, 2, 1), scores.transpose(0, 2, 1)
    least = {"score_threshold": -100.0} if old else {}
    build = lambda b, s: Builder.non_maximum_suppression(boxes=b, scores=s, **how, **least)[2]  # noqa: E731
    (places,) = run(build, target, (1 if old else 2,), b=boxes, s=scores)
    np.testing.assert_array_equal(places, wanted)
