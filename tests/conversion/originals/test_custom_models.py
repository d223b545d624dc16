"""Keras models with classes and functions of their own, and models that compute in bfloat16."""

from __future__ import annotations

import json
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.originals import open_original
from coremlbench.conversion.originals.float32_policy import in_float32
from coremlbench.conversion.sources import source_of_file
from coremlbench.model_files.custom_objects import MODULE_NAME, load_custom_objects
from coremlbench.training.random_weights import random_samples
from coremlbench.types.conversion import OUTPUT
from coremlbench.types.errors import InputError

layers = keras.layers
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow and Keras warn about each other
]

SOURCE = """
    import keras

    @keras.saving.register_keras_serializable("pack")
    class Gate(keras.layers.Layer):
        def build(self, shape):
            self.gain = self.add_weight(shape=(shape[-1],), initializer="random_normal")

        def call(self, x):
            return x * self.gain

    class Scale(keras.layers.Layer):
        def __init__(self, factor=1.0, **settings):
            super().__init__(**settings)
            self.factor = factor

        def call(self, x):
            return x * self.factor

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    class Ones(keras.initializers.Initializer):
        def __call__(self, shape, dtype=None, **settings):
            return keras.ops.ones(shape, dtype)

    def twice(x):
        return 2 * x

    @keras.saving.register_keras_serializable("pack")
    def thrice(x):
        return 3 * x

    class Sub(keras.Model):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(x)
"""

CASES = {
    "a registered class": (lambda made: [made["Gate"]()], "class", "Gate"),
    "a class": (lambda made: [made["Scale"](3.0)], "class", "Scale"),
    "an initializer": (lambda made: [layers.Dense(4, kernel_initializer=made["Ones"]())], "class", "Ones"),
    "a function": (lambda made: [layers.Dense(4, activation=made["twice"])], "function", "twice"),
    "a registered function": (lambda made: [layers.Dense(4, activation=made["thrice"])], "function", "thrice"),
}
"""The layers of a model, and what it needs."""


@pytest.fixture
def mine(tmp_path: Path) -> Any:
    """Return the path of a file with classes of one's own, and what is in it; Keras forgets it afterwards."""
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(SOURCE), encoding="utf-8")
    yield path, load_custom_objects(path)
    keras.saving.get_custom_objects().clear()


def opened(path: Path, **settings: Any) -> Any:
    options = ConvertOptions(
        allow_code=settings.get("allow_code", False), custom_objects=settings.get("custom_objects")
    )
    return open_original(source_of_file(path, options), settings)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("case", CASES)
def test_what_is_no_part_of_keras_is_named_and_comes_from_its_file(
    tmp_path: Path, mine: Any, case: str, suffix: str
) -> None:
    file, made = mine
    make, kind, name = CASES[case]
    model = keras.Sequential([keras.Input((5,)), *make(made), layers.Dense(2)])
    path = tmp_path / f"m.{suffix}"
    model.save(path)
    samples = random_samples((5,), pixels=False, seed=0, count=3)
    expected = model(samples)
    keras.saving.get_custom_objects().clear()  # the next process does not know them

    sentence = f"m.{suffix} needs the {kind} {name}"
    with pytest.raises(InputError, match=rf"{sentence}.*, and allow its code: --custom-objects FILE.py --allow-code"):
        opened(path)
    with pytest.raises(InputError, match=rf"{sentence}.* defines it: --custom-objects FILE.py"):
        opened(path, allow_code=True)
    (tmp_path / "other.py").write_text("class Other:\n    pass\n")
    with pytest.raises(InputError, match=rf"other.py (does not define|defines no {kind}) {name}, which"):
        opened(path, allow_code=True, custom_objects=str(tmp_path / "other.py"))
    original = opened(path, allow_code=True, custom_objects=str(file))
    np.testing.assert_allclose(original.predict(samples)[OUTPUT], expected, rtol=1e-5, atol=1e-6)


def test_the_file_is_not_run_without_permission(tmp_path: Path, mine: Any) -> None:
    _, made = mine
    path = tmp_path / "m.h5"  # whose configuration does not show the class beforehand
    keras.Sequential([keras.Input((5,)), made["Scale"](2.0)]).save(path)
    keras.saving.get_custom_objects().clear()
    (tmp_path / "trap.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    with pytest.raises(InputError, match="needs the class Scale"):
        opened(path, custom_objects=str(tmp_path / "trap.py"))
    assert not (tmp_path / "ran").exists()
    with pytest.raises(InputError, match=r"trap.py defines no class Scale, which m.h5 needs"):
        opened(path, custom_objects=str(tmp_path / "trap.py"), allow_code=True)
    assert (tmp_path / "ran").exists()


def test_a_class_that_does_not_fit_its_file_is_told_with_keras_reason(tmp_path: Path, mine: Any) -> None:
    file, made = mine
    path = tmp_path / "m.keras"
    keras.Sequential([keras.Input((5,)), made["Gate"]()]).save(path)
    keras.saving.get_custom_objects().clear()
    file.write_text(textwrap.dedent(SOURCE).replace("self.gain = self.add_weight", "self.gain = 1 or self.add_weight"))
    with pytest.raises(InputError) as raised:
        opened(path, allow_code=True, custom_objects=str(file))
    assert "m.keras with the classes of mine.py (Layer '" in str(raised.value)
    assert "' expected 0 variables, but received 1 variables during loading" in str(raised.value)
    assert len(str(raised.value)) < 400
    assert "{" not in str(raised.value)


def test_a_subclassed_model_takes_its_saved_shape_or_that_of_the_option(tmp_path: Path, mine: Any) -> None:
    file, made = mine
    settings = {"allow_code": True, "custom_objects": str(file)}
    samples = random_samples((4,), pixels=False, seed=0, count=3)
    model = made["Sub"]()
    expected = model(samples)
    model.save(tmp_path / "m.keras")
    keras.saving.get_custom_objects().clear()
    original = opened(tmp_path / "m.keras", **settings)
    assert original.shape == (4,)
    np.testing.assert_allclose(original.predict(samples)[OUTPUT], expected, rtol=1e-5, atol=1e-6)

    with zipfile.ZipFile(tmp_path / "m.keras") as saved, zipfile.ZipFile(tmp_path / "n.keras", "w") as without:
        for name in saved.namelist():
            content = saved.read(name)
            if name == "config.json":
                content = json.dumps({**json.loads(content), "build_config": None}).encode()
            without.writestr(name, content)
    with pytest.raises(InputError, match=r"n was saved before it knew the shape of its input; give --input-shape"):
        opened(tmp_path / "n.keras", **settings)


def test_the_module_of_the_file_replaces_no_other(mine: Any) -> None:
    assert mine[1]["Scale"].__module__ == MODULE_NAME


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_bfloat16_becomes_float32_with_a_caveat(tmp_path: Path, policy: str) -> None:
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((4, 4, 2)), layers.Conv2D(3, 2, dtype=policy)])
    image = keras.Input((4, 4, 2))
    model = keras.Model(image, layers.Dense(2, dtype=policy)(layers.Flatten(dtype=policy)(inner(image))))
    model.save(tmp_path / "m.keras")
    original = opened(tmp_path / "m.keras")
    (caveat,) = original.caveats
    assert caveat.code == "original"
    assert f"dtype policy {policy}), which Core ML does not have: it was converted, and compared, with" in caveat.text
    samples = random_samples((4, 4, 2), pixels=False, seed=0, count=3)
    values = original.predict(samples)[OUTPUT]
    np.testing.assert_allclose(values, np.asarray(tf.cast(model(samples), tf.float32)), atol=0.05)
    exact, _ = in_float32(model)
    np.testing.assert_allclose(values, exact(samples), rtol=1e-5, atol=1e-6)
    assert original.convert("float16", batch=1, target="macOS13").get_spec().WhichOneof("Type") == "mlProgram"


def test_a_model_of_other_types_is_opened_as_it_is() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, dtype="mixed_float16")])
    assert in_float32(model) == (model, ())
