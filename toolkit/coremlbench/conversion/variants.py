"""The variants a model is converted to: literal rows, and what each means for the Neural Engine."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from coremlbench.types.conversion import VariantName
from coremlbench.types.errors import InputError

Precision = Literal["float32", "float16"]

DEFAULT_TARGET = "macOS13"
"""The oldest system whose Core ML has ``CPU_AND_NE`` and reads compressed weights: all variants of weights can then
be made for one and the same target, and differ in their precision alone. From here on coremltools gives a float16
program float16 inputs and outputs where they are arrays, which saves casts at the border of the Neural Engine."""

TARGETS = ("macOS12", "macOS13", "macOS14", "macOS15")

SYSTEMS = {6: "macOS12", 7: "macOS13", 8: "macOS14", 9: "macOS15", 10: "macOS26"}
"""The oldest system that reads a package, by its specification version (``MLModel.specificationVersion``)."""


@dataclass(frozen=True)
class VariantPlan:
    """One row: the precision of the program it starts from, and what is then done to its weights and activations.

    ``bits`` is the size of a palette's indices. ``least_target`` is the oldest system that reads such a package.
    """

    name: VariantName
    precision: Precision
    compression: Literal["", "int8", "palettized", "int8-activations"]
    least_target: str
    note: str
    bits: int = 0


VARIANTS: tuple[VariantPlan, ...] = (
    VariantPlan(
        "fp32",
        "float32",
        "",
        "macOS12",
        "float32 bars the Neural Engine, which computes in float16 only: it runs on the CPU or the GPU.",
    ),
    VariantPlan("fp16", "float16", "", "macOS12", "float16 is what the Neural Engine computes in."),
    VariantPlan(
        "int8",
        "float16",
        "int8",
        "macOS13",
        "Weights of 8 bits are expanded to float16 before or while they are used; the Neural Engine computes in "
        "float16 and reads less memory.",
    ),
    VariantPlan(
        "palettized-6",
        "float16",
        "palettized",
        "macOS13",
        "Weights are one of 64 values each; the Neural Engine looks them up and computes in float16.",
        bits=6,
    ),
    VariantPlan(
        "palettized-4",
        "float16",
        "palettized",
        "macOS13",
        "Weights are one of 16 values each; the Neural Engine looks them up and computes in float16.",
        bits=4,
    ),
    VariantPlan(
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
WIDE_NOTE = (
    "Its weights are compressed, but it computes in float32, which bars the Neural Engine: it runs on the CPU or the "
    "GPU."
)


def find_variants(names: Sequence[str]) -> tuple[VariantPlan, ...]:
    """Return the plans of these names in the table's order; ``all`` stands for all of them.

    Raises:
        InputError: a name is in no row, or there is none; the sentence lists those that are.
    """
    known = [plan.name for plan in VARIANTS]
    if not names:
        raise InputError(f"No variant is named, so nothing would be made; choose from all, {', '.join(known)}.")
    for name in names:
        if name not in {*known, "all"}:
            close = difflib.get_close_matches(name, known, n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise InputError(f"There is no variant {name!r}{meant}; choose from all, {', '.join(known)}.")
    return tuple(plan for plan in VARIANTS if "all" in names or plan.name in names)


def uncompressed(precision: Precision) -> VariantPlan:
    """Return the variant that a program of this precision is before anything is done to its weights."""
    return next(plan for plan in VARIANTS if plan.precision == precision and not plan.compression)


def target_of(plan: VariantPlan, asked: str) -> str:
    """Return the deployment target of a variant: the one asked for, or the oldest that can hold it."""
    return max(asked, plan.least_target, key=TARGETS.index)


def note_of(name: VariantName, computes_in: Precision = "float16") -> str:
    """Return what a variant's precision means for the Neural Engine.

    ``computes_in`` is that of its program: what is compressed from a ready package may compute in float32.
    """
    assert name in get_args(VariantName)
    plan = next((plan for plan in VARIANTS if plan.name == name), None)
    if plan is None:
        return AS_IS_NOTE
    return WIDE_NOTE if plan.compression and computes_in == "float32" else plan.note
