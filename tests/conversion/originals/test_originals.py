"""Keras files and SavedModels opened in this process: input shapes, pixel scaling, names, refused models."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from coremlbench.conversion.divergence import find_divergence, layer_of, values_by_name
from coremlbench.conversion.originals import frozen_graph, open_original
from coremlbench.conversion.originals.layer_scopes import layers_by_name
from coremlbench.conversion.originals.traced_model import INPUT_NAME
from coremlbench.conversion.package_runner import PackageRunner
from coremlbench.conversion.sources import random_weights_source, source_of_file
from coremlbench.mil_onnx import load_program
from coremlbench.runtimes.reference import ReferenceRuntime
from coremlbench.runtimes.tensorflow import TensorFlow
from coremlbench.training.random_weights import random_pictures, random_samples
from coremlbench.types.conversion import LOGITS, OUTPUT, ModelSource
from coremlbench.types.errors import InputError
from tests.spoilt import spoil

layers = keras.layers
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow and Keras warn about each other
]


def opened(source: ModelSource, **settings: Any) -> Any:
    return open_original(source, settings)


def test_a_saved_model_gives_its_outputs_and_logits(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(weights)

        @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32)])
        def predict(self, x: Any) -> Any:
            return tf.nn.sigmoid(x @ self.weights)

    model = Model()
    tf.saved_model.save(model, str(tmp_path / "model"), signatures=model.predict)
    original = opened(source_of_file(tmp_path / "model"))
    samples = random_samples((4,), pixels=False, seed=1, count=20)  # more than one prediction batch
    predictions = original.predict(samples)
    assert (original.shape, original.pixels, original.classes) == ((4,), False, ())
    np.testing.assert_allclose(predictions[LOGITS], samples @ weights, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(predictions[OUTPUT], 1 / (1 + np.exp(-samples @ weights)), rtol=1e-5, atol=1e-6)


def test_a_saved_model_that_runs_python_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)])
        def predict(self, x: Any) -> Any:
            read = tf.strings.length(tf.io.read_file("/etc/hostname"))
            return tf.ensure_shape(tf.py_function(lambda y: y, [x], tf.float32), (1, 4)) + tf.cast(read, tf.float32)

    model = Model()
    tf.saved_model.save(model, str(tmp_path / "model"), signatures=model.predict)
    with pytest.raises(InputError, match=r"The graph of model runs EagerPyFunc, ReadFile.*--allow-code"):
        opened(source_of_file(tmp_path / "model"))
    assert opened(source_of_file(tmp_path / "model"), allow_code=True).shape == (4,)


@pytest.mark.parametrize("damage", [b"", b"not a SavedModel", None])
def test_a_damaged_saved_model_gives_a_sentence(tmp_path: Path, damage: bytes | None) -> None:
    file = tmp_path / "saved_model.pb"
    file.write_bytes(b"\x08\x01\x12\x7f" if damage is None else damage)
    with pytest.raises(InputError, match=r"SavedModel.*(save|save or copy) it again"):
        opened(source_of_file(tmp_path))


def test_augmentation_and_dropout_do_nothing_and_rescaling_makes_it_take_images(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    stack = [layers.Rescaling(1 / 127.5, -1), layers.RandomFlip(), layers.Flatten(), layers.Dropout(0.9)]
    model = keras.Sequential([keras.Input((4, 4, 3)), *stack, layers.Dense(3, activation="softmax")])
    model.save(tmp_path / "model.keras")
    original = opened(source_of_file(tmp_path / "model.keras"))
    assert (original.pixels, original.scale) == (True, 1.0)
    pictures = random_samples((4, 4, 3), pixels=True, seed=0, count=5)
    assert pictures.dtype == np.uint8
    kernel, bias = (weight.numpy() for weight in model.layers[-1].weights)
    expected = (pictures.astype(np.float32) / 127.5 - 1).reshape(5, -1) @ kernel + bias
    np.testing.assert_allclose(original.predict(pictures)[LOGITS], expected, rtol=1e-4, atol=1e-5)


AUGMENTATIONS: dict[str, tuple[Any, ...]] = {
    "AugMix": (),
    "CutMix": (),
    "MixUp": (),
    "RandAugment": (),
    "RandomBrightness": (0.2,),
    "RandomColorDegeneration": (0.5,),
    "RandomColorJitter": (),
    "RandomContrast": (0.2,),
    "RandomElasticTransform": (),
    "RandomErasing": (),
    "RandomFlip": (),
    "RandomGaussianBlur": (),
    "RandomGrayscale": (),
    "RandomHue": (0.2,),
    "RandomInvert": (),
    "RandomPerspective": (),
    "RandomPosterization": (4,),
    "RandomRotation": (0.2,),
    "RandomSaturation": (0.2,),
    "RandomSharpness": (0.2,),
    "RandomShear": (),
    "RandomTranslation": (0.1, 0.1),
    "RandomZoom": (0.2,),
}
"""Keras layers that change images in training only, with the arguments of their constructors."""


def test_every_augmentation_of_keras_becomes_what_it_does_at_inference_nothing(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    augmentation = [getattr(layers, name)(*settings) for name, settings in AUGMENTATIONS.items()]
    noise = [layers.GaussianNoise(1.0), layers.GaussianDropout(0.5), layers.SpatialDropout2D(0.5)]
    head = [layers.Flatten(), layers.AlphaDropout(0.5), layers.Dense(3, activation="softmax")]
    model = keras.Sequential([keras.Input((8, 8, 3)), *augmentation, *noise, *head])
    model.save(tmp_path / "model.keras")
    original = opened(source_of_file(tmp_path / "model.keras"), scale=1 / 255)
    pictures = random_samples((8, 8, 3), pixels=True, seed=0, count=3)
    kernel, bias = (weight.numpy() for weight in model.layers[-1].weights)
    expected = (pictures.astype(np.float32) / 255).reshape(3, -1) @ kernel + bias
    np.testing.assert_allclose(original.predict(pictures)[LOGITS], expected, rtol=1e-4, atol=1e-5)
    original.convert("float32", batch=1, target="macOS13").save(str(tmp_path / "model.mlpackage"))
    predictions = PackageRunner.load(tmp_path / "model.mlpackage").predict(pictures)
    np.testing.assert_allclose(predictions[LOGITS], expected, rtol=1e-4, atol=1e-5)


def test_normalisations_are_taken_into_weights_exactly(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="ahead")(layers.Conv2D(8, 3, name="conv")(layers.Rescaling(1 / 255)(image)))
    x = layers.BatchNormalization(name="alone")(layers.MaxPooling2D()(layers.Activation("relu")(x)))
    model = keras.Model(image, layers.Dense(3)(layers.Flatten()(x)))
    random = np.random.default_rng(0)
    for name in ("ahead", "alone"):
        weights = [random.uniform(0.5, 2, 8) for _ in range(4)]
        model.get_layer(name).set_weights(weights)
    model.save(tmp_path / "model.keras")
    original = opened(source_of_file(tmp_path / "model.keras"))
    original.convert("float32", batch=1, target="macOS13").save(str(tmp_path / "model.mlpackage"))
    operations = load_program(tmp_path / "model.mlpackage").function.operations
    kernel, _ = model.get_layer("conv").get_weights()
    gamma, _, _, variance = model.get_layer("ahead").get_weights()
    factor = gamma / np.sqrt(variance + model.get_layer("ahead").epsilon)
    (weight,) = (op.weight.val for op in operations if op.op_type == "conv")
    np.testing.assert_allclose(weight, (kernel * factor).transpose(3, 2, 0, 1), rtol=1e-6)
    pictures = random_samples((8, 8, 3), pixels=True, seed=0, count=3)
    whole, expected = PackageRunner.load(tmp_path / "model.mlpackage").predict(pictures), original.predict(pictures)
    assert np.abs(whole[OUTPUT] - expected[OUTPUT]).max() < 1e-6 * np.ptp(expected[OUTPUT])


def test_a_normalisation_that_has_learnt_nothing_keeps_its_epsilon(tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), layers.Activation("relu"), layers.BatchNormalization(epsilon=1e-5), layers.Flatten()]
    )
    model.save(tmp_path / "model.keras")
    original = opened(source_of_file(tmp_path / "model.keras"))
    samples = random_samples((4, 4, 3), pixels=False, seed=0, count=2)
    original.convert("float32", batch=1, target="macOS13").save(str(tmp_path / "model.mlpackage"))
    output = PackageRunner.load(tmp_path / "model.mlpackage").predict(samples)[OUTPUT]
    np.testing.assert_allclose(output, samples.reshape(2, -1) / np.sqrt(1 + 1e-5), rtol=2e-7)


def test_recurrent_layers_are_unrolled(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    sequence = [layers.Bidirectional(layers.LSTM(4, return_sequences=True)), layers.GRU(3, go_backwards=True)]
    pictures = [layers.Reshape((3, 2, 2, 1)), layers.ConvLSTM2D(2, 2), layers.Flatten(), layers.RepeatVector(2)]
    cells = layers.RNN([layers.SimpleRNNCell(3), layers.GRUCell(4, reset_after=False)], return_sequences=True)
    model = keras.Sequential([keras.Input((4, 3)), *pictures, cells, *sequence])
    model.save(tmp_path / "model.keras")
    original = opened(source_of_file(tmp_path / "model.keras"))
    assert original.notes[-1] == "Recurrent layers are unrolled: each step is a part of the program."
    samples = random_samples((4, 3), pixels=False, seed=0, count=3)
    expected = model.predict(samples, verbose=0)
    np.testing.assert_allclose(original.predict(samples)[OUTPUT], expected, rtol=1e-4, atol=1e-5)
    original.convert("float32", batch=1, target="macOS13").save(str(tmp_path / "model.mlpackage"))
    predictions = PackageRunner.load(tmp_path / "model.mlpackage").predict(samples)
    np.testing.assert_allclose(predictions[OUTPUT], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["keras", "saved-model"])
def test_outputs_without_the_batch_are_given_to_every_sample(form: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    anchors = (
        np.random.default_rng(0).random((16, 2)).astype(np.float32)
    )  # as many rows as samples are predicted at once
    image = keras.Input((4,))
    mean = keras.ops.mean(image)
    model = keras.Model(image, {"a": layers.Dense(3)(image), "b": mean * 0 + anchors, "c": mean})
    path = tmp_path / ("model.keras" if form == "keras" else "model")
    if form == "keras":
        model.save(path)
    else:
        model.export(path, format="tf_saved_model", verbose=False)
    original = opened(source_of_file(path))
    samples = random_samples((4,), pixels=False, seed=0, count=20)
    values = original.predict(samples)[OUTPUT]
    assert original.batchless_outputs == (1, 2)
    np.testing.assert_allclose(values[:, 3:35], np.tile(anchors.reshape(-1), (20, 1)))
    np.testing.assert_allclose(values[:, 35:], samples.mean(axis=1, keepdims=True), rtol=1e-5)


def test_outputs_without_the_batch_of_a_function_of_a_fixed_batch(tmp_path: Path) -> None:
    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((4, 3), tf.float32)])
        def predict(self, x: Any) -> Any:
            return {"double": x * 2, "five": tf.zeros((5,)) + 0 * x[0, 0], "one": 0 * x[0, 0] + 1}

    model = Model()
    tf.saved_model.save(model, str(tmp_path / "model"), signatures=model.predict)
    original = opened(source_of_file(tmp_path / "model"))
    samples = random_samples((3,), pixels=False, seed=0, count=6)
    values = original.predict(samples)[OUTPUT]
    assert original.batchless_outputs == (1, 2)
    np.testing.assert_allclose(values, np.concatenate([samples * 2, np.zeros((6, 5)), np.ones((6, 1))], axis=1))


def test_a_size_for_a_model_that_takes_any(tmp_path: Path) -> None:
    stack = [layers.Conv2D(2, 3), layers.GlobalAveragePooling2D()]
    keras.Sequential([keras.Input((None, None, 3)), *stack]).save(tmp_path / "model.keras")
    source = source_of_file(tmp_path / "model.keras")
    with pytest.raises(InputError, match=r"inputs of any size.*--input-shape"):
        opened(source)
    with pytest.raises(InputError, match="does not fit"):
        opened(source, input_shape=[8, 8, 1])
    original = opened(source, input_shape=[8, 9, 3], scale=1 / 255)
    assert (original.shape, original.pixels, original.scale) == ((8, 9, 3), True, 1 / 255)


def test_random_weights_follow_from_the_seed_and_keep_the_signal_alive() -> None:
    pictures = random_pictures((28, 28, 1), 0, 16).round().astype(np.uint8)
    first, again, other = (opened(random_weights_source("lenet", seed)).predict(pictures) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[LOGITS], again[LOGITS])
    assert np.abs(first[LOGITS] - other[LOGITS]).max() > 0.1
    assert 0.01 < first[LOGITS].std(axis=0).mean() < 100


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_keras_file_is_what_its_content_says_whatever_its_name(tmp_path: Path, suffix: str) -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.save(tmp_path / f"saved{suffix}")
    sample = np.ones((1, 4), np.float32)
    for name in ("plain", "model.keras", "model.h5", "model.hdf5", "model.v2"):
        path = shutil.copy(tmp_path / f"saved{suffix}", tmp_path / name)
        output = opened(source_of_file(Path(path))).predict(sample)[OUTPUT]
        np.testing.assert_allclose(output, model.predict(sample, verbose=0), rtol=1e-5)
        loaded = TensorFlow().load(Path(path), "host-cpu")
        np.testing.assert_allclose(loaded.predict(loaded.prepare({"x": sample})), [output], rtol=1e-5)


def test_a_graph_frozen_beforehand_converts_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(6, 3, groups=3, padding="same")(layers.Rescaling(1 / 255)(image)))
    x = layers.Dropout(0.5)(layers.Activation("gelu")(x))
    model = keras.Model(image, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))
    model.save(tmp_path / "model.keras")
    model.export(tmp_path / "exported", format="tf_saved_model", verbose=False)
    (picture,) = random_samples((8, 8, 3), pixels=True, seed=0, count=1)
    for file in (tmp_path / "model.keras", tmp_path / "exported"):
        original = opened(replace(source_of_file(file), classes=("cat", "dog", "bird")), scale=1.0)
        results = {}
        for limit in (0, 2**30):
            monkeypatch.setattr(frozen_graph, "FOLDING_LIMIT_BYTES", limit)
            assert isinstance(frozen_graph.conversion_input(original.trace(1)), list) == (limit > 0)
            package = tmp_path / f"{file.name}-{limit}.mlpackage"
            original.convert("float32", batch=1, target="macOS13").save(str(package))
            program = load_program(package)
            runtime = ReferenceRuntime(program, threads=1)
            kinds = (op.op_type for op in program.function.operations)
            ops = Counter(
                kind for kind in kinds if kind not in ("const", "mul")
            )  # folding may remove one of two products
            results[limit] = (runtime.outputs, ops, runtime.predict({INPUT_NAME: picture}))
        assert results[0][:2] == results[2**30][:2]
        label, probabilities = results[0][0]
        assert results[0][2][label] == results[2**30][2][label]
        assert results[0][2][probabilities] == pytest.approx(results[2**30][2][probabilities], rel=1e-5)


def refused(model: Any, folder: Path, **settings: Any) -> str:
    """Return the message of the ``InputError`` for a Keras model."""
    model.save(folder / "model.keras")
    with pytest.raises(InputError) as refusal:
        opened(source_of_file(folder / "model.keras"), **settings)
    sentence = str(refusal.value)
    assert sentence.endswith(".")
    assert len(sentence.splitlines()) == 1
    assert "\x1b" not in sentence
    return sentence


@pytest.mark.parametrize("kind", ["int32", "int64", "uint16", "bool", "string"])
def test_inputs_that_are_no_pixels_and_no_floats_are_refused(tmp_path: Path, kind: str) -> None:
    """A package would take word indices as float16, where 20001 becomes 20000, and be compared on small numbers."""
    model = keras.Sequential([keras.Input((6,), dtype=kind), layers.Embedding(30000, 4), layers.Flatten()])
    if kind not in ("bool", "string"):  # Keras itself refuses these
        sentence = refused(model, tmp_path)
        assert f"model takes 6 whole numbers ({kind}), such as the indices of words, and a converted" in sentence
        assert "convert the layers behind its layer embedding" in sentence

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 6), kind)])
        def __call__(self, x: Any) -> Any:
            return tf.zeros_like(x, tf.float32)

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.__call__)
    with pytest.raises(
        InputError, match=rf"model takes 6 .*{kind}.* can take only floating-point numbers .*behind that"
    ):
        opened(source_of_file(tmp_path / "model"))


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_inputs_of_other_floats_are_taken_as_float32(tmp_path: Path, kind: str) -> None:
    model = keras.Sequential([keras.Input((4,), dtype=kind), layers.Dense(3)])
    model.save(tmp_path / "model.keras")
    model.export(tmp_path / "exported", format="tf_saved_model", verbose=False)
    samples = random_samples((4,), pixels=False, seed=0, count=3)
    expected = samples @ model.layers[-1].kernel.numpy()
    for file in ("model.keras", "exported"):
        original = opened(source_of_file(tmp_path / file))
        np.testing.assert_allclose(original.predict(samples)[OUTPUT], expected, rtol=1e-2, atol=1e-2)
        np.testing.assert_allclose(package_of(original, tmp_path).predict(samples)[OUTPUT], expected, atol=1e-2)


def package_of(original: Any, folder: Path, precision: str = "float32") -> PackageRunner:
    """Convert an original, and return a runner of the saved package."""
    original.convert(precision, batch=1, target="macOS13").save(str(folder / "made.mlpackage"))
    return PackageRunner.load(folder / "made.mlpackage")


def test_a_model_of_bytes_takes_images_and_no_other_scale(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 3), dtype="uint8")
    x = layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))
    model.save(tmp_path / "model.keras")
    model.export(tmp_path / "exported", format="tf_saved_model", verbose=False)
    pictures = random_samples((6, 6, 3), pixels=True, seed=0, count=4)
    expected = model.predict(pictures, verbose=0)
    for file, settings in (("model.keras", {}), ("exported", {"scale": 1 / 255})):
        original = opened(source_of_file(tmp_path / file), **settings)
        assert (original.pixels, original.scale) == (True, 1.0)
        assert original.notes[0].startswith("The model takes bytes, pixels from 0 to 255, so it takes images.")
        assert ("--scale was left out" in original.notes[0]) == bool(settings)
        np.testing.assert_allclose(original.predict(pictures)[OUTPUT], expected, rtol=1e-5, atol=1e-6)
        for precision, most in (("float32", 1e-5), ("float16", 1e-2)):
            executed = package_of(original, tmp_path, precision)
            assert executed.pixels
            np.testing.assert_allclose(executed.predict(pictures)[OUTPUT], expected, atol=most)


def test_a_model_that_computes_with_bytes_is_refused(tmp_path: Path) -> None:
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 4, 4, 1), tf.uint8)])
        def __call__(self, x: Any) -> Any:
            return tf.cast(x + x, tf.float32)  # 200 + 200 is 144

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.__call__)
    with pytest.raises(InputError, match=r"model computes with bytes \(AddV2 in .*cast its input to float32 first"):
        opened(source_of_file(tmp_path / "model"))


def test_a_cast_to_bytes_inside_of_a_model_is_told_in_a_sentence(tmp_path: Path) -> None:
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)])
        def __call__(self, x: Any) -> Any:
            return tf.cast(tf.cast(x, tf.uint8), tf.float32)

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.__call__)
    with pytest.raises(InputError, match="casts numbers to uint8, which Core ML does not compute with"):
        opened(source_of_file(tmp_path / "model")).convert("float32", batch=1, target="macOS13")


def test_a_model_that_was_never_built_is_told_in_a_sentence(tmp_path: Path) -> None:
    sentence = refused(keras.Sequential([layers.Dense(3)]), tmp_path)
    assert sentence.startswith("model was saved before it knew the shape of its input; begin it with keras.Input(...)")


@pytest.mark.parametrize("bad", ["my conv", "schön"])
def test_names_that_tensorflow_cannot_compute_with_are_told_in_a_sentence(tmp_path: Path, bad: str) -> None:
    stack = [keras.Input((4,)), layers.Dense(3)]
    assert f"model has a name that TensorFlow cannot compute with ('{bad}')" in refused(
        keras.Sequential(stack, name=bad), tmp_path
    )
    assert f"cannot compute with ('{bad}')" in refused(
        keras.Sequential([keras.Input((4,)), layers.Dense(3, name=bad)]), tmp_path
    )


def test_a_size_that_the_network_cannot_take_is_told_in_a_sentence(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 3), layers.GlobalAveragePooling2D()])
    sentence = refused(model, tmp_path, input_shape=[2, 2, 3])
    assert sentence.startswith("model cannot be computed for an input of the shape (2, 2, 3) (Negative dimension size")
    assert "give another --input-shape" in sentence


def test_a_saved_model_takes_no_size_that_is_not_its_own(tmp_path: Path) -> None:
    stack = [layers.Conv2D(2, 3), layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((None, 8, 3)), *stack])
    model.export(tmp_path / "model", format="tf_saved_model", verbose=False)
    for requested, sentence in (
        ([8, 9, 3], "inputs of any x 8 x 3, which --input-shape 8x9x3 does not fit"),
        ([8, 8], "does not fit"),
        ([2, 8, 3], r"cannot be computed for an input of the shape \(2, 8, 3\)"),
        (None, r"inputs of any size \(any x 8 x 3\).*--input-shape, 224x8x3"),
    ):
        with pytest.raises(InputError, match=sentence):
            opened(source_of_file(tmp_path / "model"), input_shape=requested).predict(
                np.zeros((1, 2, 8, 3), np.float32)
            )
    assert opened(source_of_file(tmp_path / "model"), input_shape=[9, 8, 3]).shape == (9, 8, 3)


def layers_of_ops(original: Any, folder: Path) -> dict[str, str]:
    """Return the layer of each op of an original's package."""
    original.convert("float32", batch=1, target="macOS13").save(str(folder / "made.mlpackage"))
    program = load_program(folder / "made.mlpackage")
    return {name: layer_of(name, original.layers) for name in values_by_name(program)}


def conv_pool_model() -> Any:
    """Return a model whose layers' names have the same prefix, and characters that Core ML's names cannot have."""
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(image)
    x = layers.MaxPooling2D(2, name="conv_pool")(layers.Conv2D(4, 3, name="conv.1", activation="relu")(x))
    head = keras.Sequential([keras.Input((16,)), layers.Dense(5, name="a>b", activation="relu")], name="nested")
    return keras.Model(image, layers.Dense(3, name="head.x")(head(layers.Flatten()(x))), name="net")


def test_each_op_is_told_with_the_layer_that_computes_it(tmp_path: Path) -> None:
    conv_pool_model().save(tmp_path / "model.keras")
    original = opened(source_of_file(tmp_path / "model.keras"))
    assert original.outputs == ("head_x",)
    layer_names = layers_of_ops(original, tmp_path)
    assert {"conv", "conv.1", "conv_pool", "a>b", "head.x"} <= set(layer_names.values())
    for op, layer in (("conv_1_convolutionx", "conv"), ("conv_1_1_Relu", "conv.1"), ("MaxPool2d", "conv_pool")):
        assert {layer_names[name] for name in layer_names if name.endswith(op)} == {layer}
    assert layer_names["head_x"] == "head.x"
    assert set(layer_names) <= {*original.intermediate_values().names(), "transpose_1", "max_pool_0"}


def test_layers_whose_scopes_have_one_name_in_core_ml_are_both_told() -> None:
    scopes = {"net/conv.1": "conv.1", "net/conv_1": "conv_1", "net/relu": "relu"}
    outputs = {"Identity": "net/relu/Relu/clip", "second": "image", "third": ""}
    assert layers_by_name(scopes, outputs) == {"net_conv_1": "conv.1 or conv_1", "net_relu": "relu", "Identity": "relu"}


def test_an_exported_model_has_the_layers_of_its_variables_and_scopes(tmp_path: Path) -> None:
    conv_pool_model().export(tmp_path / "model", format="tf_saved_model", verbose=False)
    original = opened(source_of_file(tmp_path / "model"))
    assert original.outputs == ("output_0",)
    layer_names = layers_of_ops(original, tmp_path)
    for op, layer in (("conv_1_convolutionx", "conv"), ("conv_1_1_Relu", "conv.1"), ("MaxPool2d", "conv_pool_1")):
        assert {layer_names[name] for name in layer_names if name.endswith(op)} == {layer}
    assert layer_names["output_0"] == "head.x"
    assert "a>b" in layer_names.values()


def test_a_module_has_its_scopes_for_layers_and_its_signatures_names_for_outputs(tmp_path: Path) -> None:
    class Part(tf.Module):
        def __init__(self, name: str, width: int) -> None:
            super().__init__(name)
            self.weights = tf.Variable(np.ones((4, width), np.float32))

        @tf.Module.with_name_scope
        def __call__(self, x: Any) -> Any:
            return tf.nn.relu(x @ self.weights)

    class Whole(tf.Module):
        def __init__(self) -> None:
            super().__init__("whole")
            self.first, self.second = Part("first", 4), Part("second", 3)

        @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)])
        def __call__(self, x: Any) -> Any:
            inner = self.first(x)
            return {"values": self.second(inner), "a.inner": inner}

    module = Whole()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.__call__)
    original = opened(source_of_file(tmp_path / "model"))
    assert original.outputs == ("a_inner", "values")
    layer_names = layers_of_ops(original, tmp_path)
    assert layer_names["values"] == "second"
    assert {layer for op, layer in layer_names.items() if op.endswith("first_matmul")} == {"first"}
    samples = random_samples((4,), pixels=False, seed=0, count=2)
    np.testing.assert_allclose(
        package_of(original, tmp_path).predict(samples)[OUTPUT], original.predict(samples)[OUTPUT], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("file", "op", "layer"), [("model.keras", "conv 1", "conv.1"), ("exported", "matmul 1", "head.x")]
)
def test_where_a_spoilt_package_parts_is_told_with_the_layer(tmp_path: Path, file: str, op: str, layer: str) -> None:
    keras.utils.set_random_seed(0)
    model = conv_pool_model()
    model.save(tmp_path / "model.keras")
    model.export(tmp_path / "exported", format="tf_saved_model", verbose=False)
    original = opened(source_of_file(tmp_path / file))
    original.convert("float16", batch=1, target="macOS13").save(str(tmp_path / "spoilt.mlpackage"))
    spoil(tmp_path / "spoilt.mlpackage", op)
    samples = random_samples((8, 8, 3), pixels=False, seed=0, count=2)
    program = load_program(tmp_path / "spoilt.mlpackage")
    divergence = find_divergence(
        program, original.intermediate_values(), samples, original.layers, lambda *_, **__: None
    )
    assert divergence is not None
    assert divergence.layer == layer
