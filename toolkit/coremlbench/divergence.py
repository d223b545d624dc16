"""Where two programs part: the first op of one whose value leaves that of the same op in the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from coremlbench.coreml_types import Divergence
from coremlbench.types import ReportProgress

SAMPLES = 4
"""Samples whose inner values are compared; a wrong weight shows in the first."""
AT_ONCE = 48
"""Inner values asked for at once: more would take the memory of all activations of a large network."""
SUFFIXES = ("_cast_fp16", "_cast_fp32", "_cast_to_fp16", "_cast_to_fp32")
"""What coremltools adds to the names of values it casts: one op has the same name in all precisions without it."""
PARTED = 0.1
"""An error of a tenth of a value's spread: ten times what 8 bits leave, and far below what a wrong weight makes."""


def find_divergence(
    program: Any,
    truth: Any,
    samples_for: Callable[[Any], Any],
    layers: Mapping[str, str],
    report: ReportProgress,
) -> Divergence | None:
    """Return the first op in the program's order whose value is not that of the same op of ``truth``.

    Both must come from the same model, so that their ops have the same names; ``samples_for`` returns the samples in
    the form that an ``Executed`` takes. When no error reaches PARTED, it is the op that adds most to the error of
    what it reads. ``None`` when the two have no op in common.
    """
    ours, theirs = _values(program), _values(truth)
    common = [name for name in ours if name in theirs]
    errors: dict[str, float] = {}
    for start in range(0, len(common), AT_ONCE):
        part = common[start : start + AT_ONCE]
        errors.update(_errors(program, truth, {name: (ours[name], theirs[name]) for name in part}, samples_for))
        report("bisect", min(start + AT_ONCE, len(common)), len(common))
        parted = [name for name in part if errors.get(name, 0.0) >= PARTED]
        if parted:
            return _divergence(ours[parted[0]], errors[parted[0]], layers)
    if not errors:
        return None
    return _steepest(ours, errors, layers)


def _values(program: Any) -> dict[str, Any]:
    """Return the values of a program that depend on its input and are floats, by their plain names, in order."""
    from coremlbench.compression import float_values

    return {_plain(var.name): var for var in float_values(program)}


def _plain(name: str) -> str:
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _errors(
    program: Any, truth: Any, pairs: Mapping[str, tuple[Any, Any]], samples_for: Callable[[Any], Any]
) -> dict[str, float]:
    """Return the largest error of each value as a share of the true value's spread."""
    import numpy as np

    from coremlbench.executed import Executed

    found: dict[str, float] = {}
    one = Executed.of(program, inner=[ours.name for ours, _ in pairs.values()])
    other = Executed.of(truth, inner=[theirs.name for _, theirs in pairs.values()])
    for index in range(SAMPLES):
        actual = one.values(samples_for(one)[index : index + 1])
        expected = other.values(samples_for(other)[index : index + 1])
        for name, (ours, theirs) in pairs.items():
            mine = np.asarray(actual[ours.name], np.float64)
            true = np.asarray(expected[theirs.name], np.float64)
            if mine.shape[1:] != true.shape[1:]:
                continue
            spread = float(np.ptp(true))
            error = float(np.abs(mine[:1] - true[:1]).max(initial=0.0))
            share = error / spread if spread else error
            found[name] = max(found.get(name, 0.0), share if np.isfinite(share) else np.inf)
    return found


def _steepest(ours: Mapping[str, Any], errors: Mapping[str, float], layers: Mapping[str, str]) -> Divergence:
    """Return the op whose error is the largest multiple of the errors of what it reads."""
    floor = 1e-7

    def growth(name: str) -> float:
        read = [_plain(var.name) for value in ours[name].op.inputs.values() for var in _as_list(value)]
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
