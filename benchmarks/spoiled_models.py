"""Small Keras models of several kinds, and known ways to spoil them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

KINDS = ("functional", "sequential", "saved-model", "lstm", "one-dimensional")
CLASSES = ("ant", "bee", "cat", "dog", "elk")
WIDTH = 24
OVERFLOW = 1e6
"""The largest value that the spoil for overflow makes inside a network; float16 ends at 65504."""


@dataclass(frozen=True)
class Architecture:
    """The settings of a model that spoils change; the defaults are right."""

    kind: str
    epsilon: float = 1e-3
    padding: str = "same"
    whole: bool = True
    scale: float = 1 / 255


@dataclass(frozen=True)
class Spoil:
    """One way to spoil a model: other settings, other weights, or other labels."""

    name: str
    settings: dict[str, Any] | None = None
    weights: Callable[[Any, Any], None] | None = None
    classes: tuple[str, ...] = CLASSES
    overflows: bool = False

    @property
    def changes_labels(self) -> bool:
        """Return whether a label of a class is another one."""
        return self.classes != CLASSES


# --- models -------------------------------------------------------------------------------------------------


def build(architecture: Architecture) -> Any:
    """Return a model with layers of the same names for any settings; its weights are those of Keras's generators."""
    import keras

    layers = keras.layers
    builders: dict[str, Callable[[Any, Architecture], Any]] = {
        "functional": _residual,
        "sequential": _plain,
        "saved-model": _separable,
        "lstm": _recurrent,
        "one-dimensional": _one_dimensional,
    }
    shape = {"lstm": (10, 6), "one-dimensional": (32, 4)}.get(architecture.kind, (16, 16, 3))
    image = keras.Input(shape)
    x = layers.Rescaling(architecture.scale)(image) if len(shape) == 3 else image
    x = builders[architecture.kind](x, architecture)
    return keras.Model(image, layers.Dense(len(CLASSES), activation="softmax", name="last")(x))


def _residual(x: Any, architecture: Architecture) -> Any:
    from keras import layers

    x = _strided(layers.Conv2D, layers.ZeroPadding2D, x, architecture)
    if architecture.whole:
        y = layers.Conv2D(WIDTH, 3, padding="same", activation="relu", name="second")(x)
        x = layers.Add()([x, y])
    return layers.GlobalAveragePooling2D()(x)


def _plain(x: Any, architecture: Architecture) -> Any:
    from keras import layers

    x = _strided(layers.Conv2D, layers.ZeroPadding2D, x, architecture)
    if architecture.whole:
        x = layers.Conv2D(WIDTH, 3, padding="same", activation="relu", name="second")(x)
    return layers.Flatten()(layers.MaxPooling2D()(x))


def _separable(x: Any, architecture: Architecture) -> Any:
    from keras import layers

    x = _strided(layers.Conv2D, layers.ZeroPadding2D, x, architecture)
    if architecture.whole:
        x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
        x = layers.Conv2D(4 * WIDTH, 1, activation="relu", name="second")(x)
        x = layers.Conv2D(WIDTH, 1, name="third")(x)
    return layers.GlobalMaxPooling2D()(x)


def _one_dimensional(x: Any, architecture: Architecture) -> Any:
    from keras import layers

    x = _strided(layers.Conv1D, layers.ZeroPadding1D, x, architecture)
    if architecture.whole:
        x = layers.Conv1D(WIDTH, 5, padding="same", activation="relu", name="second")(x)
    return layers.GlobalAveragePooling1D()(x)


def _recurrent(x: Any, architecture: Architecture) -> Any:
    from keras import layers

    x = layers.LSTM(WIDTH, name="first", go_backwards=architecture.padding != "same")(x)
    x = layers.LayerNormalization(epsilon=architecture.epsilon, name="norm")(x)
    return layers.Dense(WIDTH, activation="relu", name="second")(x) if architecture.whole else x


def _strided(convolution: Any, padding: Any, x: Any, architecture: Architecture) -> Any:
    """Return a convolution of stride 2, a batch normalisation and a ReLU; other padding is that of PyTorch."""
    from keras import layers

    if architecture.padding != "same":
        x = padding(1)(x)
    mode = architecture.padding if architecture.padding == "same" else "valid"
    x = convolution(WIDTH, 3, strides=2, padding=mode, name="first")(x)
    return layers.ReLU()(layers.BatchNormalization(epsilon=architecture.epsilon, name="norm")(x))


def right_model(kind: str, seed: int) -> Any:
    """Return a model whose signals stay alive and whose variances are as small as those of trained networks can be."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(seed)
    model, random = build(Architecture(kind)), np.random.default_rng(seed)
    for layer in model.layers:
        for weight in layer.weights:
            name = weight.path.rsplit("/", 1)[-1]
            if name in {"bias", "beta", "moving_mean"}:
                weight.assign(random.normal(0, 0.2, weight.shape))
            elif name in {"gamma", "moving_variance"}:
                weight.assign(
                    random.uniform(0.02, 0.3, weight.shape) if "var" in name else random.uniform(0.5, 1.5, weight.shape)
                )
    return model


def spoiled_model(right: Any, kind: str, spoil: Spoil) -> Any:
    """Return the model with the spoil; weights are those of the right one where it has a layer of that name."""
    model = build(replace(Architecture(kind), **(spoil.settings or {})))
    weights = {layer.name: layer.get_weights() for layer in right.layers}
    for layer in model.layers:
        if layer.name in weights and layer.weights:
            layer.set_weights(_fitted(weights[layer.name], layer))
    if spoil.weights is not None:
        spoil.weights(model, right)
    return model


def _fitted(weights: list[Any], layer: Any) -> list[Any]:
    """Return weights cut to the shapes of a layer, whose input may be smaller where a layer before it was dropped."""
    return [value[tuple(map(slice, own.shape))] for value, own in zip(weights, layer.get_weights(), strict=True)]


# --- spoils -------------------------------------------------------------------------------------------------


def spoils() -> list[Spoil]:
    """Return all spoils, the gross ones and the weak ones."""
    exchanged = (CLASSES[1], CLASSES[0], *CLASSES[2:])
    return [
        Spoil("labels exchanged", classes=exchanged),
        Spoil("labels turned around", classes=CLASSES[::-1]),
        Spoil("one label renamed", classes=(*CLASSES[:-1], "eel")),
        Spoil("classes exchanged", weights=_exchange_classes),
        *(Spoil(f"scale of the input × {factor:g}", weights=_scale_first(factor)) for factor in (0.5, 0.98, 1.2, 2)),
        *(Spoil(f"bias of one class + {size:g} deviations", weights=_bias(size)) for size in (0.03, 0.3, 3)),
        *(Spoil(f"weights of one class × {factor:g}", weights=_scale_class(factor)) for factor in (-1, 0.9, 2)),
        Spoil("channel order", weights=_turn_channels),
        Spoil("dropped layer", settings={"whole": False}),
        *(Spoil(f"epsilon {epsilon:g}", settings={"epsilon": epsilon}) for epsilon in (1e-5, 1e-2, 0.3)),
        Spoil("dead class at 0", weights=_kill_class(0.0)),
        Spoil("dead class at its mean", weights=_kill_class(None)),
        Spoil("padding of another kind", settings={"padding": "torch"}),
        Spoil("float16 overflow", weights=_overflow, overflows=True),
    ]


def _weights(model: Any, name: str) -> list[Any]:
    return [value.copy() for value in model.get_layer(name).get_weights()]


def _exchange_classes(model: Any, _: Any) -> None:
    values = _weights(model, "last")
    model.get_layer("last").set_weights([value[..., [1, 0, 2, 3, 4]] for value in values])


def _scale_first(factor: float) -> Callable[[Any, Any], None]:
    def scale(model: Any, _: Any) -> None:
        kernel, *others = _weights(model, "first")
        model.get_layer("first").set_weights([kernel * factor, *others])

    return scale


def _bias(size: float) -> Callable[[Any, Any], None]:
    def add(model: Any, right: Any) -> None:
        kernel, bias = _weights(model, "last")
        bias[2] += size * _deviation(right)
        model.get_layer("last").set_weights([kernel, bias])

    return add


def _deviation(model: Any) -> float:
    """Return the standard deviation of the logits over random samples."""
    import keras

    last = model.get_layer("last")
    features = keras.Model(model.inputs, last.input).predict(_samples(model), verbose=0)
    return float((features @ last.get_weights()[0]).std(axis=0).mean())


def _samples(model: Any) -> Any:
    """Return some random inputs of a model."""
    from coremlbench.training.random_weights import random_samples

    shape = tuple(model.input_shape[1:])
    return random_samples(shape, pixels=len(shape) == 3, seed=5, count=32).astype("float32")


def _scale_class(factor: float) -> Callable[[Any, Any], None]:
    def scale(model: Any, _: Any) -> None:
        kernel, bias = _weights(model, "last")
        kernel[:, 3] *= factor
        model.get_layer("last").set_weights([kernel, bias])

    return scale


def _turn_channels(model: Any, _: Any) -> None:
    kernel, *others = _weights(model, "first")
    model.get_layer("first").set_weights([kernel[..., ::-1, :], *others])


def _kill_class(constant: float | None) -> Callable[[Any, Any], None]:
    def kill(model: Any, _: Any) -> None:
        kernel, bias = _weights(model, "last")
        kernel[:, 4] = 0
        bias[4] = bias[4] if constant is None else constant
        model.get_layer("last").set_weights([kernel, bias])

    return kill


def _overflow(model: Any, right: Any) -> None:
    """Make the values between the normalisation and the last layer too large for float16; the function stays."""
    import keras
    import numpy as np

    names = [layer.name for layer in model.layers]
    inner = keras.Model(right.inputs, right.get_layer("norm").output)
    factor = OVERFLOW / float(np.abs(inner.predict(_samples(right), verbose=0)).max())
    gamma, beta, *statistics = _weights(model, "norm")
    model.get_layer("norm").set_weights([gamma * factor, beta * factor, *statistics])
    for name in ("depthwise", "second", "third"):
        if name in names:
            *kernels, bias = _weights(model, name)
            model.get_layer(name).set_weights([*kernels, bias * factor])
    kernel, bias = _weights(model, "last")
    model.get_layer("last").set_weights([kernel / factor, bias])
