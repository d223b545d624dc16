"""Known deviations of Core ML: each row of the table with programs that it matches, and with near misses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.conversion.deviation_documentation import document
from coremlbench.conversion.known_deviations import BY_NAME, DEVIATIONS, deviation_notes, find_deviations
from tests.mil_programs import Builder, ct, numbers, saved

PAGE = Path(__file__).parents[2] / "docs" / "known-deviations.md"
HALF, FULL = np.float16, np.float32

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings(
        "ignore:Implicitly cleaning up:ResourceWarning",  # coremltools leaves its folder to the collector
        "ignore::pytest.PytestUnraisableExceptionWarning",  # as above
    ),
]


def found(build: Callable[..., Any], *shape: int, dtype: Any = HALF, target: str = "iOS17") -> set[str]:
    """Return the names of the rows that match a program of one input."""
    program = saved(build, {"x": numbers(shape or (1, 4), 0, dtype)}, target)
    return {row.name for row in find_deviations(program)}


def weight(*shape: int, dtype: Any = HALF) -> Any:
    return numbers(shape, 1, dtype)


def mish(x: Any) -> Any:
    return Builder.mul(x=x, y=Builder.tanh(x=Builder.softplus(x=x)))


def shifted_log_sum_exp(x: Any) -> Any:
    below = Builder.sub(x=x, y=Builder.reduce_max(x=x, axes=[-1], keep_dims=True))
    return Builder.reduce_log_sum_exp(x=below, axes=[-1], keep_dims=True)


def log_sum_exp(x: Any) -> Any:
    return Builder.reduce_log_sum_exp(x=x, axes=[1], keep_dims=True)


def log_of_softmax(x: Any) -> Any:
    return Builder.log(x=Builder.softmax(x=x, axis=-1))


def log_of_reshaped_softmax(x: Any) -> Any:
    return Builder.log(x=Builder.reshape(x=Builder.softmax(x=x, axis=-1), shape=(4,)))


def conv_transpose(x: Any, **settings: Any) -> Any:
    return Builder.conv_transpose(x=x, weight=weight(3, 2, *[3] * (len(x.shape) - 2), dtype=numpy(x)), **settings)


def numpy(var: Any) -> Any:
    return {"fp16": HALF, "fp32": FULL}[var.dtype.__name__]


def attention(x: Any, *, mask: bool = False, scale: bool = False, product: bool = True) -> Any:
    scores = Builder.matmul(x=x, y=x, transpose_y=True)
    if scale:
        scores = Builder.mul(x=scores, y=numpy(x)(0.5))
    if mask:
        scores = Builder.add(x=scores, y=np.ones((1, 1, 5, 5), numpy(x)))
    shares = Builder.softmax(x=scores, axis=-1)
    return Builder.matmul(x=shares, y=x) if product else Builder.relu(x=shares)


def attention_in_float32(x: Any) -> Any:
    scores = Builder.cast(x=Builder.matmul(x=x, y=x, transpose_y=True), dtype="fp32")
    shares = Builder.cast(x=Builder.softmax(x=scores, axis=-1), dtype="fp16")
    return Builder.matmul(x=shares, y=x)


def gate(x: Any) -> Any:
    shares = Builder.softmax(x=Builder.matmul(x=x, y=np.ones((4, 5), HALF)), axis=-1)
    return Builder.matmul(x=shares, y=np.ones((5, 2), HALF))


def fused_attention(x: Any) -> Any:
    return Builder.scaled_dot_product_attention(query=x, key=x, value=x)


def affine(dtype: Any = np.int8) -> Callable[[Any], Any]:
    def build(x: Any) -> Any:
        values = Builder.constexpr_affine_dequantize(
            quantized_data=np.ones((4, 4), dtype), zero_point=dtype(0), scale=numpy(x)(0.5), axis=0
        )
        return Builder.linear(x=x, weight=values)

    return build


def blockwise(x: Any) -> Any:
    data, scale = np.ones((4, 4), np.int8), np.ones((4, 1), numpy(x))
    return Builder.linear(x=x, weight=Builder.constexpr_blockwise_shift_scale(data=data, scale=scale))


def palette(x: Any) -> Any:
    lut = np.arange(4, dtype=numpy(x)).reshape(1, 1, 4, 1)
    indices = np.zeros((4, 4), ct.converters.mil.mil.types.np_uint2_dtype)
    return Builder.linear(x=x, weight=Builder.constexpr_lut_to_dense(indices=indices, lut=lut))


def conv(kernel: tuple[int, ...], channels: int = 3, **settings: Any) -> Callable[[Any], Any]:
    def build(x: Any) -> Any:
        return Builder.conv(x=x, weight=weight(2, channels, *kernel, dtype=numpy(x)), **settings)

    return build


def gru(x: Any) -> Any:
    return Builder.gru(
        x=x, initial_h=np.zeros((1, 2), FULL), weight_ih=weight(6, 3, dtype=FULL), weight_hh=weight(6, 2, dtype=FULL)
    )[0]


Found = set[str]
SAMPLES: dict[str, list[Callable[[], Found]]] = {
    "softplus-float16": [
        lambda: found(lambda x: Builder.softplus(x=x)),
        lambda: found(mish, 1, 3, 4, 4),
        lambda: found(lambda x: Builder.softplus(x=Builder.cast(x=x, dtype="fp16")), dtype=FULL),
    ],
    "reduce-log-sum-exp-float16": [
        lambda: found(log_sum_exp, 1, 8, 2, 2),
        lambda: found(lambda x: log_sum_exp(Builder.sub(x=x, y=HALF(1)))),
        lambda: found(lambda x: log_sum_exp(Builder.relu(x=x))),
    ],
    "log-of-softmax-float16": [
        lambda: found(log_of_softmax),
        lambda: found(log_of_reshaped_softmax),
        lambda: found(lambda x: Builder.mul(x=log_of_softmax(x), y=HALF(-1)), 1, 3, 4, 4),
    ],
    "conv-transpose-output-shape": [
        lambda: found(lambda x: conv_transpose(x, output_shape=[1, 2, 4, 4]), 1, 3, 4, 4, dtype=FULL),
        lambda: found(
            lambda x: conv_transpose(x, pad_type="custom", pad=[1, 0], strides=[2], output_shape=[1, 2, 8]), 1, 3, 4
        ),
        lambda: found(
            lambda x: conv_transpose(x, pad_type="same", strides=[2, 2], output_shape=[1, 2, 8, 8]), 1, 3, 4, 4
        ),
    ],
    "fused-attention-batch": [
        lambda: found(lambda x: attention(x, mask=True), 10, 2, 5, 4, dtype=FULL),
        lambda: found(lambda x: attention(x, scale=True), 64, 2, 5, 4),
        lambda: found(fused_attention, 10, 2, 5, 4, target="iOS18"),
        lambda: found(attention_in_float32, 10, 2, 5, 4),
    ],
    "int8-weights": [
        lambda: found(affine()),
        lambda: found(affine(np.uint8)),
        lambda: found(affine(), dtype=FULL),
    ],
    "blockwise-int8-weights": [
        lambda: found(blockwise, target="iOS18"),
        lambda: found(blockwise, dtype=FULL, target="iOS18"),
    ],
    "padded-even-kernel": [
        lambda: found(conv((3, 2), pad_type="custom", pad=[1, 1, 1, 1], strides=[2, 2]), 1, 3, 5, 5),
        lambda: found(conv((4, 4), pad_type="same", strides=[2, 2]), 1, 3, 6, 6, dtype=FULL),
        lambda: found(conv((2,), pad_type="same_lower"), 1, 3, 5),
    ],
    "gru": [lambda: found(gru, 5, 1, 3, dtype=FULL)],
}
NEAR_MISSES: dict[str, list[Callable[[], Found]]] = {
    "softplus-float16": [
        lambda: found(lambda x: Builder.softplus(x=x), dtype=FULL),
        lambda: found(lambda x: Builder.softsign(x=x)),
    ],
    "reduce-log-sum-exp-float16": [
        lambda: found(log_sum_exp, 1, 8, 2, 2, dtype=FULL),
        lambda: found(shifted_log_sum_exp),
    ],
    "log-of-softmax-float16": [
        lambda: found(log_of_softmax, dtype=FULL),
        lambda: found(lambda x: Builder.log(x=Builder.exp(x=x))),
        lambda: found(lambda x: Builder.softmax(x=x, axis=-1)),
    ],
    "conv-transpose-output-shape": [lambda: found(conv_transpose, 1, 3, 4, 4)],
    "fused-attention-batch": [
        lambda: found(lambda x: attention(x, mask=True), 9, 2, 5, 4),
        lambda: found(lambda x: attention(x, product=False), 16, 2, 5, 4),
        lambda: found(fused_attention, 9, 2, 5, 4, target="iOS18"),
        lambda: found(lambda x: Builder.matmul(x=Builder.softmax(x=x, axis=-1), y=x), 16, 2, 4, 4),
        lambda: found(gate, 16, 2, 5, 4),
    ],
    "int8-weights": [
        lambda: found(palette, target="iOS18"),
        lambda: found(lambda x: Builder.linear(x=x, weight=np.eye(4, dtype=HALF))),
    ],
    "blockwise-int8-weights": [lambda: found(palette, target="iOS18"), lambda: found(affine())],
    "padded-even-kernel": [
        lambda: found(conv((2, 2), pad_type="valid", strides=[2, 2]), 1, 3, 6, 6),  # as in LeNet
        lambda: found(conv((2, 2), pad_type="same", strides=[2, 2]), 1, 3, 6, 6),  # nothing is padded
        lambda: found(conv((3, 3), pad_type="same", strides=[2, 2]), 1, 3, 6, 6),
        lambda: found(conv((3, 2), pad_type="custom", pad=[1, 1, 0, 0]), 1, 3, 5, 5),
        lambda: found(conv((2, 2), 1, pad_type="same"), 1, 1, 6, 6),
    ],
    "gru": [lambda: found(lambda x: Builder.relu(x=x))],
}


def test_every_row_has_samples_and_near_misses() -> None:
    assert list(SAMPLES) == list(NEAR_MISSES) == list(BY_NAME)
    assert len(BY_NAME) == len(DEVIATIONS)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_row_matches_its_forms_and_nothing_else_does(name: str) -> None:
    assert [sample() for sample in SAMPLES[name]] == [{name}] * len(SAMPLES[name])


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_a_row_does_not_match_a_near_miss(name: str) -> None:
    assert [near_miss() & {name} for near_miss in NEAR_MISSES[name]] == [set()] * len(NEAR_MISSES[name])


def test_operations_of_branches_are_looked_at() -> None:
    def build(x: Any) -> Any:
        return Builder.cond(
            pred=Builder.squeeze(x=Builder.greater(x=Builder.reduce_max(x=x, axes=[0, 1]), y=HALF(0))),
            _true_fn=lambda: Builder.softplus(x=x),
            _false_fn=lambda: Builder.relu(x=x),
        )

    assert found(build) == {"softplus-float16"}


@pytest.mark.parametrize("row", DEVIATIONS, ids=lambda row: row.name)
def test_a_caveat_is_a_sentence_with_op_unit_precision_and_issue(row: Any) -> None:
    text = row.caveat.text
    assert row.caveat.code == "known-deviation"
    assert text.startswith("Core ML itself is known to deviate on ")
    assert text.endswith(").")
    assert row.op in text
    assert ("in float16" if row.precision == "float16" else "in any precision") in text
    assert all(issue in text for issue in row.source.split("; "))
    assert ". " not in text.replace("macOS ", "")


def test_a_measurement_has_notes_of_the_devices_that_it_may_use() -> None:
    names = ["softplus-float16", "fused-attention-batch", "padded-even-kernel", "of-a-later-release"]

    def rows(unit: Any) -> list[str]:
        notes = deviation_notes("small", "fp16", names, unit)
        assert all(note.startswith("small fp16: Core ML itself is known to deviate") for note in notes)
        return [
            name for name in names if any(note.endswith(BY_NAME[name].caveat.text) for note in notes if name in BY_NAME)
        ]

    assert rows("CPU_AND_NE") == ["softplus-float16", "padded-even-kernel"]
    assert rows("CPU_AND_GPU") == ["fused-attention-batch", "padded-even-kernel"]
    assert rows("ALL") == names[:3]
    assert rows("CPU_ONLY") == ["padded-even-kernel"]
    assert rows("host-cpu") == []


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(), "run `make docs`"


def test_every_source_on_the_page_is_a_link() -> None:
    issues = sum(len(row.source.split("; ")) for row in DEVIATIONS)
    assert document().count("](https://github.com/") == issues
