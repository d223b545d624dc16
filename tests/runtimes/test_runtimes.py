"""The runtimes: their names, the units of this machine, and the conversion of inputs and outputs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coremlbench.runtimes import RUNTIMES, is_stand_in
from coremlbench.runtimes.core_ml_values import numeric_outputs
from coremlbench.runtimes.coreml import LoadedModel
from coremlbench.runtimes.tensorflow import LoadedFunction


def test_the_table_names_each_runtime_and_importing_it_loads_nothing_heavy() -> None:
    assert {name: runtime.name for name, runtime in RUNTIMES.items()} == {name: name for name in RUNTIMES}
    heavy = "{'numpy', 'coremltools', 'tensorflow', 'onnxruntime', 'PIL'}"
    code = f"import sys; from coremlbench.runtimes import RUNTIMES; print(*{heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True, text=True).stdout == "\n"


def test_core_mls_units_are_refused_in_one_sentence_where_there_is_no_macos() -> None:
    coreml = RUNTIMES["coreml"]
    assert coreml.units == ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL")
    reasons = {unit: coreml.unavailable_reason(unit) for unit in coreml.units}
    if sys.platform == "darwin":
        assert reasons["CPU_ONLY"] == ""
    else:
        assert all(reason.startswith("Core ML runs on macOS only") for reason in reasons.values())
    assert RUNTIMES["reference"].unavailable_reason("host-cpu") == ""
    assert RUNTIMES["tensorflow"].unavailable_reason("host-cpu") == ""


def test_nothing_here_is_the_stand_in() -> None:
    assert not is_stand_in()
    assert "stand-in" not in RUNTIMES["coreml"].version


def test_numeric_outputs_are_flat_sorted_by_class_and_without_labels() -> None:
    outputs = numeric_outputs(
        {
            "classLabel": "cat",
            "number": 3,
            "probabilities": {"dog": 0.25, "cat": 0.75},
            "scores": np.ones((1, 2), np.float16),
        }
    )
    assert {name: value.tolist() for name, value in outputs.items()} == {
        "probabilities": [0.75, 0.25],
        "scores": [1, 1],
    }


def test_samples_are_made_ready_once_in_the_types_that_core_ml_takes() -> None:
    class Model:
        @staticmethod
        def predict(inputs: object) -> object:
            return inputs

    sample: dict[str, np.ndarray] = {
        "picture": np.zeros((4, 6, 3), np.uint8),
        "half": np.ones((1, 2), np.float16),
        "index": np.ones((1,), np.int64),
        "strided": np.ones((4, 4), np.float32)[:, ::2],
    }
    prepared = LoadedModel(Model, object()).prepare(sample)
    assert isinstance(prepared["picture"], Image.Image)
    assert prepared["picture"].size == (6, 4)
    assert prepared["half"].dtype == np.float32
    assert prepared["index"].dtype == np.int32
    assert prepared["strided"].flags.c_contiguous


@pytest.mark.tensorflow
def test_a_saved_model_of_tensorflow_is_called_by_its_signature(tmp_path: Path) -> None:
    import tensorflow as tf

    class Doubler(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 2), tf.float32, "x")], autograph=False)
        def __call__(self, x: Any) -> Any:
            return {"doubled": 2 * x}

    tf.saved_model.save(Doubler(), str(tmp_path / "saved"))
    loaded = RUNTIMES["tensorflow"].load(tmp_path / "saved", "host-cpu")
    assert isinstance(loaded, LoadedFunction)
    runtime_seconds: Callable[[], float | None] = loaded.runtime_seconds
    predicted = loaded.predict(loaded.prepare({"x": np.array([[1, 2]], np.float32)}))
    assert loaded.outputs(predicted)["doubled"].tolist() == [2, 4]
    assert runtime_seconds() is None
    loaded.unload()


@pytest.mark.tensorflow
def test_a_grey_picture_gets_the_channel_that_a_keras_model_wants(tmp_path: Path) -> None:
    import keras

    keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()]).save(tmp_path / "grey.keras")
    loaded = RUNTIMES["tensorflow"].load(tmp_path / "grey.keras", "host-cpu")
    picture = np.arange(16, dtype=np.uint8).reshape(4, 4)
    (values,) = loaded.outputs(loaded.predict(loaded.prepare({"image": picture}))).values()
    assert values.tolist() == list(range(16))
    loaded.unload()
