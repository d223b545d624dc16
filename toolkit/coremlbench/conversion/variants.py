"""The variants that a model can be converted to, with their deployment targets and notes on the Neural Engine."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from coremlbench.types.conversion import VariantName
from coremlbench.types.errors import InputError

Precision = Literal["float32", "float16"]

DEFAULT_TARGET = "macOS13"
"""The oldest system with the compute unit ``CPU_AND_NE`` and with compressed weights, so that the variants with
compressed weights have the same target and differ in their precision only. From this target on, array inputs and
outputs of a float16 program are float16 too, which saves casts."""

TARGETS = ("macOS12", "macOS13", "macOS14", "macOS15")

OLDEST_SYSTEMS = {6: "macOS12", 7: "macOS13", 8: "macOS14", 9: "macOS15", 10: "macOS26"}
"""The oldest system that can load a package, by its specification version (``MLModel.specificationVersion``)."""


@dataclass(frozen=True)
class VariantDefinition:
    """A variant: the precision of the uncompressed program, and how its weights and activations are compressed.

    ``bits`` is the size of a palette index. ``min_target`` is the oldest system that can load such a package.
    """

    name: VariantName
    precision: Precision
    compression: Literal["", "int8", "palettized", "int8-activations"]
    min_target: str
    note: str
    bits: int = 0


VARIANTS: tuple[VariantDefinition, ...] = (
    VariantDefinition(
        "fp32",
        "float32",
        "",
        "macOS12",
        "float32 bars the Neural Engine, which computes in float16 only: it runs on the CPU or the GPU.",
    ),
    VariantDefinition("fp16", "float16", "", "macOS12", "float16 is what the Neural Engine computes in."),
    VariantDefinition(
        "int8",
        "float16",
        "int8",
        "macOS13",
        "Weights of 8 bits are expanded to float16 before or while they are used; the Neural Engine computes in "
        "float16 and reads less memory.",
    ),
    VariantDefinition(
        "palettized-6",
        "float16",
        "palettized",
        "macOS13",
        "Weights are one of 64 values each; the Neural Engine looks them up and computes in float16.",
        bits=6,
    ),
    VariantDefinition(
        "palettized-4",
        "float16",
        "palettized",
        "macOS13",
        "Weights are one of 16 values each; the Neural Engine looks them up and computes in float16.",
        bits=4,
    ),
    VariantDefinition(
        "int8-activations",
        "float16",
        "int8-activations",
        "macOS14",
        "Weights and activations of 8 bits: the Neural Engines of A17 Pro, M4 and later compute in int8, older ones "
        "in float16.",
    ),
)
"""Sources of the notes: coremltools' guide, "Typed Execution" and "Optimization Overview"."""

AS_IS_NOTE = "The package as it was given; nothing was done to it."
COMPRESSED_FLOAT32_NOTE = (
    "Its weights are compressed, but it computes in float32, which bars the Neural Engine: it runs on the CPU or the "
    "GPU."
)


def find_variants(names: Sequence[str]) -> tuple[VariantDefinition, ...]:
    """Return the variants with these names in the table's order; ``all`` stands for all of them.

    Raises:
        InputError: a name is unknown, or there is none; the message lists the known names.
    """
    known = [variant.name for variant in VARIANTS]
    if not names:
        raise InputError(f"No variant is named, so nothing would be made; choose from all, {', '.join(known)}.")
    for name in names:
        if name not in {*known, "all"}:
            similar = difflib.get_close_matches(name, known, n=1)
            suggestion = f" (did you mean {similar[0]}?)" if similar else ""
            raise InputError(f"There is no variant {name!r}{suggestion}; choose from all, {', '.join(known)}.")
    return tuple(variant for variant in VARIANTS if "all" in names or variant.name in names)


def uncompressed_variant(precision: Precision) -> VariantDefinition:
    """Return the variant of this precision without compression."""
    return next(variant for variant in VARIANTS if variant.precision == precision and not variant.compression)


def deployment_target(variant: VariantDefinition, requested: str) -> str:
    """Return the deployment target of a variant: the requested one, or the oldest that supports it if that is newer."""
    return max(requested, variant.min_target, key=TARGETS.index)


def neural_engine_note(name: VariantName, computes_in: Precision = "float16") -> str:
    """Return a note on what a variant's precision means for the Neural Engine.

    ``computes_in`` is the precision of its program: one compressed from a ready package may compute in float32.
    """
    assert name in get_args(VariantName)
    variant = next((variant for variant in VARIANTS if variant.name == name), None)
    if variant is None:
        return AS_IS_NOTE
    return COMPRESSED_FLOAT32_NOTE if variant.compression and computes_in == "float32" else variant.note
