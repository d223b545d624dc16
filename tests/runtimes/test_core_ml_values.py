"""What Core ML is given and what it returns, as coremltools' native module has it, played by the stand-in."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coremlbench.runtimes.core_ml_values import Features, numeric_outputs, read_features, readable, to_feature
from coremlbench.runtimes.coreml import LoadedModel
from coremlbench.types.errors import InputError
from coremlbench.workers.inputs import ARRAY_TYPES
from tests.coreml_stand_in.errors import FrameworkError
from tests.coreml_stand_in.inputs import to_feature as convert
from tests.coreml_stand_in.interface import text


def read_only(value: Any) -> Any:
    array = np.array(value)
    array.flags.writeable = False
    return array


VALUES = np.arange(12).reshape(3, 4)
SAMPLES = {
    **{name: VALUES.astype(dtype) for name, dtype in ARRAY_TYPES.items()},
    "int64": VALUES.astype(np.int64),
    "uint16": VALUES.astype(np.uint16),
    "bool": VALUES > 5,
    "longdouble": VALUES.astype(np.longdouble),
    "read-only": read_only(VALUES.astype(np.float32)),
    "other byte order": VALUES.astype(">f4"),
    "strided": VALUES.astype(np.float32)[:, ::2],
    "backwards": VALUES.astype(np.float32)[::-1],
    "transposed": VALUES.astype(np.float32).T,
    "broadcast": np.broadcast_to(np.float32(3), (2, 2)),
    "a scalar": np.float32(3),
    "an index": np.int64(3),
    "no dimension": np.array(3.0),
    "unaligned": np.frombuffer(b"x" + VALUES.astype("<f4").tobytes(), np.float32, offset=1),
    "a list": [[1.0, 2.0]],
}


@pytest.mark.parametrize("value", SAMPLES.values(), ids=SAMPLES)
def test_every_sample_is_handed_over_as_an_array_that_core_ml_reads_rightly(value: Any) -> None:
    feature = convert(to_feature("x", value))
    assert feature is not None
    assert feature.kind == "multiArray"
    np.testing.assert_array_equal(feature.value, np.atleast_1d(np.asarray(value, np.float64)))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array([2**31]), "holds integers of more than 32 bits"),
        (np.array([-(2**31) - 1]), "holds integers of more than 32 bits"),
        (np.array(["text"]), "is of the type <U4, which Core ML does not take"),
        (np.array([1j]), "is of the type complex128, which Core ML does not take"),
        (np.zeros((2, 2, 4), np.uint8), r"is a picture of the shape \(2, 2, 4\)"),
        (np.zeros(3, np.uint8), r"is a picture of the shape \(3,\)"),
    ],
)
def test_what_core_ml_does_not_take_is_one_sentence(value: Any, words: str) -> None:
    with pytest.raises(InputError, match=rf"^The input 'x' {words}"):
        to_feature("x", value)


@pytest.mark.parametrize(
    ("shape", "colour", "mode"),
    [
        ((4, 6, 3), "RGB", "RGB"),
        ((4, 6, 3), "BGR", "RGB"),
        ((4, 6), "GRAYSCALE", "L"),
        ((4, 6), "GRAYSCALE_FLOAT16", "F"),
        ((4, 6), "", "L"),
    ],
)
def test_a_picture_is_a_pillow_image_of_the_models_mode(shape: tuple[int, ...], colour: str, mode: str) -> None:
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    feature = convert(to_feature("image", read_only(pixels[:, ::-1]), colour))
    assert feature is not None
    assert (feature.kind, feature.value.mode, feature.value.size) == ("image", mode, (6, 4))
    np.testing.assert_array_equal(np.asarray(feature.value), pixels[:, ::-1])


def test_pictures_are_planes_in_the_order_of_the_model() -> None:
    planes = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)
    image = Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0))).convert("RGBA")
    values = numeric_outputs({"rgb": image, "bgr": image, "grey": image.getchannel(0)}, {"bgr": "BGR"})
    assert values["rgb"].tolist() == planes.reshape(-1).tolist()
    assert values["bgr"].tolist() == planes[::-1].reshape(-1).tolist()
    assert values["grey"].tolist() == planes[0].reshape(-1).tolist()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FrameworkError("Feature x is required."), "Feature x is required."),
        (FrameworkError('the shape 1 × 2 of "größe"\n\\', "1 × 3 😀"), 'the shape 1 × 2 of "größe"\n\\ (1 × 3 😀)'),
        (FrameworkError("ends with \\"), "ends with \\"),
    ],
)
def test_an_error_of_core_ml_is_shown_in_words(error: FrameworkError, words: str) -> None:
    assert readable(error.user_info()) == words
    assert readable(f"Before: {error.user_info()}") == f"Before: {words}"


def test_other_messages_are_shown_as_they_are() -> None:
    for message in (text("not convertible"), text("compile", "the file"), "", "{\n    other = 1;\n}"):
        assert readable(message) == message


def test_a_model_with_states_predicts_with_one_set_of_them() -> None:
    given: list[Any] = []
    made = iter(["first", "second"])
    model = SimpleNamespace(predict=lambda data, state=None: given.append(state), make_state=lambda: next(made))
    loaded = LoadedModel(model, object(), Features(has_states=True))
    loaded.predict({})
    loaded.predict({})
    LoadedModel(model, object()).predict({})
    assert given == ["first", "first", None]


@pytest.mark.tensorflow
def test_images_and_states_are_read_from_the_description_of_the_default_function(tmp_path: Path) -> None:
    from coremltools.proto import FeatureTypes_pb2, Model_pb2

    colours = FeatureTypes_pb2.ImageFeatureType.ColorSpace
    model = Model_pb2.Model(specificationVersion=9)

    def describe(description: Any, colour: str, *states: str) -> None:
        description.input.add(name="picture").type.imageType.colorSpace = colours.Value(colour)
        description.output.add(name="array").type.multiArrayType.shape.append(1)
        for state in states:
            description.state.add(name=state).type.stateType.arrayType.shape.append(1)

    describe(model.description, "BGR")
    model.neuralNetwork.SetInParent()
    path = tmp_path / "größe 1.mlmodel"
    path.write_bytes(model.SerializeToString())
    assert read_features(path) == Features({"picture": "BGR"})
    model.description.defaultFunctionName = "second"
    describe(model.description.functions.add(name="first"), "RGB")
    describe(model.description.functions.add(name="second"), "GRAYSCALE_FLOAT16", "keys")
    path.write_bytes(model.SerializeToString())
    assert read_features(path) == Features({"picture": "GRAYSCALE_FLOAT16"}, has_states=True)
    path.write_bytes(b"\xff no model")
    with pytest.raises(InputError, match="cannot be read as a Core ML model"):
        read_features(path)
