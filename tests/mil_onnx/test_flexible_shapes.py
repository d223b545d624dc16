"""Programs whose input has several permitted shapes, executed with one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.conversion.package_runner import PackageRunner
from coremlbench.mil_onnx import Program, load_program
from coremlbench.mil_onnx.flexible_shapes import FlexibleInput, fix_input_shape, flexible_input
from coremlbench.mil_onnx.graph import static_shape
from coremlbench.types.conversion import OUTPUT
from coremlbench.types.errors import InputError
from tests.mil_programs import Builder, ct, get_new_symbol, numbers

pytestmark = [pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore")]  # coremltools' own

WEIGHT = numbers((4, 3, 3, 3), 1)


def network(x: Any) -> Any:
    """Return means over space, of a pooling whose output size needs the input's, and a reshape by its shape."""
    x = Builder.max_pool(x=Builder.conv(x=x, weight=WEIGHT), kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid")
    shape = Builder.shape(x=x)
    count = Builder.slice_by_index(x=shape, begin=[0], end=[2])
    flat = Builder.reshape(x=x, shape=Builder.concat(values=[count, np.array([-1], np.int32)], axis=0))
    return Builder.reduce_mean(x=flat, axes=[2])


def flexible(folder: Path, shape: Any, *, image: bool = False) -> Path:
    """Save a package that takes ``shape``, and return its path."""
    symbols = (get_new_symbol(), get_new_symbol())

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 3, *symbols))], opset_version=ct.target.macOS13)
    def program(x: Any) -> Any:
        return network(x)

    kind = ct.ImageType if image else ct.TensorType
    model = ct.convert(
        program,
        inputs=[kind(name="x", shape=shape)],
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.macOS13,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(folder / "flexible.mlpackage"))
    return folder / "flexible.mlpackage"


RANGES = ct.Shape((1, 3, ct.RangeDim(8, 20, default=10), ct.RangeDim(8, 40, default=12)))
ENUMERATED = ct.EnumeratedShapes([(1, 3, 10, 12), (1, 3, 16, 20)], default=(1, 3, 10, 12))


@pytest.mark.parametrize(
    ("shape", "image", "permitted", "example"),
    [
        (RANGES, False, "3 x 8 to 20 x 8 to 40", "3x10x12"),
        (ENUMERATED, False, "3x10x12 or 3x16x20", "3x10x12"),
        (RANGES, True, "8 to 20 x 8 to 40 x 3", "10x12x3"),
        (ENUMERATED, True, "10x12x3 or 16x20x3", "10x12x3"),
        (ct.Shape((1, 3, ct.RangeDim(8, 9, default=8), 12)), False, "3 x 8 to 9 x 12", "3x8x12"),
    ],
)
def test_the_permitted_shapes_are_listed_with_the_option(
    tmp_path: Path, shape: Any, image: bool, permitted: str, example: str
) -> None:
    path = flexible(tmp_path, shape, image=image)
    for sample, problem in ((None, ""), ((3, 99, 7), ", and 3x99x7 is not one of them"), ((5,), ", and 5 is not one")):
        with pytest.raises(InputError) as raised:
            PackageRunner.load(path, input_shape=sample)
        message = str(raised.value)
        assert f"flexible.mlpackage takes inputs of several sizes ({permitted}){problem}" in message
        assert message.endswith(f"fix one with --input-shape, such as --input-shape {example}.")


@pytest.mark.parametrize(("shape", "image"), [(RANGES, False), (ENUMERATED, False), (ENUMERATED, True)])
@pytest.mark.parametrize("size", [(10, 12), (16, 20)])
def test_a_permitted_shape_is_executed_as_a_package_of_that_shape(
    tmp_path: Path, shape: Any, image: bool, size: tuple[int, int]
) -> None:
    sample = (*size, 3) if image else (3, *size)
    runner = PackageRunner.load(flexible(tmp_path, shape, image=image), input_shape=sample)
    assert (runner.shape, runner.batch, runner.pixels, runner.widths) == (sample, 1, image, (4,))
    samples = np.random.default_rng(0).integers(0, 256, (3, *sample)).astype(np.uint8 if image else np.float32)
    channels_first = np.moveaxis(samples, -1, 1) if image else samples
    (fixed_folder := tmp_path / "fixed").mkdir()
    fixed = PackageRunner.from_program(fixed_program(fixed_folder, (1, 3, *size)))
    expected = fixed.predict(channels_first.astype(np.float32))[OUTPUT]
    np.testing.assert_allclose(runner.predict(samples)[OUTPUT], expected, rtol=1e-6)


def fixed_program(folder: Path, shape: tuple[int, ...]) -> Program:
    @Builder.program(input_specs=[Builder.TensorSpec(shape=shape)], opset_version=ct.target.macOS13)
    def program(x: Any) -> Any:
        return network(x)

    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.macOS13,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(folder / "m.mlpackage"))
    return load_program(folder / "m.mlpackage")


def test_the_shapes_of_all_values_follow_from_the_input(tmp_path: Path) -> None:
    program = load_program(flexible(tmp_path, RANGES))
    pooled = next(op for op in program.function.operations if op.op_type == "max_pool").outputs[0]
    assert static_shape(pooled) is None
    assert fix_input_shape(program, (3, 10, 12)) is program
    assert static_shape(pooled) == (1, 4, 4, 5)
    assert flexible_input(program) is None
    assert fix_input_shape(program, None) is program, "a program of one shape stays as it is"


def test_a_flexible_batch_is_the_smallest_that_is_permitted(tmp_path: Path) -> None:
    symbol = get_new_symbol()

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(symbol, 4))], opset_version=ct.target.macOS13)
    def program(x: Any) -> Any:
        return Builder.mul(x=x, y=2.0)

    model = ct.convert(
        program,
        inputs=[ct.TensorType(name="x", shape=(ct.RangeDim(2, 8), 4))],
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.macOS13,
        skip_model_load=True,
    )
    model.save(str(tmp_path / "m.mlpackage"))
    runner = PackageRunner.load(tmp_path / "m.mlpackage")
    assert (runner.batch, runner.shape) == (2, (4,))
    samples = numbers((3, 4), 0)
    np.testing.assert_allclose(runner.predict(samples)[OUTPUT], 2 * samples, rtol=1e-3)


def test_a_size_without_a_limit_is_said_and_permitted() -> None:
    flexible = FlexibleInput("x", image=False, default=(1, 8), ranges=((1, 4), (8, None)))
    assert flexible.permitted == "8 or more"
    assert [flexible.shape_for(sample) for sample in ((7,), (8,), (10**6,), (8, 1))] == [None, (1, 8), (1, 10**6), None]
