"""Compressed variants of a saved ML Program, made by coremltools' own optimisers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from coremlbench.conversion.variants import VariantPlan
from coremlbench.types.errors import CoremlbenchError
from coremlbench.types.process import ReportProgress

RANGES_NOTE = (
    "The ranges of the activations were taken with the reference runtime, from {count} {what}, where coremltools would "
    "predict with Core ML; its own passes then put in the quantisations."
)


class ConversionError(CoremlbenchError):
    """A variant that cannot be made of a model."""


def compress(plan: VariantPlan, base: Path, samples: Any, scale: float, report: ReportProgress) -> Any:
    """Return a coremltools ``MLModel`` of the package ``base``, compressed as the variant's row says.

    ``samples`` are what ranges of activations are taken from, ``scale`` is what pixels are multiplied with.
    """
    import coremltools as ct
    import coremltools.optimize.coreml as cto

    model = ct.models.MLModel(str(base), skip_model_load=True)
    if plan.compression == "int8":
        return cto.linear_quantize_weights(model, _linear(cto))
    if plan.compression == "palettized":
        config = cto.OptimizationConfig(global_config=cto.OpPalettizerConfig(mode="kmeans", nbits=plan.bits))
        return cto.palettize_weights(model, config)
    if plan.compression == "int8-activations":
        return cto.linear_quantize_weights(_quantize_activations(model, base, samples, scale, report), _linear(cto))
    raise ConversionError(f"There is no compression {plan.compression!r}.")


def _linear(cto: Any, except_for: Sequence[str] = ()) -> Any:
    kept = dict.fromkeys(except_for)
    config = cto.OpLinearQuantizerConfig(mode="linear_symmetric")
    return cto.OptimizationConfig(global_config=config, op_name_configs=kept or None)


def _kept_wide(base: Path) -> list[str]:
    """Return the ops of a float16 program that compute in float32 on purpose; coremltools cannot quantise between.

    Raises:
        ConversionError: it computes in nothing else, which only a ready package can.
    """
    from coremlbench.mil_onnx import load_program
    from coremlbench.mil_onnx.graph import dtype_name

    values = float_values(load_program(base))
    wide = [var.op.name for var in values if dtype_name(var) == "fp32"]
    if len(wide) == len(values):
        raise ConversionError(
            "activations of 8 bits are put into programs that compute in float16, and this one computes in float32; "
            "convert the model that it was made from."
        )
    return wide


def _quantize_activations(model: Any, base: Path, samples: Any, scale: float, report: ReportProgress) -> Any:
    """Return the model with its activations quantised as ``linear_quantize_activations`` does it.

    That function predicts with Core ML to learn the range of every value, keeps them in a dictionary, and applies
    three graph passes; here the reference runtime gives the ranges, and the same passes follow. (Its own gathering
    keeps the last sample's range only: it overwrites before it compares. Here the range is that of all samples.)
    """
    import coremltools as ct
    import coremltools.optimize.coreml as cto
    from coremltools.converters.mil.mil.passes.graph_pass import PassOption
    from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY
    from coremltools.models import utils

    config = _linear(cto, except_for=_kept_wide(base))
    ranges = activation_ranges(base, samples, scale, report)
    passes = []
    for name in ("insert_prefix_quantize_dequantize_pair", "insert_suffix_quantize_dequantize_pair"):
        each = PASS_REGISTRY[f"compression::{name}"]
        each.set_options([PassOption("config", config)])
        each.set_options([PassOption("activation_stats", ranges)])
        passes.append(each)
    passes.append(PASS_REGISTRY["common::dequantize_quantize_pair_elimination"])
    return utils._apply_graph_pass(  # noqa: SLF001 - linear_quantize_activations does the same with it
        model,
        passes,
        spec_version=ct._SPECIFICATION_VERSION_IOS_17,  # noqa: SLF001 - as above
        skip_model_load=True,
    )


def activation_ranges(base: Path, samples: Any, scale: float, report: ReportProgress) -> dict[str, dict[str, Any]]:
    """Return the least and the largest of every value of a program over the samples, by the value's name.

    The inputs and outputs of a concatenation share one range, so that it can stay a concatenation of bytes.
    """
    import numpy as np

    from coremlbench.conversion.op_statistics import operations
    from coremlbench.conversion.package_runner import Executed
    from coremlbench.mil_onnx import load_program

    program = load_program(base)
    values = [var.name for var in float_values(program)]
    executed = Executed.of(program, inner=values)
    samples = executed.as_taken(samples, scale)
    lowest, highest = np.float32(np.min(samples)), np.float32(np.max(samples))
    found: dict[str, dict[str, Any]] = {executed.input: {"rmin": lowest, "rmax": highest}}
    for index in range(0, len(samples), executed.batch):
        for name, value in executed.values(samples[index : index + executed.batch]).items():
            low, high = float(value.min()), float(value.max())
            known = found.setdefault(name, {"rmin": np.float32(low), "rmax": np.float32(high)})
            known["rmin"], known["rmax"] = min(known["rmin"], np.float32(low)), max(known["rmax"], np.float32(high))
        report("calibrate", min(index + executed.batch, len(samples)), len(samples))
    joined = [
        [*(var.name for var in op.values), op.outputs[0].name] for op in operations(program) if op.op_type == "concat"
    ]
    for group in _connected(joined):
        there = [found[name] for name in group if name in found]
        if there:
            low, high = min(each["rmin"] for each in there), max(each["rmax"] for each in there)
            for each in there:
                each["rmin"], each["rmax"] = low, high
    return found


def float_values(program: Any) -> list[Any]:
    """Return the values of a program that are floats and depend on its input, in order; lists are none."""
    from coremlbench.mil_onnx.graph import dtype_name, is_list

    found = []
    for op in program.function.operations:
        if op.op_type not in {"const", "classify"} and not op.op_type.startswith("constexpr_"):
            values = [var for var in op.outputs if var.val is None and not is_list(var)]
            found += [var for var in values if dtype_name(var) in {"fp16", "fp32"}]
    return found


def _connected(groups: Iterable[Iterable[str]]) -> list[set[str]]:
    """Return the groups joined where they share a member."""
    joined: list[set[str]] = []
    for group in map(set, groups):
        apart = [each for each in joined if not each & group]
        joined = [*apart, set().union(group, *(each for each in joined if each & group))]
    return joined
