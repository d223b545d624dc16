import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnxruntime
import pytest

from coremlbench.createml.network import (
    Layer,
    Network,
    UnreadableNetworkError,
    fingerprint,
    read_network,
    same_padding,
    write_keras,
)
from coremlbench.createml.network_onnx import LAYERS, to_onnx, write_onnx


def run_onnx(network: Network, pixels: np.ndarray, *, bgr: bool) -> Any:
    session = onnxruntime.InferenceSession(
        to_onnx(network, bgr=bgr).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"pixels": pixels})[0]


def every_kind(random: np.random.Generator) -> Network:
    """A small network with every kind of layer, shapes odd on purpose."""

    def convolution(name: str, source: str, channels: int, filters: int, **settings: Any) -> Layer:
        base = {
            "filters": filters,
            "kernel_size": [3, 2],
            "strides": [2, 1],
            "padding": "same",
            "dilation_rate": [1, 1],
            "activation": "relu",
            "use_bias": True,
        }
        weights = {
            "kernel": random.normal(size=(3, 2, channels, filters)).astype(np.float32),
            "bias": random.normal(size=filters).astype(np.float32),
        }
        return Layer(name, "Conv2D", (source,), base | settings, weights)

    normal = {key: random.uniform(0.5, 1.5, 5).astype(np.float32) for key in ("gamma", "beta", "moving_mean")}
    normal["moving_variance"] = random.uniform(0.5, 1.5, 5).astype(np.float32)
    window = {"pool_size": [3, 3], "strides": [2, 2]}
    return Network(
        (23, 30),
        (
            Layer("in", "InputLayer", (), {"batch_input_shape": [None, 23, 30, 3], "dtype": "float32"}),
            Layer("pad", "ZeroPadding2D", ("in",), {"padding": [[1, 2], [0, 3]]}),
            convolution("a", "pad", 3, 5),
            Layer("norm", "BatchNormalization", ("a",), {"axis": [3], "epsilon": 1e-3}, normal),
            Layer("bent", "Activation", ("norm",), {"activation": "relu"}),
            convolution("b", "bent", 5, 5, strides=[1, 1], activation="linear"),
            Layer("sum", "Add", ("a", "b", "bent"), {}),
            Layer("relu", "ReLU", ("sum",), {}),
            Layer("most", "MaxPooling2D", ("relu",), {**window, "padding": "same"}),
            Layer("mean", "AveragePooling2D", ("relu",), {**window, "padding": "same"}),
            Layer("both", "Concatenate", ("most", "mean"), {"axis": -1}),
            Layer("drop", "Dropout", ("both",), {"rate": 0.5}),
            convolution("c", "drop", 10, 4, padding="valid", strides=[1, 1], dilation_rate=[2, 1]),
            Layer("pool", "GlobalAveragePooling2D", ("c",), {}),
        ),
        "in",
        "pool",
    )


@pytest.mark.tensorflow
def test_every_kind_of_layer_does_what_keras_does(tmp_path: Path) -> None:
    import keras

    network = every_kind(np.random.default_rng(1))
    write_keras(network, tmp_path / "network.h5")
    pixels = np.random.default_rng(2).integers(0, 256, (3, 23, 30, 3), dtype=np.uint8)
    expected = keras.models.load_model(tmp_path / "network.h5", compile=False)([pixels.astype(np.float32)]).numpy()
    got = run_onnx(read_network(tmp_path / "network.h5"), pixels, bgr=False)
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()
    assert {layer.kind for layer in network.layers} >= set(LAYERS) - {"Flatten", "Reshape"}


def test_a_network_that_expects_bgr_reads_rgb(tmp_path: Path) -> None:
    network = every_kind(np.random.default_rng(1))
    direct = Network(network.size, (network.layers[0], *network.layers[2:]), "in", "pool")
    direct = Network(
        direct.size,
        tuple(
            Layer(layer.name, layer.kind, ("in",), layer.settings, layer.weights) if layer.name == "a" else layer
            for layer in direct.layers
        ),
        "in",
        "pool",
    )
    pixels = np.random.default_rng(2).integers(0, 256, (2, 23, 30, 3), dtype=np.uint8)
    plain = run_onnx(direct, np.ascontiguousarray(pixels[..., ::-1]), bgr=False)
    assert np.allclose(run_onnx(direct, pixels, bgr=True), plain, rtol=1e-5)
    assert not np.allclose(run_onnx(direct, pixels, bgr=False), plain, rtol=1e-2)


def test_writing_and_reading_gives_the_same_network(tmp_path: Path, squeezenet: Path) -> None:
    network = read_network(squeezenet)
    write_keras(network, tmp_path / "again.h5")
    assert fingerprint(read_network(tmp_path / "again.h5")) == fingerprint(network)


def test_squeezenet_has_the_paper_s_parameters_and_features(squeezenet: Path, tmp_path: Path) -> None:
    network = read_network(squeezenet)
    parameters = sum(array.size for layer in network.layers for array in layer.weights.values())
    assert parameters == 1_235_496  # SqueezeNet v1.1 with its 1000 classes
    write_onnx(network, tmp_path / "squeezenet.onnx", bgr=True)
    session = onnxruntime.InferenceSession(str(tmp_path / "squeezenet.onnx"), providers=["CPUExecutionProvider"])
    features = session.run(None, {"pixels": np.zeros((2, 227, 227, 3), np.uint8)})[0]
    assert features.shape == (2, 1000)
    assert np.isfinite(features).all()


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads"), [(56, 3, 2, (0, 1)), (57, 3, 2, (1, 1)), (5, 1, 1, (0, 0))]
)
def test_same_padding_is_tensorflow_s(size: int, kernel: int, stride: int, pads: tuple[int, int]) -> None:
    assert same_padding(size, kernel, stride) == pads


def test_a_file_that_is_no_network_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("not a network")
    with pytest.raises(UnreadableNetworkError, match="delete it, so that it is fetched again"):
        read_network(tmp_path / "text.h5")


def test_an_unknown_layer_is_named(tmp_path: Path, squeezenet: Path) -> None:
    strange = tmp_path / "strange.h5"
    strange.write_bytes(squeezenet.read_bytes())
    with h5py.File(strange, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][5]["class_name"] = "Swizzle"
        file.attrs["model_config"] = np.bytes_(json.dumps(config).encode())
    with pytest.raises(UnreadableNetworkError, match="is a Swizzle, which the pipelined extraction does not know"):
        read_network(strange)


def test_a_truncated_file_is_told(tmp_path: Path, squeezenet: Path) -> None:
    (tmp_path / "half.h5").write_bytes(squeezenet.read_bytes()[:200_000])
    with pytest.raises(UnreadableNetworkError):
        read_network(tmp_path / "half.h5")
