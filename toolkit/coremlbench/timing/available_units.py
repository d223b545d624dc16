"""Which units can be timed on this machine. On macOS a child process asks Core ML for its devices."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coremlbench.runs.steps import worker as worker_command
from coremlbench.runtimes import RUNTIMES
from coremlbench.runtimes.coreml import macos_version
from coremlbench.supervision.supervisor import supervise
from coremlbench.system import macos
from coremlbench.system.clocks import ClockReading, read_clocks
from coremlbench.timing.plan import UnavailableReason, Units
from coremlbench.types.process import Limits
from coremlbench.types.timing import RuntimeName, UnitName

SILENCE = 120.0

UnavailableReasons = Mapping[RuntimeName, Mapping[UnitName, str]]
"""For each unit of each runtime the sentence that says why it cannot be used on this machine, "" where it can."""


VIRTUAL_MAC = (
    "This is a virtual Mac, where loading a model for CPU_AND_NE or ALL has been seen to hang: they are timed only "
    "when they are named, with `--units CPU_AND_NE,ALL`."
)


def always_timed(runtime: RuntimeName, unit: UnitName) -> str:  # noqa: ARG001 - it is so for all of them
    """Return "": the unit is timed whenever it can be used."""
    return ""


def hangs_in_virtual_macs(runtime: RuntimeName, unit: UnitName) -> str:
    """Return why a unit is not timed in a virtual Mac unless it is named, "" for the others."""
    return VIRTUAL_MAC if runtime == "coreml" and unit in {"CPU_AND_NE", "ALL"} else ""


@dataclass(frozen=True)
class MachineCapabilities:
    """What this machine can run, and the commands of the workers that run it; tests pass a stand-in.

    ``stand_in`` says that the tests' stand-in was found in the place of Core ML. ``read_clocks`` reads the clocks by
    which sleep within a round is noticed. ``on_request_only`` returns a sentence for a unit that could be used and is
    timed only when it is named, "" for the others.
    """

    units: Units
    unavailable_reason: UnavailableReason
    worker: Callable[[str], Sequence[str]] = worker_command
    stand_in: bool = False
    read_clocks: Callable[[], ClockReading] = read_clocks
    on_request_only: UnavailableReason = always_timed

    def reasons(self, named: Sequence[UnitName]) -> UnavailableReason:
        """Return what says why a unit is not timed, when the units in ``named`` were named; none means the default."""
        if named:
            return self.unavailable_reason
        return lambda runtime, unit: self.unavailable_reason(runtime, unit) or self.on_request_only(runtime, unit)


@dataclass(frozen=True)
class UnitAvailability:
    """Why units cannot be used on this machine, and whether the tests' stand-in is in the place of Core ML."""

    reasons: UnavailableReasons
    stand_in: bool = False


def detect_units(worker: Callable[[str], Sequence[str]] = worker_command) -> MachineCapabilities:
    """Return what this machine can run, with the workers that ``worker`` returns commands of.

    Raises:
        KeyboardInterrupt: Ctrl-C ended the child process that asks Core ML.
    """
    availability = unit_availability(worker)
    return MachineCapabilities(
        units={name: tuple(units) for name, units in availability.reasons.items()},
        unavailable_reason=lambda runtime, unit: availability.reasons[runtime][unit],
        worker=worker,
        stand_in=availability.stand_in,
        on_request_only=hangs_in_virtual_macs if macos.is_virtual_machine() else always_timed,
    )


def unit_availability(worker: Callable[[str], Sequence[str]] = worker_command) -> UnitAvailability:
    """Return the availability of every unit. Only macOS needs a child process, which takes seconds."""
    return probe_units(worker) if macos_version() else UnitAvailability(static_availability())


def probe_units(worker: Callable[[str], Sequence[str]] = worker_command) -> UnitAvailability:
    """Return the availability of every unit according to Core ML, asked in a child process.

    A virtual Mac has no Neural Engine, and Core ML would silently use its CPU instead. When the child fails, the
    static availability is returned; the same failure will show again in each cell.

    Raises:
        KeyboardInterrupt: Ctrl-C ended the child. There is no run yet whose record could hold it.
    """
    with tempfile.TemporaryDirectory(prefix="coremlbench-") as folder:
        ended = supervise(worker("runtimes"), folder=Path(folder), request={}, limits=Limits(silence=SILENCE))
    if ended.stopped == "interrupted":
        raise KeyboardInterrupt
    if ended.result is None:
        return UnitAvailability(static_availability())
    return UnitAvailability(ended.result["unavailable_reasons"], ended.result["stand_in"])


def static_availability() -> UnavailableReasons:
    """Return why units cannot be used, as far as the runtimes know it without being imported."""
    return {
        name: {unit: runtime.unavailable_reason(unit) for unit in runtime.units} for name, runtime in RUNTIMES.items()
    }
