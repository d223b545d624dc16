"""Where a package parts from its original: the first op of one whose value leaves that of the same op in the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from coremlbench.types.conversion import Divergence
from coremlbench.types.process import ReportProgress

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.floating[Any]]

SAMPLES = 4
"""Samples whose inner values are compared; a wrong weight shows in the first."""
AT_ONCE = 48
"""Inner values asked for at once: more would take the memory of all activations of a large network."""
SUFFIXES = ("_cast_fp16", "_cast_fp32", "_cast_to_fp16", "_cast_to_fp32")
"""What coremltools adds to the names of values it casts: one op has the same name in all precisions without it."""
PARTED = 0.1
"""An error of a tenth of a value's spread: ten times what 8 bits leave, and far below what a wrong weight makes."""
NOISE = 1e-3
"""An error that float16 leaves anywhere: where none is larger, no op is what makes a package wrong."""


class Truth(Protocol):
    """What inner values are held against: those of the original itself, or of another program of the same model."""

    def names(self) -> Collection[str]:
        """Return the plain names of the values that are known."""

    def values(self, names: Sequence[str], samples: Any) -> Mapping[str, Array]:
        """Return values by plain name for samples as the original takes them (one batch)."""


@dataclass(frozen=True)
class ProgramTruth:
    """Another program of the same model as ``Truth``; ``scale`` is what the original multiplies pixels with."""

    program: Any
    scale: float = 1.0

    def names(self) -> Collection[str]:
        """Return the plain names of the program's inner values."""
        return values_by_name(self.program).keys()

    def values(self, names: Sequence[str], samples: Any) -> Mapping[str, Array]:
        """Return inner values by plain name, as the reference runtime computes them."""
        from coremlbench.conversion.package_runner import Executed

        own = values_by_name(self.program)
        executed = Executed.of(self.program, inner=[own[name].name for name in names])
        found = executed.values(executed.as_taken(samples, self.scale))
        return {name: found[own[name].name] for name in names}


def find_divergence(
    program: Any, truth: Truth, samples: Any, layers: Mapping[str, str], report: ReportProgress, *, scale: float = 1.0
) -> Divergence | None:
    """Return the first op in the program's order whose value is not that of the same op of ``truth``.

    Both must come from the same model, so that their ops have the same names. ``samples`` (n, *shape) are as the
    original takes them, ``scale`` is what it multiplies pixels with. When no error reaches PARTED, it is the op that
    adds most to the error of what it reads. ``None`` when the two have no op in common, or do not part at any.
    """
    ours, known = values_by_name(program), truth.names()
    common = [name for name in ours if name in known]
    errors: dict[str, float] = {}
    for start in range(0, len(common), AT_ONCE):
        part = {name: ours[name] for name in common[start : start + AT_ONCE]}
        errors.update(_errors(program, truth, part, samples[:SAMPLES], scale))
        report("bisect", min(start + AT_ONCE, len(common)), len(common))
        parted = [name for name in part if errors.get(name, 0.0) >= PARTED]
        if parted:
            return _divergence(ours[parted[0]], errors[parted[0]], layers)
    if max(errors.values(), default=0.0) <= NOISE:
        return None
    return _steepest(ours, errors, layers)


def values_by_name(program: Any) -> dict[str, Any]:
    """Return the values of a program that depend on its input and are floats, by their plain names, in order."""
    from coremlbench.conversion.compression import float_values

    return {plain_name(var.name): var for var in float_values(program)}


def plain_name(name: str) -> str:
    """Return the name of a value without what coremltools adds for a cast."""
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _errors(program: Any, truth: Truth, ours: Mapping[str, Any], samples: Any, scale: float) -> dict[str, float]:
    """Return the largest error of each value as a share of the true value's spread."""
    import numpy as np

    from coremlbench.conversion.package_runner import Executed

    found: dict[str, float] = {}
    executed = Executed.of(program, inner=[var.name for var in ours.values()])
    taken = executed.as_taken(samples, scale)
    for index in range(len(samples)):
        actual = executed.values(taken[index : index + 1])
        expected = truth.values(list(ours), samples[index : index + 1])
        for name, var in ours.items():
            true = np.asarray(expected[name], np.float64)[:1]
            difference = _difference(np.asarray(actual[var.name], np.float64)[:1], true)
            if difference is None:
                continue
            spread = float(np.ptp(true))
            share = difference / spread if spread else difference
            found[name] = max(found.get(name, 0.0), share if np.isfinite(share) else np.inf)
    return found


def _difference(mine: Array, true: Array) -> float | None:
    """Return the largest difference of two values of one op; ``None`` when they have different shapes.

    Core ML has the channels of a picture second and TensorFlow last: the layout in which they are nearer is theirs.
    """
    import numpy as np

    layouts = [true, *([np.moveaxis(true, -1, 1)] if true.ndim > 2 else [])]
    found = [float(np.abs(mine - each).max(initial=0.0)) for each in layouts if each.shape == mine.shape]
    return min(found, key=lambda each: (np.isnan(each), each)) if found else None


def _steepest(ours: Mapping[str, Any], errors: Mapping[str, float], layers: Mapping[str, str]) -> Divergence:
    """Return the op whose error is the largest multiple of the errors of what it reads."""
    floor = 1e-7

    def growth(name: str) -> float:
        read = [plain_name(var.name) for value in ours[name].op.inputs.values() for var in _as_list(value)]
        return errors[name] / max([floor, *(errors[each] for each in read if each in errors)])

    name = max(errors, key=growth)
    return _divergence(ours[name], errors[name], layers)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _divergence(var: Any, error: float, layers: Mapping[str, str]) -> Divergence:
    return Divergence(op=var.name, kind=var.op.op_type, error=error, layer=layer_of(var.name, layers))


def layer_of(op: str, layers: Mapping[str, str]) -> str:
    """Return the layer whose scope an op's name begins with, the longest that does; empty when none does."""
    found = [scope for scope in layers if op == scope or op.startswith((f"{scope}_", f"{scope}x_"))]
    return layers[max(found, key=len)] if found else ""
