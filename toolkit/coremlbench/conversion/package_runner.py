"""Run a saved package on the reference runtime: predictions for any number of samples, and intermediate values."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coremlbench.conversion.package_signature import PackageInput, input_rows, output_shape, read_inputs
from coremlbench.types.conversion import LOGITS, OUTPUT
from coremlbench.types.errors import InputError

RUNTIME_LABEL = "reference (ML Program on ONNX Runtime)"

VALUE_PRESERVING_OPS = ("cast", "identity", "reshape", "expand_dims", "squeeze")
"""Ops between a softmax and an output that keep the values and their order."""


@dataclass
class PackageRunner:
    """A package, ready to predict batches of ``batch`` samples.

    ``shape`` is that of one sample; for a picture (height, width, channels), as the originals have it. ``pixels``
    tells that the input is an 8-bit image. ``logits`` names the input of a final softmax or sigmoid, empty when there
    is none. ``vector`` tells that there is one output with one list of values for each sample, so that the largest can
    be its class; a map of classes for each pixel is not. ``widths`` are the numbers of values of each output for a
    sample. ``intermediates`` names the values that ``intermediate_values`` returns.

    A package with several inputs has the ``shape`` (): its samples are structured, with one field for each input.
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
    discrete: tuple[int, ...] = ()
    batchless: tuple[int, ...] = ()
    intermediates: tuple[str, ...] = ()
    inputs: tuple[PackageInput, ...] = ()

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
        several: bool = False,
        batchless: Collection[int] = (),
    ) -> PackageRunner:
        """Return a runner for a loaded program, whose flexible input is fixed; raises the same errors as ``load``.

        With ``several`` it may have several inputs. ``batchless`` are the indices of outputs without a batch dimension.
        The program tells it only of constants, and of outputs with a size that is no multiple of the batch.
        """
        from coremlbench.mil_onnx.flexible_shapes import fix_input_shape
        from coremlbench.runtimes.reference import ReferenceRuntime

        program = fix_input_shape(program, input_shape)
        logits = logits_name(program)
        extra_outputs = [*dict.fromkeys([*([logits] if logits else []), *intermediates])]
        runtime = ReferenceRuntime(program, threads=threads, also=extra_outputs)
        inputs = _inputs(program, several=several)
        first = inputs[0]
        declared = [feature.name for feature in program.description.output]
        outputs = tuple(output for output in declared if output != program.description.predictedFeatureName)
        by_name = {var.name: var for var in program.function.outputs}
        values = [by_name[output] for output in outputs]
        batch = first.batch if len({item.batch for item in inputs}) == 1 else 1
        batchless = {*batchless, *(index for index, var in enumerate(values) if _is_batchless(var, batch))}
        return cls(
            runtime=runtime,
            input_name=first.name,
            shape=first.sample_shape(whole=False) if len(inputs) == 1 else (),
            batch=batch,
            pixels=first.pixels and len(inputs) == 1,
            logits=logits,
            outputs=outputs,
            vector=not batchless and [_is_vector(var) and not _is_discrete(var) for var in values] == [True],
            widths=tuple(_size(var) // (1 if index in batchless else batch) for index, var in enumerate(values)),
            discrete=tuple(index for index, var in enumerate(values) if _is_discrete(var)),
            batchless=tuple(sorted(batchless)),
            intermediates=tuple(intermediates),
            inputs=inputs,
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

    def for_samples(self, samples: Any) -> PackageRunner:
        """Return the runner for samples whose first dimension may be no batch: one call for each of them.

        That is so when a sample has the shape of an input with its first dimension.
        """
        whole = any(
            not item.pixels and item.batch > 1 and input_rows(samples, item.name).shape[1:] == item.shape
            for item in self.inputs
        )
        if not whole:
            return self
        outputs = {var.name: var for var in self.runtime.program.function.outputs}
        return replace(
            self,
            shape=self.inputs[0].shape if len(self.inputs) == 1 else (),
            batch=1,
            vector=False,
            widths=tuple(math.prod(output_shape(outputs[output]) or (0,)) for output in self.outputs),
        )

    def intermediate_values(self, samples: Any) -> dict[str, Any]:
        """Return the intermediate values by name for one batch of samples."""
        import numpy as np

        values = self.runtime.predict(self._runtime_inputs(np.asarray(samples)))
        return {name: np.asarray(values[name]) for name in self.intermediates}

    def to_package_input(self, samples: Any, scale: float) -> Any:
        """Return samples as the package takes them: uint8 for an image input, float32 for an array input.

        Array values are pixel values times ``scale``. A model's package for single images takes uint8, its package
        for a larger batch float32.
        """
        import numpy as np

        if samples.dtype.names or self.pixels == (samples.dtype == np.uint8):
            return samples
        if self.pixels:
            return np.clip(np.round(np.asarray(samples) / scale), 0, 255).astype(np.uint8)
        return np.asarray(samples, np.float32) * np.float32(scale)

    def _predict_batch(self, samples: Any) -> dict[str, Any]:
        import numpy as np

        results = self.runtime.predict(self._runtime_inputs(samples))
        outputs = [self._rows(index, _output_values(results[name])) for index, name in enumerate(self.outputs)]
        predictions = {OUTPUT: np.concatenate(outputs, axis=1)}
        if self.logits:
            predictions[LOGITS] = np.asarray(results[self.logits], np.float32).reshape(self.batch, -1)
        return {name: values[: len(samples)] for name, values in predictions.items()}

    def _rows(self, index: int, values: Any) -> Any:
        """Return the values of an output as (batch, values)."""
        import numpy as np

        if index in self.batchless:
            return np.repeat(values.reshape(1, -1), self.batch, axis=0)
        return values.reshape(self.batch, -1)

    def _runtime_inputs(self, samples: Any) -> dict[str, Any]:
        """Return a single image, or samples padded to a whole batch, for each input."""
        import numpy as np

        values = {}
        for item in self.inputs:
            rows = input_rows(samples, item.name)
            if not item.pixels:
                rows = np.concatenate([rows, np.repeat(rows[-1:], self.batch - len(rows), axis=0)]).reshape(item.shape)
            values[item.name] = rows[0] if item.pixels else rows
        return values


def _inputs(program: Any, *, several: bool) -> tuple[PackageInput, ...]:
    """Return a program's inputs; raise ``InputError`` for more than one unless ``several`` are possible."""
    inputs = read_inputs(program)
    if len(inputs) != 1 and not several:
        raise InputError(f"{program.source} takes {len(inputs)} inputs, and only models with one can be compared.")
    return inputs


def _is_vector(output: Any) -> bool:
    """Return whether an output has several values for each sample, all along one dimension."""
    if output.op is not None and output.op.op_type == "classify":
        return True
    return len([size for size in output.shape[1:] if size != 1]) == 1


def _size(output: Any) -> int:
    """Return the number of values of an output; 0 for a flexible shape."""
    shape = output_shape(output)
    return 0 if shape is None else math.prod(shape)


def _is_batchless(output: Any, batch: int) -> bool:
    """Return whether an output is a constant, or has a size that is no multiple of the batch."""
    is_label = output.op is not None and output.op.op_type == "classify"
    return not is_label and (output.val is not None or _size(output) % batch != 0)


def _is_discrete(output: Any) -> bool:
    """Return whether an output holds whole numbers or truth values, also where they were cast to floating point."""
    from coremltools.converters.mil.mil import types

    while not types.is_dict(output.sym_type) and types.is_float(output.dtype):
        if output.op is None or output.op.op_type not in VALUE_PRESERVING_OPS:
            return False
        output = output.op.x
    return not types.is_dict(output.sym_type)


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
