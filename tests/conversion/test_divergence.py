from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pytest

from coremlbench.conversion.divergence import ProgramReference, find_divergence, layer_of
from tests.mil_programs import Builder, numbers, saved

pytestmark = pytest.mark.tensorflow

LAYERS = {"net_1_first_1": "first", "net_1_first_1_2": "first_1", "net_1_second": "second"}


def network(weights: list[np.ndarray], dtype: Any) -> Any:
    def build(image: Any) -> Any:
        x = image
        for name, weight in zip(("net_1_first_1_dot", "net_1_first_1_2_dot", "net_1_second_dot"), weights, strict=True):
            x = Builder.matmul(x=x, y=weight.astype(dtype), name=name)
            x = Builder.relu(x=x, name=name.replace("dot", "relu"))
        return x

    return saved(build, {"image": numbers((1, 6), 0, dtype)})


def quiet(phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
    pass


WEIGHTS = [numbers((6, 6), seed) for seed in (1, 2, 3)]
SAMPLES = numbers((8, 6), 9)


@pytest.mark.parametrize("spoilt", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_first_op_with_other_weights_is_named(spoilt: int, dtype: Any) -> None:
    others = [-weight if index == spoilt else weight for index, weight in enumerate(WEIGHTS)]
    divergence = find_divergence(
        network(others, dtype), ProgramReference(network(WEIGHTS, np.float32)), SAMPLES, LAYERS, quiet
    )
    assert divergence is not None
    assert (divergence.kind, divergence.layer) == ("matmul", ("first", "first_1", "second")[spoilt])
    assert divergence.error is not None
    assert divergence.error > 0.1


def test_a_small_error_is_where_it_grows_most() -> None:
    others = [WEIGHTS[0], WEIGHTS[1] * np.float32(1.02), WEIGHTS[2]]
    reference = ProgramReference(network(WEIGHTS, np.float32))
    divergence = find_divergence(network(others, np.float32), reference, SAMPLES, LAYERS, quiet)
    assert divergence is not None
    assert divergence.layer == "first_1"
    assert divergence.error is not None
    assert 0 < divergence.error < 0.1


def test_programs_without_a_common_op_have_no_first_one() -> None:
    one, other = (
        saved(lambda image, name=name: Builder.exp(x=image, name=name), {"image": SAMPLES[:1]}) for name in "ab"
    )
    assert find_divergence(one, ProgramReference(other), SAMPLES, {}, quiet) is None


def test_where_nothing_parts_no_op_is_blamed() -> None:
    reference = ProgramReference(network(WEIGHTS, np.float32))
    assert find_divergence(network(WEIGHTS, np.float32), reference, SAMPLES, LAYERS, quiet) is None


class Known:
    """The values of one convolution, as TensorFlow has them: channels last."""

    def __init__(self, weight: np.ndarray) -> None:
        self.weight = weight

    def names(self) -> Collection[str]:
        return ["net_conv"]

    def values(self, names: Sequence[str], samples: Any) -> dict[str, np.ndarray]:
        return {"net_conv": np.einsum("nchw,oc->nhwo", samples, self.weight)}


@pytest.mark.parametrize("factor", [1, -1])
def test_values_are_compared_in_the_layout_that_they_have(factor: int) -> None:
    pictures, weight = numbers((2, 3, 3, 3), 0), numbers((3, 3), 1)  # as many channels as rows and columns
    program = saved(
        lambda image: Builder.conv(x=image, weight=weight[:, :, None, None], name="net_conv"), {"image": pictures[:1]}
    )
    divergence = find_divergence(program, Known(weight * factor), pictures, {"net": "net"}, quiet)
    assert (divergence is None) == (factor == 1)


@pytest.mark.parametrize(
    ("op", "layer"),
    [
        ("net_1_first_1_convolutionx_cast_fp16", "first"),
        ("net_1_first_1_2_convolution", "first_1"),
        ("net_1_first_1_2x", "first"),
        ("net_1_second", "second"),
        ("net_1_secondary", ""),
        ("max_pool_0", ""),
    ],
)
def test_a_layer_is_the_longest_scope_that_an_op_begins_with(op: str, layer: str) -> None:
    assert layer_of(op, LAYERS) == layer
