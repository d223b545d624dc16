"""Reads Core ML's compute plan of a compiled model: in a process of its own, since it can end in an abort.

An ``.mlpackage`` in place of the compiled model ends the process (coremltools issue 2757): it is refused here.
"""

from __future__ import annotations

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


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the ``ComputePlan`` of the request's ``compiled`` model on its ``unit``, and ``stand_in``.

    Raises:
        InputError: the model is not a compiled one.
    """
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # coremltools would import it for nothing
    compiled, unit = Path(request["compiled"]), request["unit"]
    if compiled.suffix != ".mlmodelc":
        raise InputError(f"A compute plan is read from a compiled model, an .mlmodelc, and not from '{compiled.name}'.")
    report("plan", 0, 1, f"reading the compute plan for {unit}")
    CoreML().start(unit)
    if macos_version() < MACOS_NEEDED:
        version = ".".join(map(str, macos_version()))
        plan = ComputePlan(failure=f"Core ML tells its plan from macOS 14.4 on, and this is {version}.")
    else:
        import coremltools
        from coremltools.models.compute_plan import MLComputePlan

        loaded = MLComputePlan.load_from_path(str(compiled), compute_units=coremltools.ComputeUnit[unit])
        plan = make_plan(list(_rows(loaded, loaded.model_structure)), unit)
        if not plan.ops:
            plan = ComputePlan(failure="Core ML's plan tells the device of no operation.")
    return {**asdict(plan), "stand_in": is_stand_in()}


def _rows(plan: Any, structure: Any) -> Iterator[PlannedOp]:
    """Yield what is planned for each operation of a program, a network or the models of a pipeline.

    An operation without a planned device is a constant, or one that Core ML has done away with.
    """
    if structure.program is not None:
        for function in structure.program.functions.values():
            yield from _operations(plan, function.block)
    if structure.neuralnetwork is not None:
        for layer in structure.neuralnetwork.layers:
            usage = plan.get_compute_device_usage_for_neuralnetwork_layer(layer)
            if usage is not None:  # the costs of layers are not told
                yield PlannedOp(layer.name, layer.type, device_name(usage.preferred_compute_device), 0.0)
    if structure.pipeline is not None:
        # Core ML's binding makes the pipeline of pairs of a name and a structure.
        for _, model in structure.pipeline.sub_models:
            yield from _rows(plan, model)


def _operations(plan: Any, block: Any) -> Iterator[PlannedOp]:
    for operation in block.operations:
        usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
        if usage is not None:
            cost = plan.get_estimated_cost_for_mlprogram_operation(operation)
            name = operation.outputs[0].name if operation.outputs else operation.operator_name
            device = device_name(usage.preferred_compute_device)
            yield PlannedOp(name, operation.operator_name, device, cost.weight if cost is not None else 0.0)
        for inner in operation.blocks:
            yield from _operations(plan, inner)


if __name__ == "__main__":
    run(work)
