"""Inputs of flexible shape: the sizes that a package permits, and a program for one of them.

Core ML runs such a package with any permitted size. It is executed and compared here with one size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coremlbench.mil_onnx.graph import dims
from coremlbench.mil_onnx.program import Program
from coremlbench.types.errors import InputError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class FlexibleInput:
    """An input of a program, of flexible shape.

    Shapes are those of the program, batch first, and (batch, channels, height, width) for an image. ``ranges`` has the
    smallest and the largest size of each dimension, ``None`` for no limit. ``shapes`` lists the permitted shapes if the
    package enumerates them, else it is empty. ``default`` is the shape that Core ML takes unless told otherwise.
    """

    name: str
    image: bool
    default: Shape
    ranges: tuple[tuple[int, int | None], ...]
    shapes: tuple[Shape, ...] = ()

    def shape_for(self, sample: Sequence[int]) -> Shape | None:
        """Return the permitted shape, with the smallest batch, for a sample's; ``None`` when it is not permitted.

        A sample has no batch; that of an image is (height, width, channels).
        """
        inner = (sample[2], *sample[:2]) if self.image and len(sample) == 3 else tuple(sample)
        if self.shapes:
            return min((shape for shape in self.shapes if shape[1:] == inner), default=None)
        shape = (self.ranges[0][0], *inner)
        return shape if self.permits(shape) else None

    def permits(self, shape: Sequence[int]) -> bool:
        """Return whether the package permits a shape, the batch included."""
        if self.shapes:
            return tuple(shape) in self.shapes
        return len(shape) == len(self.ranges) and all(
            smallest <= size and (largest is None or size <= largest)
            for size, (smallest, largest) in zip(shape, self.ranges, strict=True)
        )

    @property
    def example(self) -> str:
        """Return the default shape of one sample in the form of --input-shape."""
        return "x".join(map(str, self.of_sample(self.default)))

    @property
    def permitted(self) -> str:
        """Return the permitted shapes of one sample in words."""
        if self.shapes:
            listed = list(dict.fromkeys("x".join(map(str, self.of_sample(shape))) for shape in self.shapes))
            return " or ".join(filter(None, [", ".join(listed[:-1]), listed[-1]]))
        return " x ".join(_range_text(*limits) for limits in self.of_sample(self.ranges))

    @property
    def all_permitted(self) -> str:
        """Return the permitted shapes of the program's tensor, the batch included, in words."""
        if self.shapes:
            listed = [" x ".join(map(str, shape)) for shape in self.shapes]
            return " or ".join(filter(None, [", ".join(listed[:-1]), listed[-1]]))
        return " x ".join(_range_text(*limits) for limits in self.ranges)

    def of_sample(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return the values of a sample's dimensions, in its order, from those of the program's."""
        return (values[2], values[3], values[1]) if self.image else tuple(values[1:])


def _range_text(smallest: int, largest: int | None) -> str:
    if largest is None:
        return f"{smallest} or more"
    return str(smallest) if smallest == largest else f"{smallest} to {largest}"


def flexible_input(program: Program) -> FlexibleInput | None:
    """Return the input of a program with one input of flexible shape, ``None`` for any other program."""
    if len(program.function.inputs) != 1:
        return None
    ((name, var),) = program.function.inputs.items()
    declared = dims(var)
    if None not in declared:
        return None
    feature = next(feature for feature in program.description.input if feature.name == name)
    return _of_feature(name, feature, declared)


def _of_feature(name: str, feature: Any, declared: tuple[int | None, ...]) -> FlexibleInput:
    if feature.type.WhichOneof("Type") == "imageType":
        return _image(name, feature.type.imageType, declared)
    return _array(name, feature.type.multiArrayType, declared)


def _image(name: str, image: Any, declared: tuple[int | None, ...]) -> FlexibleInput:
    channels = declared[1] or 3
    kind = image.WhichOneof("SizeFlexibility")
    height, width = image.imageSizeRange.heightRange, image.imageSizeRange.widthRange
    return FlexibleInput(
        name=name,
        image=True,
        default=(1, channels, int(image.height), int(image.width)),
        ranges=((1, 1), (channels, channels), _limits(height), _limits(width)),
        shapes=tuple((1, channels, int(size.height), int(size.width)) for size in image.enumeratedSizes.sizes)
        if kind == "enumeratedSizes"
        else (),
    )


def _array(name: str, array: Any, declared: tuple[int | None, ...]) -> FlexibleInput:
    default = tuple(map(int, array.shape)) or tuple(size or 1 for size in declared)
    kind = array.WhichOneof("ShapeFlexibility")
    shapes = tuple(tuple(map(int, shape.shape)) for shape in array.enumeratedShapes.shapes)
    ranges = tuple(_limits(limits) for limits in array.shapeRange.sizeRanges)
    return FlexibleInput(
        name=name,
        image=False,
        default=default,
        ranges=ranges or tuple((1, None) if size is None else (size, size) for size in declared),
        shapes=shapes if kind == "enumeratedShapes" else (),
    )


def _limits(limits: Any) -> tuple[int, int | None]:
    """Return the smallest and the largest size of a range; an upper bound below the lower one means no limit."""
    smallest, largest = max(1, int(limits.lowerBound)), int(limits.upperBound)
    return smallest, None if largest < smallest else largest


def permitted_sizes(program: Program) -> dict[str, FlexibleInput]:
    """Return the inputs of a program whose declared sizes are open, by name; states have none."""
    features = {feature.name: feature for feature in program.description.input}
    return {
        name: _of_feature(name, features[name], dims(var))
        for name, var in program.function.inputs.items()
        if name in features and None in dims(var)
    }


def fix_input_shape(program: Program, sample: Sequence[int] | None) -> Program:
    """Return the program with its flexible input fixed for samples of a shape; any other program as it is.

    The program is changed in place: the shapes of its values follow from the new shape of its input, where coremltools
    can tell them. ``sample`` is without a batch, (height, width, channels) for an image; of several permitted batches
    the smallest is taken.

    Raises:
        InputError: the input is flexible, and ``sample`` is not permitted or ``None``.
    """
    from coremltools.converters.mil.mil import types

    flexible = flexible_input(program)
    if flexible is None:
        return program
    if sample is None and None not in dims(program.function.inputs[flexible.name])[1:]:
        sample = flexible.of_sample(flexible.default)  # only the batch is flexible
    shape = flexible.shape_for(sample) if sample is not None else None
    if shape is None:
        problem = f", and {'x'.join(map(str, sample))} is not one of them" if sample is not None else ""
        raise InputError(
            f"{program.source} takes inputs of several sizes ({flexible.permitted}){problem}; fix one with "
            f"--input-shape, such as --input-shape {flexible.example}."
        )
    var = program.function.inputs[flexible.name]
    var._sym_type = types.tensor(var.dtype, shape)  # noqa: SLF001 - coremltools' own passes do the same
    with program.function:  # coremltools takes the version of its ops from the function that is open
        _infer_shapes(program.function.operations)
    return program


def _infer_shapes(operations: Sequence[Any]) -> None:
    """Infer the types of all values again, up to an op with blocks of its own or one whose types cannot be inferred."""
    for op in operations:
        if op.op_type == "const" or op.op_type.startswith("constexpr_"):
            continue
        if op.blocks:
            return
        try:
            op.type_value_inference(overwrite_output=True)
        except Exception:  # noqa: BLE001 - of an op's own; what follows keeps its flexible shapes
            return
