"""ONNX files as originals: how their inputs and outputs are matched with a package's, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.originals import open_original
from coremlbench.conversion.originals.onnx import OnnxModel
from coremlbench.conversion.originals.recorded_arrays import read_recorded
from coremlbench.conversion.package_runner import PackageRunner
from coremlbench.conversion.package_signature import read_signature
from coremlbench.conversion.sources import source_of_file
from coremlbench.mil_onnx import load_program
from coremlbench.types.conversion import LOGITS, OUTPUT
from coremlbench.types.errors import InputError
from tests.mil_programs import Builder, numbers
from tests.small_originals import SIZE, image_type, onnx_file, package, predict, program_of, save_graph

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings(
        "ignore:Implicitly cleaning up:ResourceWarning",  # coremltools leaves its folder to the collector
        "ignore::pytest.PytestUnraisableExceptionWarning",  # as above
    ),
]
SHAPE = (3, *SIZE)
PAGE = Path(__file__).parents[3] / "docs" / "originals.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the package of arrays, of batches and of pictures, and the ONNX file."""
    folder = tmp_path_factory.mktemp("models")
    package(folder / "arrays.mlpackage")
    package(folder / "batches.mlpackage", batch=4, softmax=True)
    package(folder / "pictures.mlpackage", image=image_type())
    package(folder / "bgr.mlpackage", image=image_type(order="BGR"))
    onnx_file(folder / "model.onnx")
    return folder


def opened(file: Path, package: Path, **settings: Any) -> OnnxModel:
    original = open_original(
        source_of_file(file, ConvertOptions(check=str(package))), {"package": str(package), **settings}
    )
    assert isinstance(original, OnnxModel)
    return original


def values(name: str, shape: list[Any], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def test_arrays_go_to_both_as_they_are(folder: Path) -> None:
    model = opened(folder / "model.onnx", folder / "arrays.mlpackage")
    samples = model.random_samples(seed=1, count=9)
    assert (model.shape, model.pixels, samples.shape, samples.dtype) == (SHAPE, False, (9, *SHAPE), np.float32)
    assert (samples.min() >= 0, samples.max() <= 1, samples.std() > 0.1) == (True, True, True)  # pictures, 0 to 1
    np.testing.assert_allclose(model.predict(samples)[OUTPUT], predict(samples), rtol=1e-4, atol=1e-5)
    assert model.notes == ()  # all names agree
    assert model.description.startswith("model.onnx on ONNX Runtime 1.")


@pytest.mark.parametrize("shape", [(4, *SHAPE), ("n", *SHAPE), (1, *SHAPE), ("n", "c", "h", "w"), (2, "c", "h", "w")])
def test_batches_of_the_package_and_of_the_file_may_differ(
    tmp_path: Path, folder: Path, shape: tuple[Any, ...]
) -> None:
    file = onnx_file(tmp_path / "model.onnx", shape=shape, softmax=True, names=("input.1", "8"))
    model = opened(file, folder / "batches.mlpackage")
    samples = model.random_samples(seed=1, count=6)  # neither 4 nor 2 divides it
    predictions = model.predict(samples)
    np.testing.assert_allclose(predictions[LOGITS], predict(samples), rtol=1e-4, atol=1e-5)
    powers = np.exp(predict(samples))
    np.testing.assert_allclose(predictions[OUTPUT], powers / powers.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-6)
    runner = PackageRunner.load(folder / "batches.mlpackage")
    np.testing.assert_allclose(runner.predict(samples)[LOGITS], predictions[LOGITS], rtol=1e-4, atol=1e-5)
    assert model.notes == (
        "The package's input picture is taken for the ONNX model's input.1: each has one.",
        "The package's output probabilities is taken for the ONNX model's 8: each has one.",
    )


@pytest.mark.parametrize(
    ("shape", "kind", "scale"),
    [
        ((1, *SHAPE), TensorProto.FLOAT, 1 / 255),
        (("n", *SHAPE), TensorProto.FLOAT16, 0.5),
        ((1, *SHAPE), TensorProto.UINT8, 1),
    ],
)
def test_pictures_go_to_the_package_as_bytes_and_to_the_file_as_numbers(
    tmp_path: Path, folder: Path, shape: tuple[Any, ...], kind: int, scale: float
) -> None:
    file = onnx_file(tmp_path / "model.onnx", shape=shape, kind=kind)
    settings = {} if kind == TensorProto.UINT8 else {"scale": scale}
    model = opened(file, folder / "pictures.mlpackage", **settings)
    samples = model.random_samples(seed=2, count=3)
    assert (model.shape, model.pixels, model.scale) == ((*SIZE, 3), True, scale)
    assert (samples.shape, samples.dtype) == ((3, *SIZE, 3), np.uint8)
    expected = predict(samples.transpose(0, 3, 1, 2) * np.float32(scale))
    tolerance = 2e-3 if kind == TensorProto.FLOAT16 else 1e-5
    np.testing.assert_allclose(
        model.predict(samples)[OUTPUT], expected, rtol=tolerance, atol=tolerance * abs(expected).max()
    )


def test_pictures_with_their_channels_last(tmp_path: Path, folder: Path) -> None:
    nodes = [helper.make_node("ReduceMean", ["picture"], ["scores"], axes=[1, 2], keepdims=0)]
    file = save_graph(tmp_path / "model.onnx", nodes, [values("picture", [1, *SIZE, 3])], ["scores"])
    means = program_of(
        tmp_path / "means.mlpackage",
        lambda picture: Builder.reduce_mean(x=picture, axes=[2, 3], name="scores"),
        [((1, *SHAPE), "fp32")],
    )
    with pytest.raises(
        InputError, match=r"as 1x3x4x6 and the ONNX model picture as 1x4x6x3: one has its channels first"
    ):
        opened(file, means)
    with pytest.raises(InputError, match=r"gives .* as 1x5 and model.onnx scores as 1x3: they are not the same model"):
        opened(file, folder / "pictures.mlpackage", scale=1.0)


def test_image_files_are_read_for_both_layouts(tmp_path: Path, folder: Path) -> None:
    red = np.zeros((*SIZE, 3), np.uint8)
    red[..., 0] = 200
    Image.fromarray(red).save(tmp_path / "red.png")
    arrays = opened(folder / "model.onnx", folder / "arrays.mlpackage", data={"name": "d", "classes": list("abcde")})
    np.testing.assert_array_equal(arrays.read_picture(tmp_path / "red.png"), red.transpose(2, 0, 1))
    assert arrays.classes == tuple("abcde")
    assert (arrays.scale, [caveat.code for caveat in arrays.caveats]) == (1 / 255, ["pixel-range", "class-order"])
    told = opened(folder / "model.onnx", folder / "arrays.mlpackage", data={"name": "d", "classes": ["a"]}, scale=0.5)
    assert (told.scale, told.caveats) == (0.5, ())
    assert "Pixels from 0 to 255 are multiplied with 0.5, as requested." in told.notes
    pictures = opened(folder / "model.onnx", folder / "pictures.mlpackage", scale=1.0)
    np.testing.assert_array_equal(pictures.read_picture(tmp_path / "red.png"), red)


def test_several_inputs_and_outputs_by_name_or_by_order(tmp_path: Path) -> None:
    def program(one: Any, two: Any) -> Any:
        return Builder.sub(x=one, y=two, name="less"), Builder.mul(x=one, y=two, name="times")

    both = program_of(tmp_path / "two.mlpackage", program, [((1, 3), "fp32")] * 2)
    nodes = [helper.make_node("Sub", ["one", "two"], ["less"]), helper.make_node("Mul", ["one", "two"], ["times"])]
    inputs = [values("two", ["n", 3]), values("one", ["n", 3])]  # in another order
    named = opened(save_graph(tmp_path / "named.onnx", nodes, inputs, ["times", "less"]), both)
    samples = named.random_samples(seed=1, count=5)
    one, two = samples["one"], samples["two"]
    assert not np.array_equal(one, two)
    expected = np.concatenate([one - two, one * two], axis=1)
    np.testing.assert_allclose(named.predict(samples)[OUTPUT], expected, rtol=1e-6)
    runner = PackageRunner.from_program(load_program(both), several=True)
    np.testing.assert_allclose(runner.predict(samples)[OUTPUT], expected, rtol=1e-6)
    assert named.notes == ()

    nodes = [helper.make_node("Sub", ["a", "b"], ["c"]), helper.make_node("Mul", ["a", "b"], ["d"])]
    inputs = [values("a", ["n", 3]), values("b", ["n", 3])]
    ordered = opened(save_graph(tmp_path / "ordered.onnx", nodes, inputs, ["c", "d"]), both)
    np.testing.assert_allclose(ordered.predict(samples)[OUTPUT], expected, rtol=1e-6)
    assert ordered.notes[0].endswith("different names and are matched by their order: one is a, two is b.")

    alone = save_graph(tmp_path / "alone.onnx", [helper.make_node("Relu", ["a"], ["c"])], inputs[:1], ["c"])
    with pytest.raises(InputError, match=r"The package takes one, two and alone.onnx a: their numbers differ"):
        opened(alone, both)


def test_a_first_dimension_that_is_no_batch(tmp_path: Path) -> None:
    def program(x: Any) -> Any:
        return Builder.reduce_sum(x=x, axes=[0], name="y")

    sums = program_of(tmp_path / "sums.mlpackage", program, [((5, 3), "fp32")])
    nodes = [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)]
    axes = onnx.numpy_helper.from_array(np.array([0], np.int64), "axes")
    model = opened(save_graph(tmp_path / "sums.onnx", nodes, [values("x", [5, 3])], ["y"], [axes]), sums)
    samples = numbers((4, 5, 3), 1)
    assert (model.shape, model.whole) == ((5, 3), True)
    np.testing.assert_allclose(model.predict(samples)[OUTPUT], samples.sum(axis=1), rtol=1e-5)
    runner = PackageRunner.load(sums).for_samples(samples)
    assert (runner.shape, runner.batch) == ((5, 3), 1)
    np.testing.assert_allclose(runner.predict(samples)[OUTPUT], samples.sum(axis=1), rtol=1e-5)


def test_weights_in_another_file(tmp_path: Path, folder: Path) -> None:
    file = onnx_file(
        tmp_path / "model.onnx",
        softmax=True,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    samples = numbers((3, *SHAPE), 1)
    predictions = opened(file, folder / "batches.mlpackage").predict(samples)
    np.testing.assert_allclose(predictions[LOGITS], predict(samples), rtol=1e-4, atol=1e-5)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InputError, match=r"keeps weights in the file weights.bin, which is not beside it"):
        opened(file, folder / "batches.mlpackage")


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("pictures", {}, r"as an image, and model.onnx does not tell how its pixels .* --scale .*docs/originals.md"),
        (
            "bgr",
            {"scale": 1.0},
            r"as an image in the order BGR, and model.onnx does not tell the order of its channels",
        ),
    ],
)
def test_what_the_file_does_not_tell(folder: Path, name: str, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        opened(folder / "model.onnx", folder / f"{name}.mlpackage", **settings)


def test_the_line_of_the_page_records_an_onnx_file(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    monkeypatch.chdir(tmp_path)
    samples = numbers((20, *SHAPE), 1)
    (line,) = re.findall(r"^np.savez.*  # ONNX$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    onnx_file(tmp_path / "model.onnx", names=("x", "y"))
    exec(line, {"np": np, "onnxruntime": onnxruntime, "x": samples})
    taken = read_recorded(tmp_path / "io.npz", read_signature(load_program(folder / "arrays.mlpackage")))
    np.testing.assert_array_equal(taken.samples, samples)
    np.testing.assert_allclose(taken.outputs, predict(samples), rtol=1e-4, atol=1e-5)


def test_class_names_need_a_value_each(folder: Path) -> None:
    source = replace(source_of_file(folder / "model.onnx", ConvertOptions(check="package")), classes=("cat", "dog"))
    with pytest.raises(InputError, match="2 classes were named, and model gives 5 values"):
        open_original(source, {"package": str(folder / "arrays.mlpackage")})


def test_it_is_not_converted(folder: Path) -> None:
    model = opened(folder / "model.onnx", folder / "arrays.mlpackage")
    intermediate_values: Callable[[], object] = model.intermediate_values
    assert intermediate_values() is None
    with pytest.raises(InputError, match="have other names than those of a package"):
        model.convert("float32", batch=1, target="macOS13")


REFUSED: list[tuple[list[Any], list[Any], str]] = [
    (
        [helper.make_node("Foo", ["picture"], ["scores"], domain="my.ops")],
        [values("picture", [1, *SHAPE])],
        r"uses the custom op my.ops.Foo, which ONNX Runtime does not know; record",
    ),
    (
        [helper.make_node("NoSuchOp", ["picture"], ["scores"])],
        [values("picture", [1, *SHAPE])],
        r"ONNX Runtime cannot load model.onnx \(.*NoSuchOp",
    ),
    (
        [helper.make_node("Cast", ["picture"], ["scores"], to=1)],
        [values("picture", [1, *SHAPE], TensorProto.INT64)],
        r"takes picture as int64, and the package picture as float32: it is not known which integers have a meaning",
    ),
    (
        [helper.make_node("Identity", ["picture"], ["scores"])],
        [values("picture", [1, 3, 9, 9])],
        r"takes picture as 1x3x4x6 and the ONNX model picture as 1x3x9x9: they are not the same model",
    ),
    (
        [helper.make_node("SequenceConstruct", ["picture"], ["scores"])],
        [values("picture", [1, *SHAPE])],
        r"gives scores as list, not as an array of numbers",
    ),
]


@pytest.mark.parametrize(("nodes", "inputs", "sentence"), REFUSED)
def test_models_that_are_refused(
    tmp_path: Path, folder: Path, nodes: list[Any], inputs: list[Any], sentence: str
) -> None:
    file = save_graph(tmp_path / "model.onnx", nodes, inputs, ["scores"])
    if nodes[0].op_type == "SequenceConstruct":
        proto = onnx.load(file)
        proto.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info("scores", TensorProto.FLOAT, None))
        onnx.save(proto, str(file))
    with pytest.raises(InputError, match=sentence):
        opened(file, folder / "arrays.mlpackage")


@pytest.mark.parametrize("content", [b"text, not ONNX", b"\x08\x07", bytes(range(1, 200))])
def test_another_kind_of_file(tmp_path: Path, folder: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(
        InputError, match=r"model.onnx (is truncated or no ONNX model|has no ONNX graph); export or copy"
    ):
        opened(tmp_path / "model.onnx", folder / "arrays.mlpackage")
