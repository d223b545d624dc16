"""Reading packages, naming what cannot be done, rounding, and the reference runtime on saved models."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from coremlbench.mil_onnx import UnknownOpError, load_program, to_onnx
from coremlbench.mil_onnx.constexpr import materialise
from coremlbench.mil_onnx.graph import UnsupportedProgramError
from coremlbench.mil_onnx.ops import OPS
from coremlbench.runtimes.reference import ReferenceRuntime
from coremlbench.types.errors import CoremlbenchError, InputError
from tests.mil_programs import BROKEN, Builder, close, numbers, run, run_one, saved

LABELS = ["cat", "dog", "bird"]
RANDOM = np.random.default_rng(0)
FILTERS = RANDOM.normal(0, 0.3, (8, 3, 3, 3)).astype(np.float32)
HEAD = RANDOM.normal(0, 0.3, (3, 8)).astype(np.float32)


def classifier(
    folder: Path,
    *,
    layout: str = "RGB",
    precision: str = "FLOAT32",
    labels: list[Any] | None = None,
    target: str = "iOS16",
) -> Any:
    """Save a small classifier of 8x6 images (height, width) and return its model and package."""

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 3, 8, 6))], opset_version=getattr(ct.target, target))
    def program(image: Any) -> Any:
        x = Builder.relu(x=Builder.conv(x=image, weight=FILTERS, pad_type="same"))
        x = Builder.reduce_mean(x=x, axes=[2, 3], keep_dims=False)
        return Builder.softmax(x=Builder.linear(x=x, weight=HEAD), axis=-1)

    image = ct.ImageType(
        name="image",
        shape=(1, 3, 8, 6),
        scale=1 / 127.5,
        bias=[-1, -0.5, 0],
        color_layout=getattr(ct.colorlayout, layout),
    )
    model = ct.convert(
        program,
        inputs=[image],
        convert_to="mlprogram",
        classifier_config=ct.ClassifierConfig(LABELS if labels is None else labels),
        compute_precision=getattr(ct.precision, precision),
        minimum_deployment_target=getattr(ct.target, target),
        skip_model_load=True,
    )
    package = folder / "classifier.mlpackage"
    model.save(str(package))
    return model, package


def by_hand(pixels: np.ndarray) -> np.ndarray:
    """Return the classifier's probabilities for (height, width, channels) bytes, in plain numpy."""
    x = pixels.transpose(2, 0, 1) / 127.5 + np.array([-1, -0.5, 0]).reshape(3, 1, 1)
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1)])
    seen = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    features = np.maximum(np.einsum("chwij,ocij->ohw", seen, FILTERS), 0).mean((1, 2))
    scores = np.exp(HEAD @ features)
    return np.asarray(scores / scores.sum())


pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings(
        "ignore:Implicitly cleaning up:ResourceWarning",  # coremltools leaves its folder of weights to the collector
        "ignore::pytest.PytestUnraisableExceptionWarning",
    ),
]


@pytest.mark.parametrize(("precision", "tolerance"), [("FLOAT32", 1e-6), ("FLOAT16", 2e-3)])
@pytest.mark.parametrize("layout", ["RGB", "BGR"])
def test_a_saved_classifier_predicts_from_images(tmp_path: Path, layout: str, precision: str, tolerance: float) -> None:
    _, package = classifier(tmp_path, layout=layout, precision=precision)
    runtime = ReferenceRuntime.load(package, threads=1)
    pixels = RANDOM.integers(0, 256, (8, 6, 3), dtype=np.uint8)
    expected = by_hand(pixels[:, :, ::-1] if layout == "BGR" else pixels)
    for image in (pixels, Image.fromarray(pixels), Image.fromarray(pixels).convert("RGBA")):
        outputs = runtime.predict({"image": image})
        assert list(outputs["classLabel_probs"]) == LABELS
        close(np.array(list(outputs["classLabel_probs"].values())), expected, tolerance)
        assert outputs["classLabel"] == LABELS[int(expected.argmax())]


def test_labels_may_be_numbers(tmp_path: Path) -> None:
    runtime = ReferenceRuntime.load(classifier(tmp_path, labels=[10, 20, 30])[1], threads=1)
    pixels = RANDOM.integers(0, 256, (8, 6, 3), dtype=np.uint8)
    outputs = runtime.predict({"image": pixels})
    assert outputs["classLabel"] == [10, 20, 30][int(by_hand(pixels).argmax())]
    assert list(outputs["classLabel_probs"]) == [10, 20, 30]


def test_many_images_give_what_each_gives(tmp_path: Path) -> None:
    runtime = ReferenceRuntime.load(classifier(tmp_path)[1], threads=1)
    samples = [{"image": pixels} for pixels in RANDOM.integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)]
    assert list(runtime.predict_many(samples)) == [runtime.predict(sample) for sample in samples]


def test_an_image_of_another_size_is_refused(tmp_path: Path) -> None:
    runtime = ReferenceRuntime.load(classifier(tmp_path)[1], threads=1)
    with pytest.raises(InputError, match=r"'image' .* has the shape \(1, 3, 8, 6\), but was given \(1, 3, 6, 8\)"):
        runtime.predict({"image": np.zeros((6, 8, 3), np.uint8)})
    with pytest.raises(InputError, match="takes the inputs"):
        runtime.predict({"picture": np.zeros((8, 6, 3), np.uint8)})


def test_the_saved_onnx_graph_stands_alone(tmp_path: Path) -> None:
    program = load_program(classifier(tmp_path)[1])
    inner = next(op.outputs[0].name for op in program.function.operations if op.op_type == "conv")
    runtime = ReferenceRuntime(program, threads=1, also=[inner])
    assert set(runtime.outputs) == {"classLabel", "classLabel_probs", inner}
    runtime.save_onnx(tmp_path / "model.onnx")
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)
    graph = onnx.load(tmp_path / "model.onnx").graph
    assert [output.name for output in graph.output] == ["classLabel", "classLabel_probs"]
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    pixels = RANDOM.integers(0, 256, (8, 6, 3), dtype=np.uint8)
    label, probabilities = session.run(None, {"image": pixels.transpose(2, 0, 1)[None].astype(np.float32)})
    assert label.tolist() == [LABELS[int(by_hand(pixels).argmax())]]
    close(probabilities, by_hand(pixels))


def compressor(kind: str, how: str, **options: Any) -> Callable[..., Any]:
    """Return the function that compresses a model's weights with one of coremltools' optimisers."""
    row = getattr(ct.optimize.coreml, how)(weight_threshold=0, **options)
    config = ct.optimize.coreml.OptimizationConfig(row)
    return lambda model, **joint: getattr(ct.optimize.coreml, kind)(model, config, **joint)


quantise = compressor("linear_quantize_weights", "OpLinearQuantizerConfig")
quantise_table = compressor("linear_quantize_weights", "OpLinearQuantizerConfig", granularity="per_tensor")
palettise = compressor("palettize_weights", "OpPalettizerConfig", mode="uniform", nbits=6)
palettise_scaled = compressor(
    "palettize_weights", "OpPalettizerConfig", mode="uniform", nbits=6, enable_per_channel_scale=True
)
prune = compressor("prune_weights", "OpMagnitudePrunerConfig", target_sparsity=0.5)

COMPRESS: dict[str, tuple[str, list[Callable[..., Any]]]] = {
    "int8": ("iOS16", [quantise]),
    "palettized": ("iOS16", [palettise]),
    "sparse": ("iOS16", [prune]),
    "blockwise": ("iOS18", [quantise]),
    "palettized and scaled": ("iOS18", [palettise_scaled]),
    "palettized and quantised": ("iOS18", [palettise, quantise_table]),
    "sparse and quantised": ("iOS18", [prune, quantise]),
    "sparse and palettized": ("iOS18", [prune, palettise]),
    "sparse, palettized and quantised": ("iOS18", [prune, palettise, quantise_table]),
}


@pytest.mark.parametrize("form", COMPRESS)
def test_a_compressed_model_runs_as_its_decompressed_twin(tmp_path: Path, form: str) -> None:
    target, steps = COMPRESS[form]
    compressed = classifier(tmp_path, target=target)[0]
    for number, step in enumerate(steps):
        compressed = step(compressed, **({"joint_compression": True} if number else {}))
    compressed.save(str(tmp_path / "small.mlpackage"))
    ct.optimize.coreml.decompress_weights(compressed).save(str(tmp_path / "dense.mlpackage"))
    program = load_program(tmp_path / "small.mlpackage")
    assert sum(op.op_type.startswith("constexpr_") for op in program.function.operations) >= 2 * len(steps)
    runtimes = [ReferenceRuntime(program), ReferenceRuntime.load(tmp_path / "dense.mlpackage")]
    pixels = RANDOM.integers(0, 256, (8, 6, 3), dtype=np.uint8)
    small, dense = (runtime.predict({"image": pixels})["classLabel_probs"] for runtime in runtimes)
    assert small == dense
    assert 0 < abs(small["cat"] - by_hand(pixels)[0]) < 0.2  # compression costs something, and not everything


@pytest.mark.parametrize("bits", [4, 8])
def test_blockwise_weights_are_what_their_definition_says(bits: int) -> None:
    data = RANDOM.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (4, 8))
    scale = (2.0 ** RANDOM.integers(-4, 0, (4, 2))).astype(np.float32)
    offset = RANDOM.integers(-3, 3, (4, 2))
    stored = ct.converters.mil.mil.types.nptype_from_builtin(
        ct.converters.mil.mil.types.string_to_builtin(f"int{bits}")
    )

    def build(x: Any) -> Any:
        weight = Builder.constexpr_blockwise_shift_scale(
            data=data.astype(stored), scale=scale, offset=offset.astype(stored)
        )
        return Builder.matmul(x=x, y=weight, transpose_y=True)

    x = numbers((3, 8), 0)
    dense = scale.repeat(4, axis=1) * (data - offset.repeat(4, axis=1))
    close(run_one(build, target="iOS18", x=x), x @ dense.T)


def test_a_table_of_weights_is_looked_up() -> None:
    table = RANDOM.normal(0, 1, (1, 1, 16, 1)).astype(np.float16)
    types = ct.converters.mil.mil.types
    places = RANDOM.integers(0, 16, (4, 8)).astype(types.nptype_from_builtin(types.string_to_builtin("uint4")))

    def build(x: Any) -> Any:
        weight = Builder.constexpr_lut_to_dense(indices=places, lut=table)
        return Builder.matmul(x=x, y=weight, transpose_y=True)

    x = numbers((3, 8), 0, np.float16)
    dense = table.ravel()[places.astype(int)]
    close(run_one(build, target="iOS18", x=x), x.astype(np.float64) @ dense.astype(np.float64).T)


def noise(x: Any) -> Any:
    return Builder.add(x=Builder.exp(x=x), y=Builder.random_normal(shape=[2, 3], name="noise"))


PLACES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "at the top": (noise, "operation 2 of the program, which makes 'noise'"),
    "in a branch": (
        lambda x: Builder.cond(
            pred=Builder.less(x=Builder.reduce_max(x=x), y=0.0),
            _true_fn=lambda: Builder.exp(x=x),
            _false_fn=lambda: noise(x),
            name="choice",
        ),
        "operation 2 of the else branch of 'choice', which makes 'noise'",
    ),
    "in a loop": (
        lambda x: Builder.while_loop(
            _cond=lambda x: Builder.less(x=Builder.reduce_max(x=x), y=9.0), _body=noise, loop_vars=(x,), name="turns"
        ),
        "operation 2 of the body of the loop 'turns', which makes 'noise'",
    ),
}


@pytest.mark.parametrize("where", PLACES)
def test_an_unknown_op_is_named_with_its_place(where: str) -> None:
    build, place = PLACES[where]
    with pytest.raises(UnknownOpError, match=rf"'random_normal' \({place}\)"):
        to_onnx(saved(build, {"x": numbers((2, 3), 0)}))


UNFORESEEN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "by the translator": (
        lambda x: Builder.scatter(data=Builder.abs(x=x), indices=[0], updates=x, mode="mean", name="meant"),
        r"'scatter' \(operation 2 of the program, which makes 'meant'\): KeyError: 'mean'",
    ),
    "as a graph": (
        lambda x: Builder.exp(x=x, name="raised"),
        r"ONNX Runtime does not take the graph of 'model.mlpackage': .*NoSuchOp",
    ),
    "when executed": (
        lambda x: Builder.sqrt(x=x, name="rooted"),
        r"ONNX Runtime fails to execute 'model.mlpackage': .*rooted/Reshape",
    ),
}


@pytest.mark.parametrize("where", UNFORESEEN)
def test_what_nobody_foresaw_is_one_sentence_that_names_the_op(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for op, builder in BROKEN.items():
        monkeypatch.setitem(OPS, op, builder)
    build, sentence = UNFORESEEN[where]
    x = numbers((1, 1, 6), 0)
    program = saved(build, {"x": x})
    with pytest.raises(UnsupportedProgramError, match=sentence) as caught:
        ReferenceRuntime(program, threads=1).predict({"x": x})
    assert "\n" not in str(caught.value)


def test_outputs_of_one_name_are_refused() -> None:
    def twice(x: Any) -> Any:
        doubled = Builder.add(x=x, y=x, name="doubled")
        return doubled, doubled

    with pytest.raises(InputError, match="has several outputs with the name 'doubled'"):
        ReferenceRuntime(saved(twice, {"x": numbers((2,), 0)}))


def test_any_value_of_the_program_can_be_asked_for() -> None:
    def build(x: Any) -> Any:
        return Builder.exp(x=Builder.relu(x=Builder.add(x=x, y=np.float16(0.5), name="sum"), name="positive"))

    x = numbers((2, 3), 0, np.float16)
    runtime = ReferenceRuntime(saved(build, {"x": x}), threads=1, also=["sum", "positive"])
    outputs = runtime.predict({"x": x})
    assert outputs["sum"].dtype == np.float16
    np.testing.assert_array_equal(outputs["sum"], x + np.float16(0.5))
    np.testing.assert_array_equal(outputs["positive"], np.maximum(outputs["sum"], 0))
    with pytest.raises(UnsupportedProgramError, match="no value 'product'"):
        to_onnx(runtime.program, also=["product"])


def kinds(program: Any) -> list[str]:
    return [node.op_type for node in to_onnx(program).graph.node]


def test_float32_programs_have_no_casts_and_float16_ones_round_behind_the_relu() -> None:
    def build(x: Any) -> Any:
        weight = FILTERS.astype(np.float16 if x.dtype == ct.converters.mil.mil.types.fp16 else np.float32)
        x = Builder.relu(x=Builder.conv(x=x, weight=weight))
        return Builder.tanh(x=Builder.max_pool(x=x, kernel_sizes=[2, 2], pad_type="valid"))

    assert kinds(saved(build, {"x": numbers((1, 3, 8, 8), 0)})) == ["Conv", "Relu", "MaxPool", "Tanh"]
    half = kinds(saved(build, {"x": numbers((1, 3, 8, 8), 0, np.float16)}))
    assert half == ["Cast", "Conv", "Relu", "MaxPool", "Cast", "Cast", "Tanh", "Cast"]


@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize(
    "through",
    [
        lambda x: Builder.identity(x=x),
        lambda x: Builder.cast(x=x, dtype="fp32"),
        lambda x: Builder.transpose(x=x, perm=[0, 1, 2]),
        lambda x: Builder.squeeze(x=x, axes=[1]),
        lambda x: Builder.upsample_bilinear(x=x),
    ],
)
def test_what_is_handed_through_can_still_be_used_by_others(through: Callable[[Any], Any], kind: Any) -> None:
    def build(x: Any) -> Any:
        first = Builder.exp(x=through(x))
        same = through(x)
        return [first, Builder.add(x=x, y=kind(1)), same, Builder.tanh(x=through(same))]

    x = numbers((1, 3, 4), 0, kind)
    for actual, expected in zip(run(build, x=x), [np.exp(x), x + 1, x, np.tanh(x)], strict=True):
        close(actual, expected.astype(np.float64), 2e-3 if kind == np.float16 else 2e-6)


def test_a_float16_input_read_in_both_precisions(tmp_path: Path) -> None:
    weight = RANDOM.normal(size=(3, 3, 1, 1)).astype(np.float32)

    def build(x: Any) -> Any:
        wide = Builder.cast(x=x, dtype="fp32")
        root = Builder.sqrt(x=Builder.square(x=wide))
        return Builder.add(x=Builder.conv(x=wide, weight=weight), y=root)

    half = ct.converters.mil.mil.types.fp16
    specs = [Builder.TensorSpec(shape=(1, 3, 4, 4), dtype=half)]
    program = Builder.program(input_specs=specs, opset_version=ct.target.iOS16)(build)
    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.transform.FP16ComputePrecision(op_selector=lambda op: op.op_type != "square"),
        skip_model_load=True,
    )
    model.save(str(tmp_path / "mixed.mlpackage"))
    x = numbers((1, 3, 4, 4), 0, np.float16)
    (actual,) = ReferenceRuntime.load(tmp_path / "mixed.mlpackage", threads=1).predict({"x": x}).values()
    close(actual, np.einsum("oc,nchw->nohw", weight[:, :, 0, 0], x) + np.abs(x), 4e-3)


@pytest.mark.parametrize("name", ["const", "classes", "relu_0"])
def test_a_value_may_have_any_name(name: str) -> None:
    def build(x: Any) -> Any:
        return Builder.add(x=Builder.relu6(x=Builder.clip(x=x, alpha=-1.0, beta=2.0)), y=1.0, name=name)

    x = numbers((2, 3), 0)
    close(run_one(build, x=x), np.clip(x, 0, 2) + 1)


def test_a_compressed_weight_is_decompressed_once() -> None:
    types = ct.converters.mil.mil.types
    places = RANDOM.integers(0, 16, (8, 4)).astype(types.nptype_from_builtin(types.string_to_builtin("uint4")))
    table = RANDOM.normal(0, 1, (1, 1, 16, 1)).astype(np.float32)

    def build(x: Any) -> Any:
        return Builder.matmul(x=x, y=Builder.constexpr_lut_to_dense(indices=places, lut=table))

    program = saved(build, {"x": numbers((3, 8), 0)}, target="iOS18")
    calls = []
    sys.setprofile(lambda frame, event, _: calls.append(event) if frame.f_code is materialise.__code__ else None)
    try:
        to_onnx(program)
    finally:
        sys.setprofile(None)
    assert calls.count("call") == 1


def spoil(package: Path, folder: Path, part: str, change: Callable[[bytes], bytes]) -> Path:
    copy = folder / "spoilt.mlpackage"
    shutil.copytree(package, copy)
    file = next(copy.rglob(part))
    file.write_bytes(change(file.read_bytes()))
    return copy


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("part", ["*.mlmodel", "weight.bin", "Manifest.json"])
def test_a_truncated_package_gives_one_sentence(tmp_path: Path, part: str, share: float) -> None:
    package = spoil(classifier(tmp_path)[1], tmp_path, part, lambda data: data[: int(len(data) * share)])
    with pytest.raises(InputError) as caught:
        load_program(package)
    assert "spoilt.mlpackage" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_foreign_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "foreign.mlmodel").write_bytes(b"not a model at all")
    (tmp_path / "empty.mlpackage").mkdir()
    (tmp_path / "model.mlmodelc").mkdir()
    builder = ct.models.neural_network.NeuralNetworkBuilder(
        [("x", ct.models.datatypes.Array(3))], [("y", ct.models.datatypes.Array(3))]
    )
    builder.add_activation("relu", "RELU", "x", "y")
    ct.utils.save_spec(builder.spec, str(tmp_path / "old.mlmodel"))
    cases = {
        "missing.mlpackage": "There is no model",
        "foreign.mlmodel": "cannot be read as a Core ML model",
        "empty.mlpackage": "no readable Manifest.json",
        "model.mlmodelc": "compiled model",
        "old.mlmodel": "is a neural network, not an ML Program",
    }
    for name, sentence in cases.items():
        with pytest.raises(CoremlbenchError, match=sentence):
            load_program(tmp_path / name)
