"""The state of a machine that figures depend on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Conditions:
    """The state of the machine at one moment; ``None`` for what is unknown.

    Attributes:
        thermal_state: macOS's ``nominal``, ``fair``, ``serious`` or ``critical``.
        power_source: ``AC`` or ``battery``.
        low_power_mode: Whether macOS saves energy at the cost of speed.
        load_average: That of the last minute.
        free_memory_bytes: Memory that can be used without swapping.
        power_mode: macOS's ``low``, ``automatic`` or ``high``.
        memory_pressure: macOS's ``normal``, ``warning`` or ``critical``.
        memory_stall_percent: Share of the last ten seconds in which a process waited for memory (Linux).
        swap_used_bytes: Memory that is swapped out.
        nice: The nice value of the processes; 0 is normal, above it others go first.
        gpu_use_percent: How busy the GPU of a Mac is, whoever uses it.
        display_asleep: Whether the main display of a Mac is off.
        lid_closed: Whether the lid of a Mac is closed.
        cpu_governor: What sets the processors' clock (Linux), several separated by commas.
    """

    thermal_state: str | None = None
    power_source: str | None = None
    low_power_mode: bool | None = None
    load_average: float | None = None
    free_memory_bytes: int | None = None
    power_mode: str | None = None
    memory_pressure: str | None = None
    memory_stall_percent: float | None = None
    swap_used_bytes: int | None = None
    nice: int | None = None
    gpu_use_percent: int | None = None
    display_asleep: bool | None = None
    lid_closed: bool | None = None
    cpu_governor: str | None = None


UNKNOWN_CONDITIONS = Conditions()
