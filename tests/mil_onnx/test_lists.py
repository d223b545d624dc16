"""Lists, against Python's."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.conversion.compression import float_values
from coremlbench.mil_onnx import UnsupportedProgramError, to_onnx
from tests.mil_programs import Builder, few, numbers, run, saved

pytestmark = pytest.mark.tensorflow

seeds = st.integers(0, 1000)
KINDS = {"fp32": np.float32, "fp16": np.float16, "int32": np.int32}


@given(
    seed=seeds,
    kind=st.sampled_from(list(KINDS)),
    shape=st.lists(st.integers(1, 3), min_size=1, max_size=2).map(tuple),
    length=st.integers(1, 4),
    index=st.integers(0, 6),
    places=st.lists(st.integers(0, 8), min_size=1, max_size=3, unique=True),
)
@few
def test_a_list_grows_to_what_is_written(
    seed: int, kind: str, shape: tuple[int, ...], length: int, index: int, places: list[int]
) -> None:
    values = numbers((1 + len(places), *shape), seed, KINDS[kind], -99, 99)
    where = np.array([index, *places], np.int32)

    def build(v: Any, w: Any) -> Any:
        one, many = Builder.split(x=v, split_sizes=[1, len(places)], axis=0)
        first, others = Builder.split(x=w, split_sizes=[1, len(places)], axis=0)
        made = Builder.make_list(init_length=length, elem_shape=shape, dtype=kind)
        written = Builder.list_write(ls=made, index=Builder.squeeze(x=first), value=Builder.squeeze(x=one, axes=[0]))
        scattered = Builder.list_scatter(ls=written, indices=others, value=many)
        every = Builder.range_1d(start=0, end=Builder.list_length(ls=scattered), step=1)
        return [
            Builder.list_read(ls=made, index=0),
            Builder.list_read(ls=written, index=Builder.squeeze(x=first)),
            Builder.list_length(ls=made),
            Builder.list_length(ls=written),
            Builder.list_gather(ls=scattered, indices=every),
        ]

    grown = [np.zeros(shape, KINDS[kind])] * max(length, index + 1, *(place + 1 for place in places))
    grown[index] = values[0]
    for place, value in zip(places, values[1:], strict=True):
        grown[place] = value
    expected = [np.zeros(shape), values[0], length, max(length, index + 1), np.stack(grown)]
    for actual, wanted in zip(run(build, v=values, w=where), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_is_filled_in_a_loop(kind: str) -> None:
    step, turns = numbers((3,), 0, KINDS[kind], 1, 9), np.array([4], np.int32)

    def build(s: Any, t: Any) -> Any:
        def body(i: Any, total: Any, ls: Any) -> Any:
            total = Builder.add(x=total, y=s)
            return Builder.add(x=i, y=1), total, Builder.list_write(ls=ls, index=i, value=total)

        made = Builder.make_list(init_length=1, elem_shape=(3,), dtype=kind)
        loop = {"_cond": lambda i, total, ls: Builder.less(x=i, y=t), "_body": body}
        _, _, ls = Builder.while_loop(loop_vars=(0, s, made), **loop)
        return Builder.list_gather(ls=ls, indices=Builder.range_1d(start=0, end=Builder.list_length(ls=ls), step=1))

    (actual,) = run(build, s=step, t=turns)
    expected = [step]
    for _ in range(4):
        expected.append(expected[-1] + step)
    np.testing.assert_array_equal(actual, np.stack(expected[1:]))


@pytest.mark.parametrize("grows", [True, False])
def test_a_branch_may_return_a_list(grows: bool) -> None:
    x = numbers((2,), 0)

    def build(x: Any, g: Any) -> Any:
        made = Builder.list_write(ls=Builder.make_list(init_length=1, elem_shape=(2,)), index=0, value=x)
        ls = Builder.cond(
            pred=Builder.greater(x=Builder.squeeze(x=g), y=0),
            _true_fn=lambda: Builder.list_write(ls=made, index=2, value=x),
            _false_fn=lambda: Builder.list_write(ls=made, index=0, value=Builder.exp(x=x)),
        )
        return [Builder.list_length(ls=ls), Builder.list_read(ls=ls, index=0)]

    length, first = run(build, x=x, g=np.array([int(grows)], np.int32))
    assert length == (3 if grows else 1)
    np.testing.assert_allclose(first, x if grows else np.exp(x), rtol=1e-6)


@pytest.mark.parametrize("answer", [(), (1,)])
def test_a_loop_may_ask_with_a_vector_of_one(answer: tuple[int, ...]) -> None:
    def build(x: Any, n: Any) -> Any:
        limit = Builder.reshape(x=n, shape=answer) if answer else Builder.squeeze(x=n)
        loop = {
            "_cond": lambda i, x: Builder.less(x=i, y=limit),
            "_body": lambda i, x: (Builder.add(x=i, y=1), Builder.add(x=x, y=x)),
        }
        return Builder.while_loop(loop_vars=(0, x), **loop)[1]

    x = numbers((2,), 0)
    (actual,) = run(build, x=x, n=np.array([3], np.int32))
    np.testing.assert_array_equal(actual, 8 * x)


def test_a_list_of_elements_of_open_size_is_refused() -> None:
    def build(x: Any) -> Any:
        ls = Builder.make_list(init_length=1, elem_shape=("any",), name="made")
        return Builder.list_read(ls=Builder.list_write(ls=ls, index=0, value=x), index=0)

    with pytest.raises(
        UnsupportedProgramError, match="make_list that makes 'made' makes a list of elements of open size"
    ):
        to_onnx(saved(build, {"x": numbers((2,), 0)}))


def test_a_list_is_no_value_whose_range_is_measured() -> None:
    def build(x: Any) -> Any:
        ls = Builder.list_write(ls=Builder.make_list(init_length=1, elem_shape=(2,)), index=1, value=Builder.exp(x=x))
        return Builder.list_read(ls=ls, index=1, name="read")

    values = float_values(saved(build, {"x": numbers((2,), 0)}))
    assert [var.op.op_type for var in values] == ["exp", "list_read"]
