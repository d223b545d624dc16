"""Run a saved package on the reference runtime: predictions for any number of samples, and intermediate values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coremlbench.types.conversion import LOGITS, OUTPUT
from coremlbench.types.errors import InputError

RUNTIME_LABEL = "reference (ML Program on ONNX Runtime)"

VALUE_PRESERVING_OPS = ("cast", "identity", "reshape", "expand_dims", "squeeze")
"""Ops between a softmax and an output that keep the values and their order."""


@dataclass
class PackageRunner:
    """A package with one input, ready to predict batches of ``batch`` samples.

    ``shape`` is that of one sample; for a picture (height, width, channels), as the originals have it. ``pixels``
    tells that the input is an 8-bit image. ``logits`` names the input of a final softmax or sigmoid, empty when there
    is none. ``vector`` tells that there is one output with one list of values for each sample, so that the largest can
    be its class; a map of classes for each pixel is not. ``widths`` are the numbers of values of each output for a
    sample. ``intermediates`` names the values that ``intermediate_values`` returns.
    """

    runtime: Any
    input_name: str
    shape: tuple[int, ...]
    batch: int
    pixels: bool
    logits: str
    outputs: tuple[str, ...]
    vector: bool = False
    widths: tuple[int, ...] = ()
    intermediates: tuple[str, ...] = ()

    @classmethod
    def load(cls, package: Path, *, input_shape: Sequence[int] | None = None) -> PackageRunner:
        """Read a package from disk; ``input_shape`` is that of one sample, for a package that takes several.

        Raises:
            InputError: it cannot be read, is no ML Program, does not have exactly one input, or has one of flexible
                shape that ``input_shape`` does not fix.
            UnknownOpError: the reference runtime does not support one of its ops.
        """
        from coremlbench.mil_onnx import load_program

        return cls.from_program(load_program(package), input_shape=input_shape)

    @classmethod
    def from_program(
        cls,
        program: Any,
        *,
        input_shape: Sequence[int] | None = None,
        intermediates: Sequence[str] = (),
        threads: int | None = None,
    ) -> PackageRunner:
        """Return a runner for a loaded program, whose flexible input is fixed; raises the same errors as ``load``."""
        from coremlbench.mil_onnx.flexible_shapes import fix_input_shape
        from coremlbench.runtimes.reference import ReferenceRuntime

        program = fix_input_shape(program, input_shape)
        logits = logits_name(program)
        extra_outputs = [*dict.fromkeys([*([logits] if logits else []), *intermediates])]
        runtime = ReferenceRuntime(program, threads=threads, also=extra_outputs)
        name, shape = _only_input(runtime, program)
        feature = next(feature for feature in program.description.input if feature.name == name)
        pixels = feature.type.WhichOneof("Type") == "imageType"
        declared = [feature.name for feature in program.description.output]
        outputs = tuple(output for output in declared if output != program.description.predictedFeatureName)
        values = {var.name: var for var in program.function.outputs}
        return cls(
            runtime=runtime,
            input_name=name,
            shape=(shape[2], shape[3], shape[1]) if pixels else tuple(shape[1:]),
            batch=int(shape[0]) if shape else 1,
            pixels=pixels,
            logits=logits,
            outputs=outputs,
            vector=[_is_vector(values[output]) for output in outputs] == [True],
            widths=tuple(_width(values[output]) for output in outputs),
            intermediates=tuple(intermediates),
        )

    @property
    def classes(self) -> tuple[str | int, ...]:
        """Return the class labels of a classifier, empty for other models."""
        return tuple(self.runtime.classes)

    def predict(self, samples: Any, report: Callable[[int], object] = int) -> dict[str, Any]:
        """Return ``OUTPUT`` and, if there are any, ``LOGITS`` for samples (n, *shape), each (n, values).

        ``report`` is called with the number of finished samples. An incomplete last batch is padded with its last
        sample, and the padding is removed from the results.
        """
        import numpy as np

        batches: dict[str, list[Any]] = {}
        for start in range(0, len(samples), self.batch):
            predictions = self._predict_batch(np.asarray(samples[start : start + self.batch]))
            for name, values in predictions.items():
                batches.setdefault(name, []).append(values)
            report(min(start + self.batch, len(samples)))
        return {name: np.concatenate(values) for name, values in batches.items()}

    def intermediate_values(self, samples: Any) -> dict[str, Any]:
        """Return the intermediate values by name for one batch of samples."""
        import numpy as np

        values = self.runtime.predict({self.input_name: self._runtime_input(np.asarray(samples))})
        return {name: np.asarray(values[name]) for name in self.intermediates}

    def to_package_input(self, samples: Any, scale: float) -> Any:
        """Return samples as the package takes them: uint8 for an image input, float32 for an array input.

        Array values are pixel values times ``scale``. A model's package for single images takes uint8, its package
        for a larger batch float32.
        """
        import numpy as np

        if self.pixels == (samples.dtype == np.uint8):
            return samples
        if self.pixels:
            return np.clip(np.round(np.asarray(samples) / scale), 0, 255).astype(np.uint8)
        return np.asarray(samples, np.float32) * np.float32(scale)

    def _predict_batch(self, samples: Any) -> dict[str, Any]:
        import numpy as np

        results = self.runtime.predict({self.input_name: self._runtime_input(samples)})
        outputs = [_output_values(results[name]).reshape(self.batch, -1) for name in self.outputs]
        predictions = {OUTPUT: np.concatenate(outputs, axis=1)}
        if self.logits:
            predictions[LOGITS] = np.asarray(results[self.logits], np.float32).reshape(self.batch, -1)
        return {name: values[: len(samples)] for name, values in predictions.items()}

    def _runtime_input(self, samples: Any) -> Any:
        """Return a single image, or samples padded to a whole batch."""
        import numpy as np

        if self.pixels:
            return samples[0]
        padded = np.concatenate([samples, np.repeat(samples[-1:], self.batch - len(samples), axis=0)])
        return padded.reshape(self.batch, *self.shape)


def _only_input(runtime: Any, program: Any) -> tuple[str, tuple[int, ...]]:
    """Return the name and the shape, batch first, of a program's only input; raise ``InputError`` for any other."""
    if len(runtime.inputs) != 1:
        raise InputError(
            f"{program.source} takes {len(runtime.inputs)} inputs, and only models with one can be compared."
        )
    ((name, shape),) = runtime.inputs.items()
    return name, shape


def _is_vector(output: Any) -> bool:
    """Return whether an output has several values for each sample, all along one dimension."""
    if output.op is not None and output.op.op_type == "classify":
        return True
    return len([size for size in output.shape[1:] if size != 1]) == 1


def _width(output: Any) -> int:
    """Return the number of values of an output for a sample; 0 for a flexible shape."""
    from coremlbench.mil_onnx.graph import static_shape

    if output.op is not None and output.op.op_type == "classify":
        output = output.op.probabilities
    return math.prod((static_shape(output) or (1, 0))[1:])


def _output_values(value: Any) -> Any:
    """Return an output as float32; a classifier's probabilities come as a dictionary."""
    import numpy as np

    return np.asarray(list(value.values()) if isinstance(value, dict) else value, np.float32)


def logits_name(program: Any) -> str:
    """Return the name of the input of the final softmax or sigmoid of a program; empty if it does not end in one.

    Only programs with one output, or a classifier's probabilities, are considered. A softmax must be over the only
    dimension, beside the batch, with more than one element.
    """
    outputs = list(program.function.outputs)
    classifiers = [var.op for var in outputs if var.op is not None and var.op.op_type == "classify"]
    if classifiers:
        var = classifiers[0].probabilities
    elif len(outputs) == 1:
        var = outputs[0]
    else:
        return ""
    while var.op is not None and var.op.op_type in VALUE_PRESERVING_OPS:
        var = var.op.x
    if var.op is None or var.op.op_type not in {"softmax", "sigmoid"}:
        return ""
    if var.op.op_type == "softmax" and math.prod(var.shape[1:]) != var.shape[int(var.op.axis.val)]:
        return ""
    logits = var.op.x
    return "" if logits.op is None or logits.val is not None else str(logits.name)
