"""Read what a machine's speed depends on besides the machine; ``None`` for what the system does not report."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from coremlbench.system import mac_conditions, macos
from coremlbench.types.conditions import Conditions

THERMAL_STATES = ("nominal", "fair", "serious", "critical")
"""``NSProcessInfoThermalState`` by number; source: developer.apple.com/documentation/foundation/processinfo."""
POWER_SUPPLIES = Path("/sys/class/power_supply")
GOVERNORS = Path("/sys/devices/system/cpu/cpufreq")
MEMORY_STALLS = Path("/proc/pressure/memory")


def read_conditions() -> Conditions:
    """Return the current conditions. It never raises, since a round must not be lost for want of them.

    On macOS it takes some tenths of a second, because it runs ``pmset``, ``sysctl`` and ``ioreg``.
    """
    return _mac_conditions() if macos.is_macos() else _linux_conditions()


def _mac_conditions() -> Conditions:
    mode = mac_conditions.power_mode()
    return Conditions(
        thermal_state=thermal_state(),
        power_source=mac_conditions.power_source(),
        low_power_mode=None if mode is None else mode == "low",
        power_mode=mode,
        load_average=_load_average(),
        free_memory_bytes=_free_memory(),
        memory_pressure=mac_conditions.memory_pressure(),
        swap_used_bytes=_swap_used(),
        nice=_nice(),
        gpu_use_percent=mac_conditions.gpu_use_percent(),
        display_asleep=mac_conditions.display_asleep(),
        lid_closed=mac_conditions.lid_closed(),
    )


def _linux_conditions() -> Conditions:
    return Conditions(
        power_source=power_source(POWER_SUPPLIES),
        load_average=_load_average(),
        free_memory_bytes=_free_memory(),
        memory_stall_percent=parse_memory_stalls(_read_text(MEMORY_STALLS)),
        swap_used_bytes=_swap_used(),
        nice=_nice(),
        cpu_governor=cpu_governor(GOVERNORS),
    )


def thermal_state() -> str | None:
    """Return macOS's thermal state, ``None`` on other systems; fast enough to be read between blocks of calls."""
    return thermal_name(mac_conditions.process_info("thermalState"))


def thermal_name(level: int | None) -> str | None:
    """Return the name of a thermal state by its number, ``None`` for an unknown number."""
    return THERMAL_STATES[level] if level is not None and 0 <= level < len(THERMAL_STATES) else None


# --- Linux --------------------------------------------------------------------------------------------------


def power_source(folder: Path) -> str | None:
    """Return ``AC`` or ``battery`` from the power supplies in Linux's sysfs; ``None`` without any, as in most servers.

    A mains supply decides when there is one; otherwise the power source is a battery if any battery discharges.
    """
    supplies = [(_read_text(supply / "type"), supply) for supply in sorted(folder.glob("*"))]
    mains = [_read_text(supply / "online") for kind, supply in supplies if kind in {"Mains", "USB"}]
    batteries = [supply for kind, supply in supplies if kind == "Battery" and _read_text(supply / "scope") != "Device"]
    if "1" in mains:
        return "AC"
    if not batteries:
        return None
    discharging = any(_read_text(battery / "status") == "Discharging" for battery in batteries)
    return "battery" if "0" in mains or discharging else "AC"


def cpu_governor(folder: Path) -> str | None:
    """Return the governors of the processors' clocks, as "performance" or "performance, powersave"; ``None`` without.

    ``folder`` is Linux's ``cpufreq`` folder, which has a folder for each group of cores that share a clock.
    """
    governors = {_read_text(policy / "scaling_governor") for policy in folder.glob("policy*")} - {""}
    return ", ".join(sorted(governors)) or None


def parse_memory_stalls(text: str) -> float | None:
    """Return the percentage of the last ten seconds in which some process waited for memory, from Linux's PSI file."""
    match = re.search(r"^some avg10=(\d+(?:\.\d+)?)", text, re.MULTILINE)
    return None if match is None else float(match[1])


# --- both systems -------------------------------------------------------------------------------------------


def _load_average() -> float | None:
    with suppress(OSError, AttributeError):
        return os.getloadavg()[0]
    return None


def _free_memory() -> int | None:
    with suppress(Exception):  # whatever a sandbox refuses psutil
        import psutil

        return int(psutil.virtual_memory().available)
    return None


def _swap_used() -> int | None:
    with suppress(Exception):  # whatever a sandbox refuses psutil
        import psutil

        return int(psutil.swap_memory().used)
    return None


def _nice() -> int | None:
    """Return the nice value of this process, which its children inherit."""
    with suppress(OSError):
        return os.getpriority(os.PRIO_PROCESS, 0)
    return None


def _read_text(path: Path) -> str:
    """Return the stripped text of a file, empty when it cannot be read."""
    with suppress(OSError):
        return path.read_text(errors="replace").strip()
    return ""
