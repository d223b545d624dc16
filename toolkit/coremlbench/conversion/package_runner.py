"""A saved package on the reference runtime, asked for whole sets of samples and for inner values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coremlbench.types.conversion import LOGITS, OUTPUT
from coremlbench.types.errors import InputError

RUNTIME = "reference (ML Program on ONNX Runtime)"

THROUGH = ("cast", "identity", "reshape", "expand_dims", "squeeze")
"""Ops between a softmax and an output that change no value's meaning."""


@dataclass
class Executed:
    """A package with one input, ready to predict batches of ``batch`` samples.

    ``shape`` is that of one sample as the originals have it: (height, width, channels) of a picture. ``inner`` names
    the values given out beside the outputs; ``logits`` is the value that goes into a last softmax or sigmoid, empty
    when there is none. ``vector`` tells that there is one output with one list of values for a sample, whose largest
    can be its class: a map of classes for each pixel is none. ``widths`` are the numbers of values of each output for
    a sample.
    """

    runtime: Any
    input: str
    shape: tuple[int, ...]
    batch: int
    pixels: bool
    logits: str
    outputs: tuple[str, ...]
    vector: bool = False
    widths: tuple[int, ...] = ()
    inner: tuple[str, ...] = ()

    @classmethod
    def load(cls, package: Path, *, inner: Sequence[str] = (), threads: int | None = None) -> Executed:
        """Return a package, read back from where it was saved.

        Raises:
            InputError: it cannot be read, is no ML Program, or does not have one input of a fixed shape.
            UnknownOp: the reference runtime does not know one of its ops.
        """
        from coremlbench.mil_onnx import load_program

        return cls.of(load_program(package), inner=inner, threads=threads)

    @classmethod
    def of(cls, program: Any, *, inner: Sequence[str] = (), threads: int | None = None) -> Executed:
        """Return a program that was read back already; see ``load``."""
        from coremlbench.runtimes.reference import ReferenceRuntime

        logits = logits_of(program)
        also = [*dict.fromkeys([*([logits] if logits else []), *inner])]
        runtime = ReferenceRuntime(program, threads=threads, also=also)
        if len(runtime.inputs) != 1:
            raise InputError(
                f"{program.source} takes {len(runtime.inputs)} inputs, and only models with one can be compared."
            )
        ((name, shape),) = runtime.inputs.items()
        if any(isinstance(size, str) for size in shape):
            raise InputError(f"{program.source} takes inputs of any size {shape}, and one size is needed.")
        feature = next(each for each in program.description.input if each.name == name)
        pixels = feature.type.WhichOneof("Type") == "imageType"
        declared = [each.name for each in program.description.output]
        outputs = tuple(each for each in declared if each != program.description.predictedFeatureName)
        values = {var.name: var for var in program.function.outputs}
        return cls(
            runtime=runtime,
            input=name,
            shape=(shape[2], shape[3], shape[1]) if pixels else tuple(shape[1:]),
            batch=int(shape[0]) if shape else 1,
            pixels=pixels,
            logits=logits,
            outputs=outputs,
            vector=[_is_vector(values[name]) for name in outputs] == [True],
            widths=tuple(_width(values[name]) for name in outputs),
            inner=tuple(inner),
        )

    @property
    def classes(self) -> tuple[str | int, ...]:
        """Return the labels of a classifier."""
        return tuple(self.runtime.classes)

    def predict(self, samples: Any, report: Callable[[int], object] = int) -> dict[str, Any]:
        """Return ``OUTPUT`` and, if there are any, ``LOGITS`` of samples (n, *shape), each sample's in one row.

        ``report`` is called with the number of samples done. A last batch that is not full is filled with its last
        sample; what comes of that is cut off.
        """
        import numpy as np

        rows: dict[str, list[Any]] = {}
        for start in range(0, len(samples), self.batch):
            found = self._run(np.asarray(samples[start : start + self.batch]))
            for name, value in found.items():
                rows.setdefault(name, []).append(value)
            report(min(start + self.batch, len(samples)))
        return {name: np.concatenate(values) for name, values in rows.items()}

    def values(self, samples: Any) -> dict[str, Any]:
        """Return the inner values for one batch of samples, by name."""
        import numpy as np

        found = self.runtime.predict({self.input: self._input(np.asarray(samples))})
        return {name: np.asarray(found[name]) for name in self.inner}

    def as_taken(self, samples: Any, scale: float) -> Any:
        """Return samples in the form that the package takes: bytes for an image input, float32 for an array.

        Pictures of bytes and arrays are each other times ``scale``: a model's package for single pictures takes the
        first, its package for a larger batch the second.
        """
        import numpy as np

        if self.pixels == (samples.dtype == np.uint8):
            return samples
        if self.pixels:
            return np.clip(np.round(np.asarray(samples) / scale), 0, 255).astype(np.uint8)
        return np.asarray(samples, np.float32) * np.float32(scale)

    def _run(self, part: Any) -> dict[str, Any]:
        import numpy as np

        found = self.runtime.predict({self.input: self._input(part)})
        values = [_vector(found[name]) for name in self.outputs]
        shown = {OUTPUT: np.concatenate([value.reshape(self.batch, -1) for value in values], axis=1)}
        if self.logits:
            shown[LOGITS] = np.asarray(found[self.logits], np.float32).reshape(self.batch, -1)
        return {name: value[: len(part)] for name, value in shown.items()}

    def _input(self, part: Any) -> Any:
        import numpy as np

        if self.pixels:
            return part[0]
        filled = np.concatenate([part, np.repeat(part[-1:], self.batch - len(part), axis=0)])
        return filled.reshape(self.batch, *self.shape)


def _is_vector(output: Any) -> bool:
    """Return whether an output has more than one value for a sample, along one dimension alone."""
    if output.op is not None and output.op.op_type == "classify":
        return True
    return len([size for size in output.shape[1:] if size != 1]) == 1


def _width(output: Any) -> int:
    """Return how many values an output has for a sample; 0 for one of open size."""
    from coremlbench.mil_onnx.graph import static_shape

    if output.op is not None and output.op.op_type == "classify":
        output = output.op.probabilities
    return math.prod((static_shape(output) or (1, 0))[1:])


def _vector(value: Any) -> Any:
    """Return an output as numbers: a classifier's probabilities come as a dictionary."""
    import numpy as np

    return np.asarray(list(value.values()) if isinstance(value, dict) else value, np.float32)


def logits_of(program: Any) -> str:
    """Return the name of what goes into a last softmax or sigmoid of a program with one output, else nothing.

    A softmax over another axis than the last one that has more than one element is not that of a classifier.
    """
    outputs = list(program.function.outputs)
    classify = [var.op for var in outputs if var.op is not None and var.op.op_type == "classify"]
    if classify:
        var = classify[0].probabilities
    elif len(outputs) == 1:
        var = outputs[0]
    else:
        return ""
    while var.op is not None and var.op.op_type in THROUGH:
        var = var.op.x
    if var.op is None or var.op.op_type not in {"softmax", "sigmoid"}:
        return ""
    if var.op.op_type == "softmax" and math.prod(var.shape[1:]) != var.shape[int(var.op.axis.val)]:
        return ""
    found = var.op.x
    return "" if found.op is None or found.val is not None else str(found.name)
