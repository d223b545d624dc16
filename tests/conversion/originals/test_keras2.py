"""Files that Keras 2 saved, opened in this process and converted: predictions, names, messages, safety."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.originals import open_original
from coremlbench.conversion.package_runner import PackageRunner
from coremlbench.conversion.sources import source_of_file
from coremlbench.mil_onnx import load_program
from coremlbench.model_files.keras2_loading import load_keras_2
from coremlbench.runtimes.tensorflow import TensorFlow
from coremlbench.training.random_weights import random_samples
from coremlbench.types.conversion import OUTPUT
from coremlbench.types.errors import InputError
from tests.keras2_files import Keras2File, save, sequential, teachable_machine

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow, Keras and coremltools warn about each other
]


def opened(path: Path, **settings: Any) -> Any:
    return open_original(source_of_file(path), settings)


def package_of(original: Any, folder: Path) -> PackageRunner:
    original.convert("float32", batch=1, target="macOS13").save(str(folder / "model.mlpackage"))
    return PackageRunner.load(folder / "model.mlpackage")


def functional() -> Any:
    """Return a model with functions of TensorFlow as layers, and a slice."""
    import tensorflow as tf
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    image = tf_keras.Input((12, 12, 3))
    x = tf_keras.layers.Conv2D(4, 3, padding="same")(tf.math.subtract(tf.math.truediv(image, 127.5), 1.0))
    x = tf.reduce_mean(tf.concat([tf.nn.relu(x)[:, ::2, 1:9, :], x[:, 6:, :8, :]], -1) * 2.0, [1, 2])
    return tf_keras.Model(image, tf_keras.layers.Dense(3)(tf.reshape(x, [-1, 8])))


def attention() -> Any:
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    sequence = tf_keras.Input((6, 8))
    return tf_keras.Model(sequence, tf_keras.layers.Attention(use_scale=True)([sequence, sequence]))


MODELS: dict[str, Callable[[], Any]] = {
    "hard-sigmoid": lambda: sequential(
        (16,), lambda layers: [layers.Dense(32, activation="hard_sigmoid"), layers.Dense(4)]
    ),
    "recurrent": lambda: sequential(
        (3, 4),
        lambda layers: [
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.GRU(4, reset_after=False, recurrent_activation="hard_sigmoid", return_sequences=True),
            layers.GRU(3, return_sequences=True),
            layers.RNN([layers.SimpleRNNCell(3), layers.LSTMCell(2)]),
        ],
    ),
    "recurrent-pictures": lambda: sequential(
        (3, 6, 6, 1),
        lambda layers: [layers.TimeDistributed(layers.Conv2D(2, 3)), layers.ConvLSTM2D(2, 2), layers.Flatten()],
    ),
    "depthwise": lambda: sequential(
        (8, 8, 3),
        lambda layers: [
            layers.DepthwiseConv2D(3),
            layers.BatchNormalization(),
            layers.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2),
            layers.ThresholdedReLU(0.3),
            layers.Conv2DTranspose(2, 3, strides=2),
            layers.UpSampling2D(2, interpolation="bilinear"),
            layers.CenterCrop(9, 7),
            layers.GlobalAveragePooling2D(),
        ],
    ),
    "functions": functional,
    "attention": attention,
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(pytest.param(name, "h5", marks=[pytest.mark.slow] if name == "recurrent" else []) for name in MODELS),
        ("functions", "keras"),
        ("depthwise", "keras"),
    ],  # unrolled gates take coremltools long; the convolutional recurrent model is in every suite
)
def test_a_package_predicts_what_keras_2_does(tmp_path: Path, name: str, kind: str) -> None:
    file = save(MODELS[name](), tmp_path / f"model.{kind}")
    original = opened(file.path)
    assert source_of_file(file.path).format == "keras-2"
    assert "tf_keras" in original.description
    samples = 3 * random_samples(original.shape, pixels=False, seed=1, count=4)
    expected = file.predict(samples)
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(original.predict(samples)[OUTPUT], expected, rtol=1e-5, atol=1e-6)
    predicted = package_of(original, tmp_path).predict(samples)[OUTPUT]
    np.testing.assert_allclose(predicted, expected, rtol=1e-4, atol=2e-6)


def test_keras_3_would_take_the_hard_sigmoid_for_another_function(tmp_path: Path) -> None:
    import keras

    file = save(MODELS["hard-sigmoid"](), tmp_path / "model.h5")
    samples = 3 * random_samples((16,), pixels=False, seed=1, count=20)
    kernel, bias, last, last_bias = file.model.get_weights()
    hidden = np.clip(0.2 * (samples @ kernel + bias) + 0.5, 0, 1)
    np.testing.assert_allclose(opened(file.path).predict(samples)[OUTPUT], hidden @ last + last_bias, atol=1e-5)
    other = keras.models.load_model(file.path, compile=False).predict(samples, verbose=0)
    assert np.abs(other - (hidden @ last + last_bias)).max() > 0.05


def test_ops_bear_the_names_of_the_layers_that_they_are_from(tmp_path: Path) -> None:
    file = save(MODELS["depthwise"](), tmp_path / "model.h5")
    original = opened(file.path)
    package_of(original, tmp_path)
    program = load_program(tmp_path / "model.mlpackage")
    names = {original.layers.get(prefix) for prefix in original.layers}
    assert {layer.name for layer in file.model.layers} <= names
    values = original.intermediate_values()
    assert len({var.name for op in program.function.operations for var in op.outputs} & set(values.names())) > 3


def test_a_rescaling_layer_makes_it_take_images(tmp_path: Path) -> None:
    model = sequential(
        (6, 6, 3), lambda layers: [layers.RandomFlip(), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(2)]
    )
    original = opened(save(model, tmp_path / "model.keras").path)
    assert (original.pixels, original.scale) == (True, 1.0)
    assert "The model rescales pixels itself, so it takes images." in original.notes


@pytest.mark.parametrize(
    ("version", "note"), [("2.9.0", "Keras 2.9.0 saved the model"), (None, "Keras 2 saved the model")]
)
def test_the_record_says_which_keras_saved_it(tmp_path: Path, version: str | None, note: str) -> None:
    original = opened(save(MODELS["hard-sigmoid"](), tmp_path / "model.h5", version=version).path)
    assert any(text.startswith(note) for text in original.notes)
    assert [caveat.code for caveat in original.caveats] == ([] if version else ["original"])


def test_the_tensorflow_runtime_times_what_keras_2_computes(tmp_path: Path) -> None:
    file = save(MODELS["hard-sigmoid"](), tmp_path / "model.h5")
    samples = 3 * random_samples((16,), pixels=False, seed=1, count=1)
    loaded = TensorFlow().load(file.path, "host-cpu")
    (output,) = loaded.outputs(loaded.predict(loaded.prepare({"image": samples[0]}))).values()
    np.testing.assert_allclose(output, file.predict(samples)[0], rtol=1e-5, atol=1e-6)


# --- Teachable Machine --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def teachable(tmp_path_factory: pytest.TempPathFactory) -> Keras2File:
    return teachable_machine(tmp_path_factory.mktemp("converted_keras"), "0 cat\n1 big dog\n2 Class 3\n")


def test_a_model_of_teachable_machine_takes_images_and_has_its_labels(teachable: Keras2File, tmp_path: Path) -> None:
    original = opened(teachable.path)
    assert (original.pixels, original.scale) == (True, 1.0)
    assert original.classes == ("cat", "big dog", "Class 3")
    assert any(note.startswith("Teachable Machine exported the model") for note in original.notes)
    pictures = random_samples((24, 24, 3), pixels=True, seed=0, count=5)
    expected = teachable.predict(pictures.astype(np.float32) / 127.5 - 1)
    assert np.abs(expected - teachable.predict(pictures)).max() > 0.1  # the range matters
    np.testing.assert_allclose(original.predict(pictures)[OUTPUT], expected, atol=1e-5)
    package = package_of(original, tmp_path)
    assert [str(label) for label in package.classes] == ["cat", "big dog", "Class 3"]
    np.testing.assert_allclose(package.predict(pictures)[OUTPUT], expected, atol=1e-5)


def test_a_scale_of_the_options_goes_before_that_of_teachable_machine(teachable: Keras2File) -> None:
    original = opened(teachable.path, scale=1 / 255)
    assert original.scale == 1 / 255
    assert not any("Teachable Machine" in note for note in original.notes)


def test_other_models_of_the_same_form_are_not_taken_for_one(tmp_path: Path) -> None:
    import tf_keras

    network = sequential((8, 8, 3), lambda layers: [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()])
    model = tf_keras.Sequential([network, sequential((4,), lambda layers: [layers.Dense(4), layers.Dense(2)])])
    model.build((None, 8, 8, 3))
    (tmp_path / "labels.txt").write_text("one\n")  # nor are these its labels
    original = opened(save(model, tmp_path / "model.h5").path)
    assert (original.pixels, original.classes) == (False, ())
    assert any("labels.txt beside the model were left out" in note for note in original.notes)


# --- refusals -----------------------------------------------------------------------------------------------


def test_a_class_of_ones_own_is_named_with_the_version(tmp_path: Path) -> None:
    import tf_keras

    class Mine(tf_keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2

    Mine.__module__ = "a_package_of_theirs"
    flat = sequential((4,), lambda layers: [Mine(name="its"), layers.Dense(2, dtype="mixed_float16")])
    source = source_of_file(save(flat, tmp_path / "model.h5").path)
    sentence = "saved by Keras 2.9.0, and tf_keras .* cannot load it: its layer 'its' is of the class Mine"
    with pytest.raises(InputError, match=rf"{sentence}, .*model.save\('folder', save_format='tf'\)"):
        open_original(source, {})
    nested = sequential((4,), lambda layers: [layers.Dense(4), flat, layers.Softmax()])
    nested.compile("adam", "mse")
    path = save(nested, tmp_path / "model.keras").path  # that names the module too
    with pytest.raises(InputError, match=r"needs the class Mine, which is no part of Keras; .*--custom-objects"):
        source_of_file(path, ConvertOptions(allow_code=True))


def test_classes_of_ones_own_are_given_as_a_file(tmp_path: Path) -> None:
    import tf_keras

    class Double(tf_keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2

    file = save(sequential((4,), lambda layers: [Double(name="its"), layers.Dense(2)]), tmp_path / "model.h5")
    code = "import tf_keras\nclass Double(tf_keras.layers.Layer):\n    def call(self, x):\n        return x * 2\n"
    (tmp_path / "its.py").write_text(code)
    options = ConvertOptions(allow_code=True, custom_objects=str(tmp_path / "its.py"))
    settings = {"allow_code": True, "custom_objects": options.custom_objects}
    original = open_original(source_of_file(file.path, options), settings)
    samples = random_samples((4,), pixels=False, seed=0, count=3)
    outputs: Any = original.predict(samples)[OUTPUT]
    np.testing.assert_allclose(outputs, np.asarray(file.predict(samples)), rtol=1e-5)


def test_arguments_that_are_unknown_are_told_with_their_layer(tmp_path: Path) -> None:
    path = save(MODELS["hard-sigmoid"](), tmp_path / "model.h5", version="1.2.2").path
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"units"', '"output_dim"')
    with pytest.raises(
        InputError, match=r"Keras 1\.2\.2.*layer 'dense.*' of the class Dense fails .*load it with Keras 2"
    ):
        opened(path)


def test_a_lambda_in_hdf5_runs_only_when_code_is_allowed(tmp_path: Path) -> None:
    import tf_keras

    trace = tmp_path / "ran"
    code = f"lambda x: (open({str(trace)!r}, 'w').close(), x * 2)[1]"
    doubled = eval(code)
    file = save(sequential((4,), lambda layers: [layers.Lambda(doubled), layers.Dense(2)]), tmp_path / "model.h5")
    trace.unlink()  # of its making
    with pytest.raises(InputError, match=r"has a layer lambda.* which holds Python code.*--allow-code"):
        source_of_file(file.path)
    with pytest.raises(ValueError, match="Lambda"):  # the second gate, of Keras itself
        load_keras_2(file.path, allow_code=False)
    assert not trace.exists()
    original = open_original(source_of_file(file.path, ConvertOptions(allow_code=True)), {"allow_code": True})
    assert trace.exists()
    samples = random_samples((4,), pixels=False, seed=0, count=3)
    outputs: Any = original.predict(samples)[OUTPUT]
    np.testing.assert_allclose(outputs, np.asarray(file.predict(samples)), rtol=1e-5)
    assert tf_keras is sys.modules["tf_keras"]


def with_layer(path: Path, layer: dict[str, Any], inputs: list[Any]) -> Path:
    """Write a Keras 2 file whose second layer is ``layer``, called with ``inputs``, and its output the model's."""
    start = {"batch_input_shape": [None, 4], "dtype": "float32", "name": "start"}
    layers = [
        {"class_name": "InputLayer", "config": start, "name": "start", "inbound_nodes": []},
        {"name": "last", "inbound_nodes": [inputs], **layer},
    ]
    places = {"input_layers": [["start", 0, 0]], "output_layers": [["last", 0, 0]]}
    config = {"class_name": "Functional", "config": {"name": "model", "layers": layers, **places}}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.3.0"
        file.attrs["model_config"] = json.dumps(config)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = np.array([b"start", b"last"])
        for name in ("start", "last"):
            weights.create_group(name).attrs["weight_names"] = np.array([], "S1")
    return path


def graph_op(op: str, attributes: dict[str, Any]) -> dict[str, Any]:
    node = {"name": "op", "op": op, "input": ["start", "op/y"][: 2 if op == "Mul" else 1], "attr": attributes}
    config = {"name": "op", "node_def": node, "constants": {"1": 3.0} if op == "Mul" else {}}
    return {"class_name": "TensorFlowOpLayer", "config": config}


def test_ops_of_tensorflow_2_0_are_executed_or_refused(tmp_path: Path) -> None:
    multiply = graph_op("Mul", {"T": {"type": "DT_FLOAT"}})
    original = opened(with_layer(tmp_path / "multiply.h5", multiply, ["start", 0, 0, {}]))
    samples = random_samples((4,), pixels=False, seed=0, count=3)
    np.testing.assert_allclose(original.predict(samples)[OUTPUT], 3 * samples)
    path = with_layer(tmp_path / "read.h5", graph_op("ReadFile", {}), ["start", 0, 0, {}])
    with pytest.raises(InputError, match=r"read.h5 has a layer op that runs TensorFlow's ReadFile.*--allow-code"):
        opened(path)


def test_a_function_of_tensorflow_that_writes_files_does_so_only_when_code_is_allowed(tmp_path: Path) -> None:
    target = tmp_path / "written"
    layer = {"class_name": "TFOpLambda", "config": {"name": "last", "function": "io.write_file"}}
    call = ["_CONSTANT_VALUE", -1, str(target), {"contents": "from the file"}]
    path = with_layer(tmp_path / "model.h5", layer, call)
    with pytest.raises(InputError, match=r"has a layer last that calls TensorFlow's io\.write_file, .*--allow-code"):
        opened(path)
    with pytest.raises(InputError, match=r"io\.write_file"):  # nor on its way to a runtime
        load_keras_2(path, allow_code=False)
    assert not target.exists()
    with pytest.raises(InputError):  # it has no output
        open_original(source_of_file(path, ConvertOptions(allow_code=True)), {"allow_code": True})
    assert target.read_text() == "from the file"


def test_without_tf_keras_the_message_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    path = save(MODELS["hard-sigmoid"](), tmp_path / "model.h5").path
    monkeypatch.setitem(sys.modules, "tf_keras", None)  # as Python marks what cannot be imported
    minor = ".".join(tf.__version__.split(".")[:2])
    with pytest.raises(InputError, match=rf"{sys.executable} -m pip install --no-deps 'tf_keras=={minor}\.\*'"):
        opened(path)
