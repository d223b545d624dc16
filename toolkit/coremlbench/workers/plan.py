"""Worker that reads Core ML's compute plan of a compiled model. Core ML may abort the process while it does so.

It does abort when given an ``.mlpackage`` (coremltools issue 2757), so only compiled models are accepted.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from coremlbench.runtimes.coreml import CoreML, device_name, is_stand_in, macos_version
from coremlbench.supervision.worker_main import Report, run
from coremlbench.timing.compute_plan import MACOS_NEEDED, make_plan
from coremlbench.types.errors import InputError
from coremlbench.types.timing import ComputePlan, PlannedOp

OPSET_PREFIX = re.compile(r"^ios\d+\.")
"""Core ML names an operator with the opset of its definition, such as ``ios17.conv``; constants are ``const``."""


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the ``ComputePlan`` of the request's ``compiled`` model on its ``unit``, and ``stand_in``.

    Raises:
        InputError: the model is not compiled.
    """
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # coremltools would import it needlessly
    compiled, unit = Path(request["compiled"]), request["unit"]
    if compiled.suffix != ".mlmodelc":
        raise InputError(f"A compute plan is read from a compiled model, an .mlmodelc, and not from '{compiled.name}'.")
    report("plan", 0, 1, f"reading the compute plan for {unit}")
    CoreML().start(unit)
    if macos_version() < MACOS_NEEDED:
        version = ".".join(map(str, macos_version()))
        plan = ComputePlan(failure=f"Core ML gives its compute plan on macOS 14.4 and later, and this is {version}.")
    else:
        import coremltools
        from coremltools.models.compute_plan import MLComputePlan

        loaded = MLComputePlan.load_from_path(str(compiled), compute_units=coremltools.ComputeUnit[unit])
        plan = make_plan(list(_planned_ops(loaded, loaded.model_structure)), unit)
        if not plan.ops:
            plan = ComputePlan(failure="Core ML's compute plan names no device for any operation.")
    return {**asdict(plan), "stand_in": is_stand_in()}


def _planned_ops(plan: Any, structure: Any) -> Iterator[PlannedOp]:
    """Yield the planned device and cost of each operation of a program, a neural network or the models of a pipeline.

    Operations without a planned device are left out: constants, and operations that Core ML optimised away.
    """
    if structure.program is not None:
        for function in structure.program.functions.values():
            yield from _block_ops(plan, function.block)
    if structure.neuralnetwork is not None:
        for layer in structure.neuralnetwork.layers:
            device = _preferred_device(plan.get_compute_device_usage_for_neuralnetwork_layer(layer))
            if device:  # Core ML gives no costs of layers
                yield PlannedOp(layer.name, layer.type, device, 0.0)
    if structure.pipeline is not None:
        # A pipeline is a list of (name, structure).
        for _, model in structure.pipeline.sub_models:
            yield from _planned_ops(plan, model)


def _block_ops(plan: Any, block: Any) -> Iterator[PlannedOp]:
    """Yield the planned device and cost of each operation of a block and of the blocks within it."""
    for operation in block.operations:
        device = _preferred_device(plan.get_compute_device_usage_for_mlprogram_operation(operation))
        if device:
            cost = plan.get_estimated_cost_for_mlprogram_operation(operation)
            kind = OPSET_PREFIX.sub("", operation.operator_name)
            name = operation.outputs[0].name if operation.outputs else kind
            yield PlannedOp(name, kind, device, cost.weight if cost is not None else 0.0)
        for inner in operation.blocks:
            yield from _block_ops(plan, inner)


def _preferred_device(usage: Any) -> str:
    """Return the device that Core ML prefers for an operation or layer, "" where it names none."""
    preferred = usage.preferred_compute_device if usage is not None else None
    return "" if preferred is None else device_name(preferred)


if __name__ == "__main__":
    run(work)
