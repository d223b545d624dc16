"""The floor: the least time that a call's arithmetic and bytes take at the chip's peak figures. Never an estimate.

The arithmetic is that of the plain algorithm, two operations for each multiply-add of a convolution or a matrix
product. An implementation that needs fewer of them, such as Winograd's for 3x3 convolutions, can in theory go below.
"""

from __future__ import annotations

import re

from coremlbench.timing.chips import Chip, find_chip
from coremlbench.types.conversion import Variant
from coremlbench.types.machine import Machine
from coremlbench.types.timing import Floor, UnitName

OPERATIONS_PER_MULTIPLY_ADD = 2


def floor_of(machine: Machine, unit: UnitName, variant: Variant) -> Floor | str:
    """Return the least time of one call with a whole batch, or a sentence that says why there is no floor.

    The unit's own figure counts: the GPU's for ``CPU_AND_GPU``, the Neural Engine's for ``CPU_AND_NE``, both at once
    for ``ALL``. The CPU's share is not counted, because Apple publishes no figure of it. Weights are read from memory
    as far as they do not fit on the chip; inputs, outputs and what lies between layers are taken to cost nothing.
    """
    if unit in {"host-cpu", "host-gpu"}:
        return f"A floor is given for Core ML's units only, and {unit} is none of them."
    chip = find_chip(machine.chip)
    if chip is None:
        return f"The peak figures of {machine.chip or 'this chip'} are not in the table of chips, so there is no floor."
    if variant.arithmetic is None:
        return f"The arithmetic of the {variant.name} package is not known, so there is no floor."
    operations = peak_operations(chip, unit, variant, gpu_cores(machine, chip))
    if isinstance(operations, str):
        return operations
    arithmetic = variant.arithmetic * OPERATIONS_PER_MULTIPLY_ADD / operations
    memory = max(0, variant.weight_bytes - chip.on_chip) / chip.bandwidth
    return Floor(
        seconds=max(arithmetic, memory),
        bound="memory" if memory > arithmetic else "arithmetic",
        chip=chip.name,
        operations_per_second=operations,
        bytes_per_second=chip.bandwidth,
        source=chip.source,
    )


def peak_operations(chip: Chip, unit: UnitName, variant: Variant, cores: int) -> float | str:
    """Return the operations a second that a unit could do at most, or a sentence when nobody has said."""
    gpu = None if chip.gpu_core is None else chip.gpu_core * cores
    if unit == "CPU_ONLY":
        return f"Apple publishes no peak figure of the {chip.name}'s CPU, so there is no floor for CPU_ONLY."
    if unit in {"CPU_AND_GPU", "ALL"} and gpu is None:
        return f"Apple publishes no peak figure of the {chip.name}'s GPU, so there is no floor for {unit}."
    if variant.name == "fp32":  # bars the Neural Engine
        return gpu if gpu and unit != "CPU_AND_NE" else f"The Neural Engine runs no float32: no floor for {unit}."
    if unit in {"CPU_AND_NE", "ALL"} and chip.neural_engine is None:
        return f"Apple publishes no peak figure of the {chip.name}'s Neural Engine, so there is no floor for {unit}."
    parts = {"CPU_AND_GPU": gpu, "CPU_AND_NE": chip.neural_engine, "ALL": (gpu or 0) + (chip.neural_engine or 0)}
    return parts[unit] or f"There is no peak figure for {unit}, so there is no floor."


def gpu_cores(machine: Machine, chip: Chip) -> int:
    """Return the cores of the machine's GPU where it tells them, else the most that the chip is sold with."""
    told = [re.search(r"^Apple .*\((\d+) cores\)", each) for each in machine.accelerators]
    return next((int(found[1]) for found in told if found), chip.gpu_cores)
