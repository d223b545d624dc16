"""Compress saved ML Programs with the optimisers of coremltools."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from coremlbench.conversion.variants import VariantDefinition
from coremlbench.types.errors import CoremlbenchError
from coremlbench.types.process import ReportProgress

CALIBRATION_NOTE = (
    "The ranges of the activations were taken with the reference runtime, from {count} {what}, where coremltools would "
    "predict with Core ML; its own passes then insert the quantisations."
)

Ranges = dict[str, dict[str, Any]]
"""``rmin`` and ``rmax`` by value name, both ``numpy.float32``: the format of coremltools' activation statistics."""


class ConversionError(CoremlbenchError):
    """A variant that cannot be made from a model."""


def compress(variant: VariantDefinition, base: Path, samples: Any, scale: float, report: ReportProgress) -> Any:
    """Return the package ``base``, compressed as the variant says, as a coremltools ``MLModel``.

    The ranges of activations are measured on ``samples``; ``scale`` is the factor for pixel values.

    Raises:
        ConversionError: the package's activations cannot be quantised.
    """
    import coremltools as ct
    import coremltools.optimize.coreml as cto

    model = ct.models.MLModel(str(base), skip_model_load=True)
    if variant.compression == "int8":
        return cto.linear_quantize_weights(model, _int8_config(cto))
    if variant.compression == "palettized":
        config = cto.OptimizationConfig(global_config=cto.OpPalettizerConfig(mode="kmeans", nbits=variant.bits))
        return cto.palettize_weights(model, config)
    if variant.compression == "int8-activations":
        quantized = _quantize_activations(model, base, samples, scale, report)
        return cto.linear_quantize_weights(quantized, _int8_config(cto))
    raise ConversionError(f"There is no compression {variant.compression!r}.")


def _int8_config(cto: Any, excluded_ops: Sequence[str] = ()) -> Any:
    config = cto.OpLinearQuantizerConfig(mode="linear_symmetric")
    return cto.OptimizationConfig(global_config=config, op_name_configs=dict.fromkeys(excluded_ops) or None)


def _unquantized_ops(base: Path) -> list[str]:
    """Return the names of the ops of a float16 program that coremltools cannot quantise: those in float32 or integers.

    Raises:
        ConversionError: all ops compute in float32, as in some ready packages, or there is a loop or a condition.
    """
    from coremlbench.conversion.op_statistics import operations
    from coremlbench.mil_onnx import load_program
    from coremlbench.mil_onnx.graph import dtype_name

    program = load_program(base)
    nested = next((op for op in program.function.operations if op.blocks), None)
    if nested is not None:
        what = "loop" if nested.op_type == "while_loop" else "condition"
        raise ConversionError(
            f"8-bit activations need a program without loops and conditions, which coremltools cannot quantise: "
            f"'{nested.outputs[0].name}' is the result of a {what}."
        )
    values = float_values(program)
    float32 = [var.op.name for var in values if dtype_name(var) == "fp32"]
    if len(float32) == len(values):
        raise ConversionError(
            "8-bit activations need a program that computes in float16, and this one computes in float32; "
            "convert the model that it was made from."
        )
    quantizable = {var.op.name for var in values} - set(float32)
    computed = [op.name for op in operations(program) if op.op_type != "const" and op.name not in quantizable]
    return [*float32, *computed]


def _quantize_activations(model: Any, base: Path, samples: Any, scale: float, report: ReportProgress) -> Any:
    """Return the model with quantised activations, as coremltools' ``linear_quantize_activations`` makes it.

    That function measures the range of every value with Core ML and then applies three graph passes. Here the
    reference runtime measures the ranges, over all samples, and the same passes follow. (coremltools 9.0 uses the
    range of the last sample only: it overwrites before it compares.)
    """
    import coremltools as ct
    import coremltools.optimize.coreml as cto
    from coremltools.converters.mil.mil.passes.graph_pass import PassOption
    from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY
    from coremltools.models import utils

    config = _int8_config(cto, excluded_ops=_unquantized_ops(base))
    ranges = activation_ranges(base, samples, scale, report)
    passes = []
    for name in ("insert_prefix_quantize_dequantize_pair", "insert_suffix_quantize_dequantize_pair"):
        graph_pass = PASS_REGISTRY[f"compression::{name}"]
        graph_pass.set_options([PassOption("config", config)])
        graph_pass.set_options([PassOption("activation_stats", ranges)])
        passes.append(graph_pass)
    passes.append(PASS_REGISTRY["common::dequantize_quantize_pair_elimination"])
    return utils._apply_graph_pass(  # noqa: SLF001 - linear_quantize_activations does the same with it
        model,
        passes,
        spec_version=ct._SPECIFICATION_VERSION_IOS_17,  # noqa: SLF001 - as above
        skip_model_load=True,
    )


def activation_ranges(base: Path, samples: Any, scale: float, report: ReportProgress) -> Ranges:
    """Return the minimum and maximum of the input and of every float value over all samples.

    The inputs and the output of a concatenation share one range, so that it can be computed in 8 bits.
    """
    import numpy as np

    from coremlbench.conversion.op_statistics import operations
    from coremlbench.conversion.package_runner import PackageRunner
    from coremlbench.mil_onnx import load_program
    from coremlbench.mil_onnx.flexible_shapes import fix_input_shape

    program = load_program(base)
    fix_input_shape(program, samples.shape[1:])
    runner = PackageRunner.from_program(program, intermediates=[var.name for var in float_values(program)])
    samples = runner.to_package_input(samples, scale)
    ranges: Ranges = {runner.input_name: {"rmin": np.float32(np.min(samples)), "rmax": np.float32(np.max(samples))}}
    for start in range(0, len(samples), runner.batch):
        for name, value in runner.intermediate_values(samples[start : start + runner.batch]).items():
            low, high = np.float32(value.min()), np.float32(value.max())
            known = ranges.setdefault(name, {"rmin": low, "rmax": high})
            known["rmin"], known["rmax"] = min(known["rmin"], low), max(known["rmax"], high)
        report("calibrate", min(start + runner.batch, len(samples)), len(samples))
    concatenations = [op for op in operations(program) if op.op_type == "concat"]
    _share_ranges(ranges, [[*(var.name for var in op.values), op.outputs[0].name] for op in concatenations])
    return ranges


def _share_ranges(ranges: Ranges, groups: Iterable[Iterable[str]]) -> None:
    """Give all values of a group the same range; groups with a common value count as one."""
    for group in _merge_overlapping(groups):
        known = [ranges[name] for name in group if name in ranges]
        if known:
            low, high = min(value["rmin"] for value in known), max(value["rmax"] for value in known)
            for value in known:
                value["rmin"], value["rmax"] = low, high


def float_values(program: Any) -> list[Any]:
    """Return the float values of a program that depend on its input, in order; lists are left out."""
    from coremlbench.mil_onnx.graph import dtype_name, is_list

    values = []
    for op in program.function.operations:
        if op.op_type not in {"const", "classify"} and not op.op_type.startswith("constexpr_"):
            computed = [var for var in op.outputs if var.val is None and not is_list(var)]
            values += [var for var in computed if dtype_name(var) in {"fp16", "fp32"}]
    return values


def _merge_overlapping(groups: Iterable[Iterable[str]]) -> list[set[str]]:
    """Return the groups as sets; those with a common member are merged."""
    merged: list[set[str]] = []
    for group in map(set, groups):
        overlapping = [other for other in merged if other & group]
        merged = [*(other for other in merged if not other & group), set().union(group, *overlapping)]
    return merged
