"""Which range of pixels a model wants, told by its first ops."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from coremlbench.conversion.originals import open_original
from coremlbench.conversion.originals.input_graph import InputGraph
from coremlbench.conversion.originals.pixel_range import prefix_ends, range_of, wanted_maximum
from coremlbench.conversion.originals.traced_model import make_tracer
from coremlbench.conversion.sources import source_of_file
from coremlbench.types.conversion import OUTPUT

layers, applications = keras.layers, keras.applications
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow and Keras warn about each other
]
Build = Callable[[Any], Any]

MEAN, VARIANCE = [0.485, 0.456, 0.406], [0.229**2, 0.224**2, 0.225**2]


def then_a_network(*first: Build) -> Any:
    """Return a model whose first layers are ``first``, applied one after the other."""
    image = x = keras.Input((32, 32, 3))
    for build in first:
        x = build(x)
    return keras.Model(image, layers.Dense(2)(layers.Flatten()(layers.Conv2D(2, 3, activation="relu")(x))))


def wanted(model: Any) -> float | None:
    trace = make_tracer(lambda image: model(image, training=False), tuple(model.input_shape[1:]))
    return wanted_maximum(InputGraph(trace(1)))


def trained_batch_norm(mean: float, deviation: float) -> Build:
    layer = layers.BatchNormalization()

    def apply(image: Any) -> Any:
        normalised = layer(image)
        gamma, beta = np.array([1.1, 0.9, 1.0]), np.array([0.1, 0.0, -0.1])
        layer.set_weights([gamma, beta, mean * np.array([1, 0.9, 1.1]), np.full(3, deviation**2)])
        return normalised

    return apply


def residual(image: Any) -> Any:
    """Return features of a picture with a scaled residual branch."""
    x = layers.Conv2D(3, 3, padding="same")(image)
    return layers.add([x, layers.Rescaling(0.2)(layers.Conv2D(3, 3, padding="same")(x))])


@cache
def efficientnet() -> Any:
    return applications.EfficientNetB0(weights=None, include_top=False, input_shape=(32, 32, 3))


def exchanged_channels(image: Any) -> Any:
    red, green, blue = keras.ops.split(image, 3, axis=-1)
    return keras.ops.concatenate([blue, green, red], axis=-1)


WANTED: dict[str, tuple[Callable[[], Any], float | None]] = {
    "caffe's preprocessing": (lambda: then_a_network(applications.resnet50.preprocess_input), 255),
    "torch's preprocessing": (lambda: then_a_network(applications.densenet.preprocess_input), 255),
    "tf's preprocessing": (lambda: then_a_network(applications.mobilenet_v2.preprocess_input), 255),
    "own arithmetic": (lambda: then_a_network(lambda x: (keras.ops.flip(x, -1) - 127.5) * 0.0078), 255),
    "inverted bytes": (lambda: then_a_network(lambda x: 1 - x / 255), 255),
    "exchanged channels": (
        lambda: then_a_network(exchanged_channels, lambda x: x - np.array([103.9, 116.8, 123.7], np.float32)),
        255,
    ),
    "mean and deviation of bytes": (lambda: then_a_network(layers.Normalization(mean=127.5, variance=64.0**2)), 255),
    "rescaled, then normalised": (
        lambda: then_a_network(
            layers.Rescaling(1 / 127.5, -1), layers.Normalization(mean=[0.1, 0.2, 0], variance=[0.3] * 3)
        ),
        255,
    ),
    "batch normalisation of bytes": (lambda: then_a_network(trained_batch_norm(120, 60)), 255),
    "mean and deviation of 0 to 1": (
        lambda: then_a_network(layers.Normalization(mean=MEAN, variance=VARIANCE)),
        1,
    ),
    "0 to 1 becomes -1 to 1": (lambda: then_a_network(layers.Rescaling(2, -1)), 1),
    "0 to 1 becomes bytes": (lambda: then_a_network(layers.Rescaling(255), applications.resnet50.preprocess_input), 1),
    "batch normalisation of 0 to 1": (lambda: then_a_network(trained_batch_norm(0.5, 0.25)), 1),
    "-1 to 1 becomes bytes": (lambda: then_a_network(layers.Rescaling(127.5, 127.5)), None),
    "decibels": (lambda: then_a_network(layers.Normalization(mean=-35.0, variance=20.0**2)), None),
    "an untrained batch normalisation": (lambda: then_a_network(layers.BatchNormalization()), None),
    "clipped to 0 to 1": (lambda: then_a_network(lambda x: keras.ops.clip(x, 0, 1) * 2 - 1), None),
    "16 bits": (lambda: then_a_network(layers.Rescaling(1 / 65535)), None),
    "one channel of bytes, two of 0 to 1": (
        lambda: then_a_network(layers.Normalization(mean=[127, 0.5, 0.5], variance=[4000, 0.1, 0.1])),
        None,
    ),
    "in a residual branch": (lambda: then_a_network(residual), None),
    "in a branch of the input": (
        lambda: then_a_network(lambda x: layers.add([x, layers.Rescaling(0.2)(x)])),
        None,
    ),
    "in two branches": (
        lambda: then_a_network(
            lambda x: layers.add([layers.Rescaling(1 / 255)(x), layers.Rescaling(1 / 127.5, -1)(x)])
        ),
        255,
    ),
    "behind augmentation": (
        lambda: then_a_network(
            keras.Sequential([layers.RandomFlip(), layers.Pipeline([layers.RandomZoom(0.1)])]),
            layers.Resizing(16, 16),
            layers.ZeroPadding2D(1),
            layers.Dropout(0.1),
            layers.AveragePooling2D(2),
            layers.Rescaling(1 / 255),
        ),
        255,
    ),
    "behind a convolution": (lambda: then_a_network(layers.Conv2D(3, 3), layers.Rescaling(1 / 255)), None),
    "nowhere": (lambda: then_a_network(layers.RandomFlip()), None),
    "in EfficientNet": (efficientnet, 255),
    "in EfficientNet inside of another model": (lambda: then_a_network(efficientnet(), layers.UpSampling2D(4)), 255),
}


@pytest.mark.parametrize("where", list(WANTED))
def test_the_first_ops_tell_which_pixels_a_model_wants(where: str) -> None:
    build, expected = WANTED[where]
    assert wanted(build()) == expected


@pytest.mark.parametrize(
    ("first", "scale", "beginning"),
    [
        (applications.resnet50.preprocess_input, 1.0, "The model rescales pixels itself, so it takes images."),
        (
            partial(layers.Normalization, mean=MEAN, variance=VARIANCE),
            1 / 255,
            "The first layers of the model want pixels from 0 to 1, so it takes images, scaled by 1/255.",
        ),
    ],
)
def test_files_and_saved_models_take_images_scaled_as_they_want_them(
    tmp_path: Path, first: Any, scale: float, beginning: str
) -> None:
    model = then_a_network(first() if isinstance(first, partial) else first)
    model.save(tmp_path / "model.keras")
    model.export(tmp_path / "exported", format="tf_saved_model", verbose=False)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    expected = model.predict(pictures.astype(np.float32) * np.float32(scale), verbose=0)
    for file in ("model.keras", "exported"):
        original = open_original(source_of_file(tmp_path / file), {})
        assert (original.pixels, original.scale, original.sampling.range_known) == (True, scale, True)
        assert (original.notes, original.caveats) == ((beginning,), ())
        outputs: Any = original.predict(pictures)[OUTPUT]
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)


def test_a_scale_that_contradicts_the_first_layers_is_a_caveat(tmp_path: Path) -> None:
    then_a_network(layers.Rescaling(1 / 255)).save(tmp_path / "model.keras")
    source = source_of_file(tmp_path / "model.keras")
    assert open_original(source, {"scale": 1.0}).caveats == ()
    (caveat,) = open_original(source, {"scale": 1 / 255}).caveats
    assert caveat.code == "pixel-range"
    assert caveat.text == (
        "The first layers of the model want pixels from 0 to 255, and --scale 0.00392157 gives it those from 0 to 1."
    )


# --- any chain of affine and moving ops ---------------------------------------------------------------------

factors = st.floats(0.002, 300).flatmap(lambda size: st.sampled_from([size, -size]))
offsets = st.floats(-300, 300)
STEPS: dict[str, Callable[[Any, float, float], Any]] = {
    "multiply": lambda x, factor, _: x * factor,
    "divide": lambda x, factor, _: x / factor,
    "add": lambda x, _, offset: offset + x,
    "subtract": lambda x, _, offset: x - offset,
    "subtract from": lambda x, _, offset: offset - x,
    "flip": lambda x, *_: x[..., ::-1],
    "crop": lambda x, *_: x[:, 1:],
    "transpose": lambda x, *_: tf.transpose(x, (0, 2, 1, 3)),
    "join": lambda x, *_: tf.concat(tf.split(x, 3, axis=-1)[::-1], axis=-1),
}
chains = st.lists(st.tuples(st.sampled_from(sorted(STEPS)), factors, offsets), min_size=1, max_size=5)


@given(chains)
@settings(deadline=None, max_examples=25)
def test_the_prefix_ends_where_the_chain_of_affine_ops_does(chain: list[tuple[str, float, float]]) -> None:
    def prefix(image: Any) -> Any:
        for name, factor, offset in chain:
            image = STEPS[name](image, factor, offset)
        return image

    concrete = make_tracer(lambda image: tf.reduce_mean(tf.nn.relu(prefix(image)), axis=(1, 2)), (8, 8, 3))(1)
    graph = InputGraph(concrete)
    (end,) = prefix_ends(graph)
    image = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)).astype(np.float32)
    (value,) = graph.values([end], image)
    np.testing.assert_allclose(value, prefix(tf.constant(image)).numpy(), rtol=1e-5, atol=1e-5)


@given(st.floats(0.05, 1), st.floats(1, 60).flatmap(lambda width: st.sampled_from([width, -width])))
def test_the_range_follows_the_unit_of_the_pixels(position: float, width: float) -> None:
    """A normalisation by a mean and a deviation tells the range whatever they are, as shares of that range."""

    def normalised(pixel: float, largest: float) -> Any:
        return np.array([width * (pixel / largest - position)])

    for largest in (1.0, 255.0):
        assert range_of(*(normalised(pixel, largest) for pixel in (0.0, 128.0, 255.0))) == largest


def test_black_borders_of_a_mean_image_say_nothing() -> None:
    mean, deviation = np.full(100, 90.0), np.full(100, 70.0)
    mean[:30], deviation[:30] = 0.0, 1e-7
    probes = [(pixel - mean) / deviation for pixel in (0.0, 128.0, 255.0)]
    assert range_of(*probes) == 255
    assert range_of(*(np.zeros(4) for _ in range(3))) is None
