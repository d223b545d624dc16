"""The roofline bound: the least time of a call at the chip's peak arithmetic and memory rates. It is no estimate.

Arithmetic is counted as two operations for each multiply-add of a convolution or a matrix product, computed directly.
An algorithm that needs fewer, such as Winograd's for 3x3 convolutions, can in theory be faster than the bound.
"""

from __future__ import annotations

import re

from coremlbench.timing.chips import Chip, find_chip
from coremlbench.types.conversion import Variant
from coremlbench.types.machine import Machine
from coremlbench.types.timing import RooflineBound, UnitName

OPERATIONS_PER_MULTIPLY_ADD = 2


def roofline_bound(machine: Machine, unit: UnitName, variant: Variant) -> RooflineBound | str:
    """Return the least time of one call with a whole batch, or a sentence that says why there is no bound.

    The rate is that of the GPU for ``CPU_AND_GPU``, of the Neural Engine for ``CPU_AND_NE``, and their sum for
    ``ALL``. The CPU is not counted, because Apple publishes no figure. Memory traffic is the weights that do not fit
    on the chip; inputs, outputs and values between layers are not counted.
    """
    if unit in {"host-cpu", "host-gpu"}:
        return f"The roofline bound is given for Core ML's units only, not for {unit}."
    if machine.virtual_machine:
        return "A virtual Mac has the name of its host's chip and not all of it: no roofline bound."
    chip = find_chip(machine.chip)
    if chip is None:
        return f"The peak figures of {machine.chip or 'this chip'} are not in the table of chips: no roofline bound."
    if variant.arithmetic is None:
        return f"The arithmetic of the {variant.name} package is not known: no roofline bound."
    operations = peak_operations(chip, unit, variant, gpu_cores(machine, chip))
    if isinstance(operations, str):
        return operations
    arithmetic = variant.arithmetic * OPERATIONS_PER_MULTIPLY_ADD / operations
    memory = max(0, variant.weight_bytes - chip.on_chip) / chip.bandwidth
    return RooflineBound(
        seconds=max(arithmetic, memory),
        bound="memory" if memory > arithmetic else "arithmetic",
        chip=chip.name,
        operations_per_second=operations,
        bytes_per_second=chip.bandwidth,
        source=chip.source,
    )


def peak_operations(chip: Chip, unit: UnitName, variant: Variant, cores: int) -> float | str:
    """Return the peak operations a second of a unit, or a sentence that says why the rate is unknown."""
    gpu = None if chip.gpu_core is None else chip.gpu_core * cores
    if unit == "CPU_ONLY":
        return _unpublished(chip, "CPU", unit)
    if unit in {"CPU_AND_GPU", "ALL"} and gpu is None:
        return _unpublished(chip, "GPU", unit)
    if variant.name == "fp32":  # does not run on the Neural Engine
        no_bound = f"The Neural Engine runs no float32: no roofline bound for {unit}."
        return gpu if gpu and unit != "CPU_AND_NE" else no_bound
    if unit in {"CPU_AND_NE", "ALL"} and chip.neural_engine is None:
        return _unpublished(chip, "Neural Engine", unit)
    rates = {"CPU_AND_GPU": gpu, "CPU_AND_NE": chip.neural_engine, "ALL": (gpu or 0) + (chip.neural_engine or 0)}
    return rates[unit] or f"There is no peak figure: no roofline bound for {unit}."


def _unpublished(chip: Chip, part: str, unit: UnitName) -> str:
    """Return the sentence about a part of a chip without a published rate."""
    return f"Apple publishes no peak figure of the {chip.name}'s {part}: no roofline bound for {unit}."


def gpu_cores(machine: Machine, chip: Chip) -> int:
    """Return the number of GPU cores of the machine, or the largest number that the chip is sold with."""
    matches = (re.search(r"^Apple .*\((\d+) cores\)", accelerator) for accelerator in machine.accelerators)
    return next((int(match[1]) for match in matches if match), chip.gpu_cores)
