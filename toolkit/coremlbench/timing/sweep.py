"""Sweeps over input shapes: each model once for each shape, with the shape in its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from coremlbench.system.advised_commands import advised_command
from coremlbench.types.conversion import ModelSource, UnopenedModel
from coremlbench.types.errors import InputError

_SHAPE = re.compile(r"(.+)-(\d+(?:x\d+)*)")


def shape_text(shape: Sequence[int]) -> str:
    """Return 224x224x3."""
    return "x".join(map(str, shape))


def check_shapes(models: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> None:
    """Check that there are models whose shape can be chosen.

    Raises:
        InputError: several shapes are given and no model, so that the experiments would be taken, whose shape is fixed.
    """
    if len(shapes) > 1 and not models:
        command = advised_command(
            "convert-and-time", "model.keras", "--input-shape", ",".join(shape_text(shape) for shape in shapes)
        )
        raise InputError(f"The experiments have inputs of one shape; name a model that takes several: `{command}`.")


def name_by_shape(
    sources: Sequence[ModelSource | UnopenedModel], shape: Sequence[int] | None
) -> tuple[ModelSource | UnopenedModel, ...]:
    """Return the sources with the shape in their names, as "net-224x224x3"; unchanged for ``None``."""
    if shape is None:
        return tuple(sources)
    return tuple(replace(source, name=f"{source.name}-{shape_text(shape)}") for source in sources)


def split_shape(name: str) -> tuple[str, str]:
    """Return the name of a model and the shape in it: ("net", "224x224x3") for "net-224x224x3", else with ""."""
    match = _SHAPE.fullmatch(name)
    return (match[1], match[2]) if match and "x" in match[2] else (name, "")
