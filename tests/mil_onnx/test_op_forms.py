"""Forms of ops that Apple's own op tests have and common converters seldom make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.mil_onnx import Program, UnsupportedProgramError
from coremlbench.runtimes.reference import ReferenceRuntime
from coremlbench.types.errors import InputError
from tests.mil_programs import Builder, close, converted, ct, few, get_new_symbol, numbers, run, run_one, saved, types

pytestmark = pytest.mark.tensorflow

seeds = st.integers(0, 1000)


# --- scatter and gather ----------------------------------------------------------------------------------------------


@given(axis=st.integers(-3, 2), shape=st.sampled_from([(), (2,), (2, 3), (1, 2, 2)]), seed=seeds)
@few
def test_scatter_takes_indices_of_any_rank(axis: int, shape: tuple[int, ...], seed: int) -> None:
    data, place = numbers((3, 4, 2), seed), axis % 3
    random = np.random.default_rng(seed)
    indices = random.integers(0, data.shape[place], shape or (1,)).astype(np.int32)
    updates = numbers((*data.shape[:place], *indices.shape, *data.shape[place + 1 :]), seed + 1)
    expected = np.moveaxis(data.astype(np.float64), place, 0).copy()
    order = [*range(place, place + indices.ndim), *range(place), *range(place + indices.ndim, updates.ndim)]
    np.add.at(expected, indices, updates.transpose(order))
    actual = run_one(
        lambda d, i, u: Builder.scatter(data=d, indices=i, updates=u, axis=axis, mode="add"),
        d=data,
        i=indices,
        u=updates,
    )
    close(actual, np.moveaxis(expected, 0, place), 1e-5)


DATA = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
VALIDATING = {
    "scatter": ([0, 1], lambda x, i: Builder.scatter(data=x, indices=i, updates=DATA, validate_indices=True)),
    "scatter_nd": (
        [[1, 0], [0, 2]],
        lambda x, i: Builder.scatter_nd(data=x, indices=i, updates=DATA[0, :2], validate_indices=True),
    ),
    "scatter_along_axis": (
        [[0, 0, 1], [1, 1, 0]],
        lambda x, i: Builder.scatter_along_axis(data=x, indices=i, updates=DATA, validate_indices=True),
    ),
    "gather": ([0, 1], lambda x, i: Builder.gather(x=x, indices=i, validate_indices=True)),
    "gather_nd": ([[1, 0], [0, 2]], lambda x, i: Builder.gather_nd(x=x, indices=i, validate_indices=True)),
    "gather_along_axis": (
        [[0, 0, 1], [1, 1, 0]],
        lambda x, i: Builder.gather_along_axis(x=x, indices=i, validate_indices=True),
    ),
}


@pytest.mark.parametrize("op", VALIDATING)
@pytest.mark.parametrize("wrong", [-1, 3])
def test_validated_indices_outside_of_the_tensor_are_an_error(op: str, wrong: int) -> None:
    right, build = VALIDATING[op]
    indices = np.array(right, np.int32)
    runtime = ReferenceRuntime(saved(build, {"x": DATA, "i": indices}), threads=1)
    runtime.predict({"x": DATA, "i": indices})
    indices.reshape(-1)[-1] = wrong
    with pytest.raises(UnsupportedProgramError, match="out of data bounds"):
        runtime.predict({"x": DATA, "i": indices})


# --- windows ---------------------------------------------------------------------------------------------------------


@given(
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    kernel=st.tuples(st.integers(2, 3), st.integers(2, 3)),
    stride=st.integers(1, 2),
    pad=st.integers(0, 1),
    excluded=st.booleans(),
    seed=seeds,
)
@few
def test_windows_are_rounded_up_in_inputs_of_open_size(
    size: tuple[int, int], kernel: tuple[int, int], stride: int, pad: int, excluded: bool, seed: int
) -> None:
    x = numbers((2, 3, *size), seed)
    pads = [min(pad, extent - 1) for extent in kernel]
    how = {
        "kernel_sizes": list(kernel),
        "strides": [stride, stride],
        "pad_type": "custom",
        "pad": [pads[0], pads[0], pads[1], pads[1]],
        "ceil_mode": True,
    }

    def build(x: Any) -> Any:
        return [
            Builder.max_pool(x=x, **how),
            Builder.avg_pool(x=x, exclude_padding_from_average=excluded, **how),
            Builder.l2_pool(x=x, **how),
        ]

    for known, open_size in zip(run(build, x=x), run(build, open_axes=(2, 3), x=x), strict=True):
        assert known.shape == open_size.shape
        close(open_size, known, 1e-5)


@given(size=st.tuples(st.integers(1, 3), st.integers(1, 3)), seed=seeds)
@few
def test_blocks_of_open_size_move_between_space_and_batch(size: tuple[int, int], seed: int) -> None:
    x = numbers((2, 3, 2 * size[0], 3 * size[1]), seed)

    def build(x: Any) -> Any:
        blocks = Builder.space_to_batch(x=x, block_shape=[2, 3], paddings=[[2, 0], [0, 3]])
        back = Builder.batch_to_space(x=blocks, block_shape=[2, 3], crops=[[2, 0], [0, 3]])
        return [blocks, back]

    blocks, back = run(build, open_axes=(0, 2, 3), x=x)
    np.testing.assert_array_equal(back, x)
    padded = np.pad(x, [(0, 0), (0, 0), (2, 0), (0, 3)])
    np.testing.assert_array_equal(blocks[:2], padded[:, :, ::2, ::3])


@given(size=st.tuples(st.integers(1, 3), st.integers(1, 3)), seed=seeds)
@few
def test_blocks_of_open_size_become_channels(size: tuple[int, int], seed: int) -> None:
    x = numbers((2, 3, 2 * size[0], 2 * size[1]), seed)
    (actual,) = run(lambda x: Builder.pixel_unshuffle(x=x, downscale_factor=np.uint32(2)), "iOS16", (0, 2, 3), x=x)
    expected = x.reshape(2, 3, size[0], 2, size[1], 2).transpose(0, 1, 3, 5, 2, 4).reshape(2, 12, *size)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("shape", [(2, 4, 3), (2, 4, 3, 2), (2, 4, 1, 3, 2)])
@pytest.mark.parametrize("open_axes", [(), (0, 2)])
def test_neighbouring_channels_are_those_of_any_rank(
    size: int, shape: tuple[int, ...], open_axes: tuple[int, ...]
) -> None:
    x = numbers(shape, size)
    padded = np.pad(x.astype(np.float64) ** 2, [(0, 0), (size // 2, (size - 1) // 2), *[(0, 0)] * (len(shape) - 2)])
    total = sum(padded[:, step : step + shape[1]] for step in range(size))
    (actual,) = run(
        lambda x: Builder.local_response_norm(x=x, size=size, alpha=0.1, beta=0.75, k=1.5), open_axes=open_axes, x=x
    )
    close(actual, x / (1.5 + 0.1 / size * total) ** 0.75, 1e-5)


# --- shapes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 3, 1), (2, 3, 4)])
def test_an_open_dimension_that_is_not_1_is_not_squeezed(shape: tuple[int, ...]) -> None:
    x = numbers(shape, 0)
    (actual,) = run(lambda x: Builder.squeeze(x=x, axes=[-1]), open_axes=(0, 1, 2), x=x)
    np.testing.assert_array_equal(actual, x.squeeze(-1) if shape[-1] == 1 else x)


@pytest.mark.parametrize("half", [True, False])
def test_an_output_without_dimensions_has_one_of_size_1(half: bool) -> None:
    x = numbers((3,), 0).astype(np.float16 if half else np.float32)

    def build(x: Any) -> Any:
        total = Builder.reduce_sum(x=x, keep_dims=False)
        return [total, Builder.mul(x=total, y=np.asarray(2, np.float16 if half else np.float32))]

    total, doubled = run(build, x=x)
    assert total.shape == doubled.shape == (1,)
    close(doubled, 2 * total)


@pytest.mark.parametrize("sizes", [[2, 1, 3], [6], [1, 2, 3, 1, 1]])
def test_a_shape_whose_length_is_open_is_that_of_the_output(sizes: list[int]) -> None:
    x = numbers((2, 3), 0)

    def build(x: Any, s: Any) -> Any:
        return [Builder.fill(shape=s, value=1.5), Builder.reshape(x=x, shape=s)]

    runtime = ReferenceRuntime(saved_with_open_length(build), threads=1)
    filled, reshaped = runtime.predict({"x": x, "s": np.array(sizes, np.int32)}).values()
    np.testing.assert_array_equal(filled, np.full(sizes, 1.5, np.float32))
    np.testing.assert_array_equal(reshaped, x.reshape(sizes))


def test_a_value_of_unknown_rank_is_no_input_of_an_op() -> None:
    program = saved_with_open_length(lambda x, s: Builder.add(x=Builder.reshape(x=x, shape=s), y=1.0))
    with pytest.raises(UnsupportedProgramError, match="number of dimensions is known only at run time"):
        ReferenceRuntime(program, threads=1)


def saved_with_open_length(build: Any) -> Program:
    """Return the saved program of a matrix ``x`` (2, 3) and a vector of sizes ``s`` of open length."""
    specs = [
        Builder.TensorSpec(shape=(2, 3)),
        Builder.TensorSpec(shape=(get_new_symbol(),), dtype=types.int32),
    ]
    inputs = [
        ct.TensorType(name="x", shape=(2, 3)),
        ct.TensorType(name="s", shape=(ct.RangeDim(1, 8),), dtype=np.int32),
    ]
    made = Builder.program(input_specs=specs, opset_version=ct.target.iOS17)(build)
    return converted(made, "iOS17", inputs=inputs)


@pytest.mark.parametrize("open_axes", [(), (1, 2, 3)])
@pytest.mark.parametrize("mode", ["LINEAR", "NEAREST_NEIGHBOR"])
def test_three_dimensions_are_resized(mode: str, open_axes: tuple[int, ...]) -> None:
    x = numbers((2, 2, 3, 4), 0)

    def resized(x: Any, shape: list[int], dims: int) -> Any:
        return Builder.resize(
            x=x,
            shape=shape,
            resized_dims=np.uint32(dims),
            interpolation_mode=mode,
            sampling_mode="UNALIGN_CORNERS",
        )

    (three,) = run(lambda x: resized(x, [4, 0, 5], 3), open_axes=open_axes, x=x)
    (two,) = run(lambda x: resized(x, [0, 5], 2), x=x)
    (one,) = run(lambda x: resized(x, [4], 1), x=np.ascontiguousarray(two.transpose(0, 2, 3, 1)))
    close(three, one.transpose(0, 3, 1, 2), 1e-5)


@pytest.mark.parametrize("size", [1, 9])
def test_a_size_outside_of_the_declared_range_is_refused(size: int) -> None:
    program = saved(lambda x: Builder.relu(x=x), {"x": numbers((1, 3), 0)}, open_axes=(1,))
    limits = program.description.input[0].type.multiArrayType.shapeRange.sizeRanges[1]
    limits.lowerBound, limits.upperBound = 2, 4
    runtime = ReferenceRuntime(program, threads=1)
    assert runtime.predict({"x": numbers((1, 4), 0)})
    with pytest.raises(InputError, match=f"takes 1 x 2 to 4, but was given 1 x {size}"):
        runtime.predict({"x": numbers((1, size), 0)})


# --- what coremltools writes and cannot read back ---------------------------------------------------------------------

DEFAULTS = {
    "batch_norm": lambda x: Builder.batch_norm(x=x, mean=np.ones(3, np.float16), variance=np.ones(3, np.float16)),
    "instance_norm": lambda x: Builder.instance_norm(x=x),
    "layer_norm": lambda x: Builder.layer_norm(x=x, axes=[1]),
    "l2_norm": lambda x: Builder.l2_norm(x=x),
    "local_response_norm": lambda x: Builder.local_response_norm(x=x, size=3),
    "pad": lambda x: Builder.pad(x=x, pad=[1, 1]),
}


@pytest.mark.parametrize("op", DEFAULTS)
def test_a_default_of_another_type_than_the_input_is_read(op: str) -> None:
    x = numbers((1, 3, 2, 2), 0)
    half = run_one(DEFAULTS[op], "iOS16", x=x.astype(np.float16))
    single = {
        "batch_norm": lambda x: Builder.batch_norm(x=x, mean=np.ones(3, np.float32), variance=np.ones(3, np.float32))
    }
    close(half.astype(np.float32), run_one(single.get(op, DEFAULTS[op]), "iOS16", x=x), 2e-2)


# --- states ----------------------------------------------------------------------------------------------------------


def counter() -> Program:
    """Return the saved program of a state (2,) that grows by the input; its output is the state, doubled."""
    specs = [
        Builder.TensorSpec(shape=(2,), dtype=types.fp16),
        Builder.StateTensorSpec(shape=(2,), dtype=types.fp16),
    ]

    def program(x: Any, s: Any) -> Any:
        total = Builder.add(x=Builder.read_state(input=s), y=x)
        return Builder.mul(x=Builder.coreml_update_state(state=s, value=total), y=np.float16(2))

    return converted(Builder.program(input_specs=specs, opset_version=ct.target.iOS18)(program), "iOS18")


def test_a_state_lasts_from_one_prediction_to_the_next() -> None:
    runtime = ReferenceRuntime(counter(), threads=1)
    assert list(runtime.inputs) == ["x"]
    assert len(runtime.outputs) == 1
    x = {"x": np.array([1, 3], np.float16)}
    state, other = runtime.make_state(), runtime.make_state()
    for turn in (1, 2, 3):
        (output,) = runtime.predict(x, state).values()
        np.testing.assert_array_equal(output, np.array([2, 6]) * turn)
    (output,) = runtime.predict(x, other).values()
    np.testing.assert_array_equal(output, [2, 6])
    (output,) = runtime.predict(x).values()
    np.testing.assert_array_equal(output, [2, 6])
