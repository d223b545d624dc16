"""Runtimes open a model file as its conversion did: its signature, its own classes, the shape of its input."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coremlbench.runtimes import RUNTIMES
from coremlbench.types.conversion import ModelFileOptions
from coremlbench.types.errors import CoremlbenchError, InputError
from tests.mil_programs import Builder, ct, get_new_symbol

pytestmark = [pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore")]  # of Keras, TensorFlow and coremltools


def test_tensorflow_runs_the_signature_of_the_conversion(tmp_path: Path) -> None:
    import tensorflow as tf

    class Module(tf.Module):  # type: ignore[misc]  # TensorFlow ships no types
        @tf.function(input_signature=[tf.TensorSpec((1, 3), tf.float32, "x")])  # type: ignore[untyped-decorator]
        def twice(self, x: Any) -> Any:
            return {"y": 2 * x}

        @tf.function(input_signature=[tf.TensorSpec((1, 3), tf.float32, "x")])  # type: ignore[untyped-decorator]
        def thrice(self, x: Any) -> Any:
            return {"y": 3 * x}

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={"twice": module.twice, "thrice": module.thrice})
    for name, factor in (("twice", 2), ("thrice", 3)):
        loaded = RUNTIMES["tensorflow"].load(tmp_path / "m", "host-cpu", file_options=ModelFileOptions(signature=name))
        outputs = loaded.outputs(loaded.predict(loaded.prepare({"x": np.ones(3, np.float32)})))
        assert outputs["y"].tolist() == [factor] * 3
    with pytest.raises(CoremlbenchError, match="choose one with --signature: thrice, twice"):
        RUNTIMES["tensorflow"].load(tmp_path / "m", "host-cpu")


def test_tensorflow_runs_a_model_with_its_own_classes_where_code_is_allowed(tmp_path: Path) -> None:
    import keras

    from coremlbench.model_files.custom_objects import load_custom_objects

    file = tmp_path / "mine.py"
    file.write_text(
        textwrap.dedent("""
            import keras

            class Twice(keras.layers.Layer):
                def call(self, x):
                    return 2 * x
        """)
    )
    keras.Sequential([keras.Input((3,)), load_custom_objects(file)["Twice"]()]).save(tmp_path / "m.keras")
    keras.saving.get_custom_objects().clear()
    options = ModelFileOptions(custom_objects=str(file))
    loaded = RUNTIMES["tensorflow"].load(tmp_path / "m.keras", "host-cpu", allow_code=True, file_options=options)
    (values,) = loaded.outputs(loaded.predict(loaded.prepare({"x": np.ones(3, np.float32)}))).values()
    assert values.tolist() == [2, 2, 2]
    with pytest.raises(CoremlbenchError, match="needs the class Twice"):
        RUNTIMES["tensorflow"].load(tmp_path / "m.keras", "host-cpu", file_options=options)


def test_the_reference_runtime_takes_inputs_of_the_requested_shape(tmp_path: Path) -> None:
    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, get_new_symbol()))], opset_version=ct.target.macOS13)
    def program(x: Any) -> Any:
        return Builder.mul(x=x, y=2.0, name="y")

    inputs = [ct.TensorType(name="x", shape=(1, ct.RangeDim(2, 8, default=4)))]
    settings = {"convert_to": "mlprogram", "minimum_deployment_target": ct.target.macOS13, "skip_model_load": True}
    ct.convert(program, inputs=inputs, **settings).save(str(tmp_path / "m.mlpackage"))
    loaded = RUNTIMES["reference"].load(
        tmp_path / "m.mlpackage", "host-cpu", file_options=ModelFileOptions(input_shape=(5,))
    )
    assert loaded.outputs(loaded.predict(loaded.prepare({"x": np.ones((1, 5))})))["y"].tolist() == [2] * 5
    with pytest.raises(InputError, match="was given"):
        loaded.prepare({"x": np.ones((1, 4))})
    with pytest.raises(InputError, match=r"takes inputs of several sizes \(2 to 8\), and 9 is not one of them"):
        RUNTIMES["reference"].load(
            tmp_path / "m.mlpackage", "host-cpu", file_options=ModelFileOptions(input_shape=(9,))
        )
