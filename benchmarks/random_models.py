"""Convert small random Keras models rightly, and count the verdicts: no right conversion should be `wrong`.

    python benchmarks/random_models.py                 100 models, and the table in docs/random-models.md
    python benchmarks/random_models.py --models 10     fewer, printed only

Hypothesis draws the layers and the variants, always the same ones; the weights are those of Keras's initialisers, with
random biases and statistics. Each model is saved, opened, converted and judged by the steps of ``coremlbench convert``
with random inputs. Of 100 models none should be wrong, 90 proven (with caveats or without), and 5 not judged at most.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from proof_pipeline import convert, open_file, prove, save_samples, silent

TABLE = Path(__file__).resolve().parents[1] / "docs" / "random-models.md"
SAMPLES = 60
MAX_LAYERS = 5
VERDICTS = ("proven", "proven with caveats", "degraded", "wrong", "not judged", "refused")
ACTIVATIONS = ("relu", "relu6", "tanh", "sigmoid", "swish", "gelu", "elu", "linear", "softplus", "leaky_relu")
SHAPES = {"picture": (16, 16, 3), "sequence": (20, 6), "vector": (12,)}
_CONVOLUTIONAL = ("conv", "max pool", "average pool", "norm", "residual")
LAYERS = {
    "picture": (*_CONVOLUTIONAL, "depthwise", "separable", "upsampling", "padding"),
    "sequence": (*_CONVOLUTIONAL, "layer norm", "lstm", "gru"),
    "vector": ("dense", "norm", "layer norm", "residual"),
}
HEADS = ("softmax", "sigmoid", "linear", "tanh")


@dataclass(frozen=True)
class Recipe:
    """The drawn settings of one model."""

    shape: str
    rescaling: bool
    layers: tuple[tuple[str, int, str], ...]
    head: str
    outputs: int
    variant: str
    seed: int

    @property
    def structure(self) -> tuple[object, ...]:
        """Return what makes a model another one than those before: the kinds of its layers."""
        return self.shape, self.rescaling, tuple(kind for kind, _, _ in self.layers)

    @property
    def name(self) -> str:
        """Return the layers in words."""
        layers = [f"{kind} {width} {activation}" for kind, width, activation in self.layers]
        return ", ".join(
            [self.shape, *(["rescaling"] if self.rescaling else []), *layers, f"{self.head} {self.outputs}"]
        )


@dataclass(frozen=True)
class Result:
    """The verdict on one model, with the ratio in dB (``None`` without an error) and the reason."""

    recipe: Recipe
    verdict: str
    ratio: float | None
    reason: str


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Draw a model and a variant."""
    shape = draw(st.sampled_from(tuple(SHAPES)))
    layer = st.tuples(st.sampled_from(LAYERS[shape]), st.sampled_from((4, 8, 16)), st.sampled_from(ACTIVATIONS))
    return Recipe(
        shape=shape,
        rescaling=shape == "picture" and draw(st.booleans()),
        layers=tuple(draw(st.lists(layer, min_size=1, max_size=MAX_LAYERS))),
        head=draw(st.sampled_from(HEADS)),
        outputs=draw(st.integers(2, 12)),
        variant=draw(st.sampled_from(("fp16", "fp16", "fp32"))),
        seed=draw(st.integers(0, 1000)),
    )


def build(recipe: Recipe) -> Any:
    """Return the Keras model of a recipe."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(recipe.seed)
    image = keras.Input(SHAPES[recipe.shape])
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image) if recipe.rescaling else image
    for kind, width, activation in recipe.layers:
        x = _layer(x, kind, width, activation)
    if len(x.shape) > 2:
        pooling = keras.layers.Flatten() if recipe.seed % 2 else _global_pooling(x)
        x = pooling(x)
    model = keras.Model(image, keras.layers.Dense(recipe.outputs, activation=recipe.head)(x))
    random = np.random.default_rng(recipe.seed)
    for weight in model.weights:
        name = weight.path.rsplit("/", 1)[-1]
        if name in {"bias", "beta", "moving_mean"}:
            weight.assign(random.normal(0, 0.1, weight.shape))
        elif name in {"gamma", "moving_variance"}:
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
    return model


def _global_pooling(x: Any) -> Any:
    from keras import layers

    return layers.GlobalAveragePooling2D() if len(x.shape) == 4 else layers.GlobalAveragePooling1D()


def _layer(x: Any, kind: str, width: int, activation: str) -> Any:
    """Return the output of one more layer; a recurrent layer or a pooling that no longer fits is left out."""
    from keras import layers

    flat, two = len(x.shape) == 2, len(x.shape) == 4
    if kind == "residual":
        inner = _layer(x, "dense" if flat else "conv", int(x.shape[-1]), activation)
        return layers.Add()([x, inner])
    if kind in {"max pool", "average pool"}:
        names = {"max pool": "MaxPooling", "average pool": "AveragePooling"}
        size = min(int(length) for length in x.shape[1:-1])
        return getattr(layers, f"{names[kind]}{2 if two else 1}D")(2, padding="same")(x) if size > 1 else x
    makers: dict[str, Any] = {
        "dense": lambda: layers.Dense(width, activation=activation),
        "conv": lambda: (layers.Conv2D if two else layers.Conv1D)(width, 3, padding="same", activation=activation),
        "depthwise": lambda: layers.DepthwiseConv2D(3, strides=2, padding="same", activation=activation),
        "separable": lambda: layers.SeparableConv2D(width, 3, padding="same", activation=activation),
        "norm": layers.BatchNormalization,
        "layer norm": layers.LayerNormalization,
        "upsampling": lambda: layers.UpSampling2D(2, interpolation="bilinear"),
        "padding": lambda: layers.ZeroPadding2D(1),
        "lstm": lambda: layers.LSTM(width, return_sequences=True),
        "gru": lambda: layers.GRU(width, return_sequences=True),
    }
    return makers[kind]()(x)


def judge(recipe: Recipe, folder: Path) -> Result:
    """Return the verdict on one model."""
    build(recipe).save(folder / "model.keras")
    original = open_file(folder / "model.keras")
    save_samples(original, folder, SAMPLES, recipe.seed)
    kind = "random pictures" if len(original.shape) == 3 else "random numbers"
    package = convert(original, recipe.variant, folder)
    outcome = prove(package, recipe.variant, folder, original, inputs=kind)
    if "error" in outcome:
        return Result(recipe, "refused", None, outcome["error"]["message"])
    proof = outcome["proof"]
    return Result(recipe, proof["verdict"], proof["signal_to_noise"], proof["reason"].partition(";")[0])


def judge_all(models: int) -> list[Result]:
    """Return the results of as many different models, printing each."""
    results: dict[Any, Result] = {}

    @settings(
        max_examples=20 * models,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(recipes())
    def add(recipe: Recipe) -> None:
        if recipe.structure in results or len(results) >= models:
            return
        with tempfile.TemporaryDirectory() as scratch, silent():
            result = results[recipe.structure] = judge(recipe, Path(scratch))
        ratio = "∞" if result.ratio is None else f"{result.ratio:.0f}"
        print(f"{len(results)}: {recipe.variant}, {ratio} dB, {result.verdict}: {recipe.name}", flush=True)
        if result.verdict not in {"proven", "proven with caveats"}:
            print(f"    {result.reason}", flush=True)

    add()
    return list(results.values())


def summary(results: Sequence[Result], seconds: float) -> str:
    """Return the numbers of models by verdict."""
    counts = Counter(result.verdict for result in results)
    numbers = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    return f"{len(results)} right conversions in {seconds:.0f} s: {numbers}."


def table(results: Sequence[Result], seconds: float) -> str:
    """Return docs/random-models.md."""
    lines = [
        "# Right conversions of random models, and their verdicts",
        "",
        "Made by `python benchmarks/random_models.py`; no number here was written by hand. Hypothesis draws the",
        "layers; each model is converted rightly and judged on random inputs, so that no verdict should be `wrong`.",
        "",
        summary(results, seconds),
        "",
        "| verdict | variant | ratio, dB | model |",
        "|---|---|--:|---|",
    ]
    for result in sorted(results, key=lambda result: -VERDICTS.index(result.verdict)):
        ratio = "∞" if result.ratio is None else f"{result.ratio:.0f}"
        lines.append(f"| {result.verdict} | {result.recipe.variant} | {ratio} | {result.recipe.name} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Judge the models, print the counts, and write the table for the full number of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=int, default=100)
    options = parser.parse_args()
    started = time.perf_counter()
    results = judge_all(options.models)
    seconds = time.perf_counter() - started
    print(summary(results, seconds))
    if options.models >= 100:
        TABLE.write_text(table(results, seconds), encoding="utf-8")
    counts = Counter(result.verdict for result in results)
    proven = counts["proven"] + counts["proven with caveats"]
    fine = not counts["wrong"] and proven >= 0.9 * len(results) and counts["not judged"] <= 0.05 * len(results)
    sys.exit(not fine)


if __name__ == "__main__":
    main()
