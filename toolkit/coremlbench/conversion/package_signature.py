"""The inputs and outputs of a package, read from its program without executing it, and samples for these inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coremlbench.types.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PackageInput:
    """One input of a package.

    ``shape`` is that of one call, batch first; for an image (1, channels, height, width). ``dtype`` is the type of a
    stored sample: uint8 for an image, int32 for integers, else float32. ``colour`` is the channel order of an image
    (RGB, BGR or GRAYSCALE), empty for an array.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    colour: str = ""

    @property
    def pixels(self) -> bool:
        """Return whether the input is an 8-bit image."""
        return bool(self.colour)

    @property
    def batch(self) -> int:
        """Return the size of the first dimension; 1 where there is none."""
        return self.shape[0] if self.shape else 1

    def sample_shape(self, *, whole: bool) -> tuple[int, ...]:
        """Return the shape of one sample: one row of the batch, or the ``whole`` input of a call.

        That of an image is (height, width, channels).
        """
        if self.pixels:
            return (self.shape[2], self.shape[3], self.shape[1])
        return self.shape if whole else self.shape[1:]


@dataclass(frozen=True)
class PackageOutput:
    """One output of a package; ``shape`` is that of one call, ``None`` when it is known only at run time."""

    name: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class PackageSignature:
    """The inputs and outputs of a package, without a classifier's label; ``source`` names the file in messages."""

    source: str
    inputs: tuple[PackageInput, ...]
    outputs: tuple[PackageOutput, ...]

    @property
    def batch(self) -> int:
        """Return the common first dimension of all inputs, 1 where they differ."""
        sizes = {item.batch for item in self.inputs}
        return sizes.pop() if len(sizes) == 1 else 1

    @property
    def unbatched(self) -> bool:
        """Return whether the first dimensions are no batch, so that a sample is the whole input of a call.

        That is so when the inputs have different ones, or an output does not have that of the inputs.
        """
        if len({item.batch for item in self.inputs}) > 1:
            return True
        sizes = [(shape or (1,))[0] for shape in (output.shape for output in self.outputs) if shape is not None]
        return self.batch > 1 and any(size != self.batch for size in sizes)


def open_signature(settings: Mapping[str, Any]) -> PackageSignature:
    """Return the signature of the package that an original is compared with, ``settings["package"]``.

    Raises:
        InputError: it cannot be read, is no ML Program, or has an input of flexible shape.
    """
    from coremlbench.mil_onnx import load_program

    return read_signature(load_program(Path(settings["package"])))


def read_signature(program: Any) -> PackageSignature:
    """Return the signature of a loaded program.

    Raises:
        InputError: an input has a flexible shape.
    """
    description = program.description
    values = {var.name: var for var in program.function.outputs}
    names = [feature.name for feature in description.output if feature.name != description.predictedFeatureName]
    return PackageSignature(
        source=program.source,
        inputs=read_inputs(program),
        outputs=tuple(PackageOutput(name, output_shape(values[name])) for name in names),
    )


def read_inputs(program: Any) -> tuple[PackageInput, ...]:
    """Return the inputs of a loaded program, in its order, without its states.

    Raises:
        InputError: an input has a flexible shape.
    """
    from coremlbench.mil_onnx.graph import dims, dtype_name

    features = {feature.name: feature.type for feature in program.description.input}
    inputs = []
    for name, var in program.function.inputs.items():
        if name not in features:
            continue  # a state, which every prediction begins with zeros
        shape = dims(var)
        fixed = tuple(size for size in shape if size is not None)
        if len(fixed) < len(shape):
            raise InputError(f"{program.source} takes inputs of any size {shape}, and one size is needed.")
        if features[name].WhichOneof("Type") == "imageType":
            inputs.append(PackageInput(name, fixed, "uint8", _colour(features[name].imageType)))
        else:
            integers = dtype_name(var).startswith(("int", "uint", "bool"))
            inputs.append(PackageInput(name, fixed, "int32" if integers else "float32"))
    return tuple(inputs)


def _colour(image: Any) -> str:
    from coremltools.proto import FeatureTypes_pb2

    name = str(FeatureTypes_pb2.ImageFeatureType.ColorSpace.Name(image.colorSpace))
    return "GRAYSCALE" if name.startswith("GRAYSCALE") else name


def output_shape(output: Any) -> tuple[int, ...] | None:
    """Return the shape of a program's output, for a classifier's that of the probabilities; ``None`` if flexible."""
    from coremlbench.mil_onnx.graph import static_shape

    if output.op is not None and output.op.op_type == "classify":
        output = output.op.probabilities
    return static_shape(output)


def stack_inputs(arrays: Mapping[str, Array]) -> Array:
    """Return samples of all inputs, each (n, *shape), as one array of n samples.

    For one input that is its array. For several it is a structured array with one field for each input: it can be
    saved, memory-mapped and sliced as a plain one.
    """
    import numpy as np

    if len(arrays) == 1:
        return next(iter(arrays.values()))
    (count,) = {len(array) for array in arrays.values()}
    fields: Any = [(name, array.dtype, array.shape[1:]) for name, array in arrays.items()]
    samples: Array = np.empty(count, fields)
    for name, array in arrays.items():
        samples[name] = array
    return samples


def input_rows(samples: Array, name: str) -> Array:
    """Return the samples of one input, (n, *shape), from what ``stack_inputs`` returned."""
    rows: Array = samples[name] if samples.dtype.names else samples
    return rows


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape for a message, such as 3x8x8."""
    return "x".join(map(str, shape)) or "one number"


def without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without its dimensions of 1."""
    return tuple(size for size in shape if size != 1)


def is_transposed(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Return whether one shape is the other with its channels first instead of last."""
    first, second = without_ones(shape), without_ones(other)
    if len(first) != len(second) or len(first) < 2 or first == second or math.prod(first) != math.prod(second):
        return False
    return (first[-1], *first[:-1]) == second or (*first[1:], first[0]) == second
