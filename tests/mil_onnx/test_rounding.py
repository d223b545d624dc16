"""Where the values of a float16 program are rounded: the two tables of ``rounding`` against numpy's float16."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from coremlbench.mil_onnx.rounding import COMMUTES, EXACT
from tests.mil_programs import Builder, numbers, run, run_one

pytestmark = pytest.mark.tensorflow

half = np.float16
SHAPE = (4, 4, 4, 4)
OTHER = numbers(SHAPE, 7, half)
WEIGHT = numbers((4, 4, 3, 3), 8, half, -1, 1)
KEPT = np.arange(256).reshape(SHAPE) % 3 == 0
POINTS = np.zeros(SHAPE, np.int32)


SCORES = numbers((16, 2, 4), 9, half)


def listed(x: Any) -> Any:
    return Builder.list_write(ls=Builder.make_list(init_length=2, elem_shape=SHAPE, dtype="fp16"), index=1, value=x)


def best(x: Any) -> Any:
    return Builder.reduce_argmax(x=x, axis=-1, keep_dims=False)


TABLE: dict[str, Callable[[Any], Any]] = {
    # Exact: what comes out is a float16 value, or no float at all.
    "argsort": lambda x: Builder.argsort(x=x, axis=-1),
    "ceil": lambda x: Builder.ceil(x=x),
    "fill": lambda x: Builder.fill(shape=Builder.shape(x=x), value=half(0.1)),
    "fill_like": lambda x: Builder.fill_like(ref_tensor=x, value=half(0.1)),
    "floor": lambda x: Builder.floor(x=x),
    "list_gather": lambda x: Builder.list_gather(ls=listed(x), indices=[1, 0]),
    "list_read": lambda x: Builder.list_read(ls=listed(x), index=1),
    "logical_not": lambda x: Builder.cast(x=Builder.logical_not(x=Builder.less(x=x, y=half(0))), dtype="int32"),
    "non_maximum_suppression": lambda x: Builder.non_maximum_suppression(
        boxes=Builder.reshape(x=x, shape=[16, 4, 4]), scores=SCORES, iou_threshold=half(0.5), max_boxes=3
    )[0],
    "non_zero": lambda x: Builder.non_zero(x=Builder.relu(x=x)),
    "one_hot": lambda x: Builder.one_hot(indices=best(x), one_hot_vector_size=4, on_value=half(0.1), off_value=half(0)),
    "reduce_argmax": best,
    "reduce_argmin": lambda x: Builder.reduce_argmin(x=x, axis=1),
    "round": lambda x: Builder.round(x=x),
    "shape": lambda x: Builder.shape(x=x),
    "sign": lambda x: Builder.sign(x=x),
    "topk": lambda x: Builder.topk(x=x, k=2, axis=-1)[0],
    # Commuting: they take values before they are rounded, and what they give is rounded behind them.
    "abs": lambda x: Builder.abs(x=x),
    "band_part": lambda x: Builder.band_part(x=x, lower=1, upper=1),
    "batch_to_space": lambda x: Builder.batch_to_space(x=x, block_shape=[2, 2], crops=[[0, 1], [1, 0]]),
    "clip": lambda x: Builder.clip(x=x, alpha=half(-1.1), beta=half(1.3)),
    "concat": lambda x: Builder.concat(values=[x, OTHER], axis=1),
    "crop": lambda x: Builder.crop(x=x, crop_height=[1, 0], crop_width=[1, 1]),
    "depth_to_space": lambda x: Builder.depth_to_space(x=x, block_size=2),
    "expand_dims": lambda x: Builder.expand_dims(x=x, axes=[0]),
    "flatten2d": lambda x: Builder.flatten2d(x=x, axis=2),
    "gather": lambda x: Builder.gather(x=x, indices=[2, 0, 0], axis=1),
    "gather_along_axis": lambda x: Builder.gather_along_axis(x=x, indices=POINTS, axis=1),
    "gather_nd": lambda x: Builder.gather_nd(x=x, indices=[[1, 2], [3, 0]]),
    "identity": lambda x: Builder.identity(x=x),
    "max_pool": lambda x: Builder.max_pool(x=x, kernel_sizes=[2, 2], strides=[1, 1], pad_type="same"),
    "maximum": lambda x: Builder.maximum(x=x, y=half(0.3)),
    "minimum": lambda x: Builder.minimum(x=x, y=OTHER),
    "pad": lambda x: Builder.pad(x=x, pad=[1, 1, 0, 2], constant_val=half(0.1)),
    "pixel_shuffle": lambda x: Builder.pixel_shuffle(x=x, upscale_factor=2),
    "pixel_unshuffle": lambda x: Builder.pixel_unshuffle(x=x, downscale_factor=np.uint32(2)),
    "reduce_max": lambda x: Builder.reduce_max(x=x, axes=[1, 3]),
    "reduce_min": lambda x: Builder.reduce_min(x=x, axes=[1, 3]),
    "relu": lambda x: Builder.relu(x=x),
    "relu6": lambda x: Builder.relu6(x=x),
    "reshape": lambda x: Builder.reshape(x=x, shape=[8, -1]),
    "reshape_like": lambda x: Builder.reshape_like(
        x=x, ref_tensors=(Builder.transpose(x=x, perm=[1, 0, 2, 3]),), begins=(0,), ends=(0,), end_masks=(True,)
    ),
    "reverse": lambda x: Builder.reverse(x=x, axes=[1]),
    "reverse_sequence": lambda x: Builder.reverse_sequence(x=x, lengths=[1, 2, 3, 4], seq_axis=1, batch_axis=0),
    "select": lambda x: Builder.select(cond=KEPT, a=x, b=OTHER),
    "slice_by_index": lambda x: Builder.slice_by_index(x=x, begin=[0, 1, 0, 0], end=[4, 3, 4, 4]),
    "slice_by_size": lambda x: Builder.slice_by_size(x=x, begin=[0, 1, 0, 0], size=[-1, 2, -1, -1]),
    "slice_update": lambda x: Builder.slice_update(x=x, update=OTHER[:2], begin=[1, 0, 0, 0], end=[3, 4, 4, 4]),
    "sliding_windows": lambda x: Builder.sliding_windows(x=x, axis=1, size=2),
    "space_to_batch": lambda x: Builder.space_to_batch(x=x, block_shape=[2, 2], paddings=[[0, 0], [1, 1]]),
    "space_to_depth": lambda x: Builder.space_to_depth(x=x, block_size=2),
    "split": lambda x: Builder.split(x=x, num_splits=2, axis=1)[1],
    "squeeze": lambda x: Builder.squeeze(x=Builder.expand_dims(x=x, axes=[0]), axes=[0]),
    "stack": lambda x: Builder.stack(values=[x, OTHER], axis=0),
    "threshold": lambda x: Builder.threshold(x=x, alpha=half(0.7)),
    "tile": lambda x: Builder.tile(x=x, reps=[1, 2, 1, 1]),
    "transpose": lambda x: Builder.transpose(x=x, perm=[0, 2, 3, 1]),
    "upsample_nearest_neighbor": lambda x: Builder.upsample_nearest_neighbor(
        x=x, scale_factor_height=2, scale_factor_width=2
    ),
}

ROUNDING: dict[str, Callable[[Any], Any]] = {
    # In neither table: they compute from rounded values, and what they give is rounded.
    "add": lambda x: Builder.add(x=x, y=OTHER),
    "avg_pool": lambda x: Builder.avg_pool(x=x, kernel_sizes=[3, 3], strides=[1, 1], pad_type="same"),
    "conv": lambda x: Builder.conv(x=x, weight=WEIGHT, pad_type="same"),
    "cumsum": lambda x: Builder.cumsum(x=x, axis=1),
    "exp": lambda x: Builder.exp(x=x),
    "leaky_relu": lambda x: Builder.leaky_relu(x=x, alpha=half(0.3)),
    "linear_activation": lambda x: Builder.linear_activation(x=x, alpha=half(0.3), beta=half(0.1)),
    "matmul": lambda x: Builder.matmul(x=x, y=OTHER),
    "mul": lambda x: Builder.mul(x=x, y=OTHER),
    "real_div": lambda x: Builder.real_div(x=x, y=half(3)),
    "reduce_mean": lambda x: Builder.reduce_mean(x=x, axes=[1]),
    "reduce_sum": lambda x: Builder.reduce_sum(x=x, axes=[1]),
    "resize_bilinear": lambda x: Builder.resize_bilinear(x=x, target_size_height=7, target_size_width=9),
    "sigmoid": lambda x: Builder.sigmoid(x=x),
    "softmax": lambda x: Builder.softmax(x=x, axis=1),
    "sqrt": lambda x: Builder.sqrt(x=Builder.abs(x=x)),
    "square": lambda x: Builder.square(x=x),
    "tanh": lambda x: Builder.tanh(x=x),
}


def test_every_row_of_the_tables_is_tried() -> None:
    assert set(TABLE) == EXACT | COMMUTES
    assert not EXACT & COMMUTES
    assert not set(ROUNDING) & set(TABLE)


@pytest.mark.parametrize("name", [*TABLE, *ROUNDING])
def test_a_value_is_rounded_before_and_behind_an_op(name: str) -> None:
    op = (TABLE | ROUNDING)[name]
    x, y = numbers(SHAPE, 0, half), numbers(SHAPE, 1, half)
    product = x * y  # numpy rounds it
    alone = run_one(op, target="iOS18", x=product)  # an output is rounded whatever the tables say
    if alone.dtype != half:
        found = run_one(lambda x, y: op(Builder.mul(x=x, y=y)), target="iOS18", x=x, y=y)
        np.testing.assert_array_equal(found, alone)
        return
    near = alone + half(0.01) * alone  # what the subtraction leaves shows bits that a rounding drops

    def build(x: Any, y: Any) -> Any:
        value = op(Builder.mul(x=x, y=y))
        return [Builder.sub(x=value, y=alone), Builder.sub(x=value, y=near)]

    for actual, expected in zip(run(build, target="iOS18", x=x, y=y), [alone - alone, alone - near], strict=True):
        np.testing.assert_array_equal(actual, expected)
