"""ONNX files as originals of packages that others converted: executed by ONNX Runtime, and not converted here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from coremlbench.conversion.originals.input_semantics import class_names
from coremlbench.conversion.originals.onnx_feeds import Feed, match_inputs, match_outputs, picture_size, rows_per_call
from coremlbench.conversion.originals.onnx_session import (
    RECORD_HINT,
    error_line,
    logits_name,
    make_session,
    read_model,
)
from coremlbench.conversion.package_signature import PackageSignature, open_signature, stack_inputs, without_ones
from coremlbench.conversion.sampling import KNOWN_RANGE, Sampling
from coremlbench.types.conversion import LOGITS, OUTPUT, Caveat, ModelSource
from coremlbench.types.errors import InputError

UNKNOWN_SCALE = (
    "How the model wants its pixels is not known, so that those of the data were multiplied with 1/255 for both; "
    "--scale sets another factor."
)

REQUESTED_SCALE = (
    "Pixels from 0 to 255 are multiplied with {scale:g} for the model, as requested; one that wants a mean and "
    "a deviation of each channel needs recorded outputs: docs/originals.md."
)


@dataclass
class OnnxModel:
    """An ``Original`` for one package, whose samples are those that the package takes.

    ``feeds`` make the model's inputs of them. ``outputs`` are the model's outputs in the package's order, and
    ``logits`` names the input of its final softmax or sigmoid. A call takes ``rows`` samples.
    """

    path: Path
    session: Any
    signature: PackageSignature
    feeds: tuple[Feed, ...]
    whole: bool
    rows: int
    scale: float
    versions: dict[str, str]
    outputs: tuple[str, ...] = ()
    logits: str = ""
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    layers: dict[str, str] = field(default_factory=dict)
    sampling: Sampling = KNOWN_RANGE

    @property
    def description(self) -> str:
        """Return which runtime executes it."""
        return f"{self.path.name} on ONNX Runtime {self.versions['onnxruntime']}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one sample of the package's only input; () for several inputs."""
        return self.feeds[0].item.sample_shape(whole=self.whole) if len(self.feeds) == 1 else ()

    @property
    def pixels(self) -> bool:
        """Return whether the package takes an 8-bit image."""
        return len(self.feeds) == 1 and self.feeds[0].item.pixels

    def read_picture(self, path: Path) -> Any:
        """Return an image file resized to the package's input: uint8 of ``shape``.

        Raises:
            InputError: the package takes no pictures.
        """
        from coremlbench.training.input_pipeline import load_picture

        size = self.shape if self.pixels else picture_size(self.shape)
        if size is None:
            raise InputError(f"The model takes {self.shape}, no pictures; leave --data out.")
        height, width, channels = size
        picture = load_picture(path, (height, width, channels))
        return picture if picture.shape == self.shape else np.moveaxis(picture, -1, 0)

    def random_samples(self, *, seed: int, count: int) -> Any:
        """Return random samples of all inputs, as ``stack_inputs`` has them: pictures of patches, or normal numbers."""
        from coremlbench.training.random_weights import random_samples

        arrays = {}
        for number, feed in enumerate(self.feeds):
            shape, item_seed = feed.item.sample_shape(whole=self.whole), seed + 1000 * number
            size = None if feed.item.pixels else picture_size(shape)
            if size is None:
                arrays[feed.item.name] = random_samples(shape, pixels=feed.item.pixels, seed=item_seed, count=count)
                continue
            pictures = random_samples(size, pixels=True, seed=item_seed, count=count)
            pictures = pictures if size == shape else np.moveaxis(pictures, -1, 1)
            arrays[feed.item.name] = pictures.astype(np.float32) * np.float32(self.scale)
        return stack_inputs(arrays)

    def predict(self, samples: Any) -> dict[str, Any]:
        """Return ``OUTPUT`` and, if there are any, ``LOGITS``, each (n, values), of samples as the package takes them.

        Raises:
            InputError: ONNX Runtime fails with these inputs.
        """
        batches: dict[str, list[Any]] = {}
        for start in range(0, len(samples), self.rows):
            rows = samples[start : start + self.rows]
            values = self.run(rows)
            flat = {name: np.asarray(value, np.float32).reshape(self.rows, -1) for name, value in values.items()}
            outputs = np.concatenate([flat[name] for name in self.outputs], axis=1)
            batches.setdefault(OUTPUT, []).append(outputs[: len(rows)])
            if self.logits:
                batches.setdefault(LOGITS, []).append(flat[self.logits][: len(rows)])
        return {name: np.concatenate(values) for name, values in batches.items()}

    def run(self, rows: Any) -> dict[str, Any]:
        """Return the model's outputs by name for at most ``rows`` samples; the last one fills an incomplete batch.

        Raises:
            InputError: ONNX Runtime fails with these inputs.
        """
        names = [output.name for output in self.session.get_outputs()]
        inputs = {feed.name: feed.values(rows, self.rows) for feed in self.feeds}
        try:
            values = self.session.run(names, inputs)
        except MemoryError:
            raise
        except Exception as error:  # of many types without a common one
            raise InputError(
                f"ONNX Runtime fails to execute {self.path.name} ({error_line(error)}) with inputs of the package's "
                f"shape; {RECORD_HINT}."
            ) from error
        return dict(zip(names, values, strict=True))

    def convert(self, precision: str, *, batch: int, target: str) -> Any:
        """Raise ``InputError``: coremltools has no converter for ONNX."""
        del precision, batch, target
        raise InputError(
            f"the values of an ONNX model such as {self.path.name} have other names than those of a package."
        )

    def intermediate_values(self) -> None:
        """Return ``None``: the names of inner values are others than in a package."""


def open_onnx(source: ModelSource, settings: Mapping[str, Any]) -> OnnxModel:
    """Open an ONNX file for a comparison with the package ``settings["package"]``.

    Raises:
        InputError: the file or the package cannot be read, or their inputs or outputs do not fit.
    """
    import onnx
    import onnxruntime

    path = Path(source.path)
    signature = open_signature(settings)
    proto = read_model(path)
    logits = logits_name(proto)
    session = make_session(path, proto, also=logits)
    whole = signature.unbatched
    feeds, input_note = match_inputs(path.name, session.get_inputs(), signature, settings.get("scale"), whole=whole)
    scale, scale_note, caveats = _scaling(feeds, settings, whole=whole)
    model = OnnxModel(
        path=path,
        session=session,
        signature=signature,
        feeds=feeds,
        whole=whole,
        rows=rows_per_call(feeds, signature, whole=whole),
        scale=scale,
        versions={"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__},
        logits=logits,
        caveats=caveats,
    )
    shapes = _output_shapes(model)
    candidates = {name: shape for name, shape in shapes.items() if name != logits}
    model.outputs, output_note = match_outputs(path.name, candidates, signature, model.rows, whole=whole)
    model.classes, class_note, class_caveats = class_names(source, settings, _class_shapes(candidates))
    model.caveats = (*model.caveats, *class_caveats)
    model.notes = tuple(note for note in (input_note, output_note, scale_note, class_note) if note)
    return model


def _scaling(
    feeds: tuple[Feed, ...], settings: Mapping[str, Any], *, whole: bool
) -> tuple[float, str, tuple[Caveat, ...]]:
    """Return the factor for pixel values, a note on it, and caveats."""
    scale = settings.get("scale")
    factors = [feed.factor for feed in feeds if feed.item.pixels]
    if factors and factors[0] == scale:
        return factors[0], REQUESTED_SCALE.format(scale=scale), ()
    if factors:
        left_out = "" if scale is None else " --scale was left out."
        return factors[0], f"The model takes bytes, pixels from 0 to 255.{left_out}", ()
    pictures = not whole and any(picture_size(feed.item.sample_shape(whole=False)) for feed in feeds)
    if scale is not None and (pictures or settings.get("data")):
        return float(scale), f"Pixels from 0 to 255 are multiplied with {scale:g}, as requested.", ()
    note = "" if scale is None else "--scale was left out: the model takes no pictures."
    caveats = (Caveat("pixel-range", UNKNOWN_SCALE),) if settings.get("data") else ()
    return 1 / 255, note, caveats


def _output_shapes(model: OnnxModel) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the model's outputs for one call; raise ``InputError`` for outputs that are no arrays."""
    values = model.run(model.random_samples(seed=0, count=model.rows))
    for name, value in values.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
            raise InputError(
                f"{model.path.name} gives {name} as {type(value).__name__}, not as an array of numbers (a scikit-learn "
                f"export needs zipmap=False); {RECORD_HINT}."
            )
    return {name: value.shape for name, value in values.items()}


def _class_shapes(shapes: Mapping[str, tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return the output shapes without dimensions of 1 behind the batch, for ``class_names``."""
    return [(*shape[:1], *without_ones(shape[1:])) for shape in shapes.values()]
