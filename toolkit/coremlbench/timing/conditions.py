"""Read a machine's thermal state, power source, load and free memory; ``None`` for what the system does not report."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from contextlib import suppress
from pathlib import Path

from coremlbench.types.timing import Conditions

THERMAL_STATES = ("nominal", "fair", "serious", "critical")
"""``NSProcessInfoThermalState`` by number; source: developer.apple.com/documentation/foundation/processinfo."""
POWER_SUPPLIES = Path("/sys/class/power_supply")
FOUNDATION = "/System/Library/Frameworks/Foundation.framework/Foundation"


def read_conditions() -> Conditions:
    """Return the current conditions. It never raises, since a round must not be lost for want of them.

    On macOS it takes some hundredths of a second, because it runs ``pmset``.
    """
    if platform.system() == "Darwin":
        source, low_power = parse_power_source(_command_output("pmset", "-g", "batt")), _mac_low_power_mode()
    else:
        source, low_power = power_source(POWER_SUPPLIES), None
    return Conditions(
        thermal_state=thermal_state(),
        power_source=source,
        low_power_mode=low_power,
        load_average=_load_average(),
        free_memory_bytes=_free_memory(),
    )


def thermal_state() -> str | None:
    """Return macOS's thermal state, ``None`` on other systems; fast enough to be read between blocks of calls."""
    return thermal_name(_process_info("thermalState"))


def thermal_name(level: int | None) -> str | None:
    """Return the name of a thermal state by its number, ``None`` for an unknown number."""
    return THERMAL_STATES[level] if level is not None and 0 <= level < len(THERMAL_STATES) else None


# --- macOS --------------------------------------------------------------------------------------------------


def _mac_low_power_mode() -> bool | None:
    enabled = _process_info("isLowPowerModeEnabled")
    return parse_low_power_mode(_command_output("pmset", "-g")) if enabled is None else bool(enabled)


def parse_power_source(text: str) -> str | None:
    """Return ``AC`` or ``battery`` from the output of ``pmset -g batt``; a UPS counts as a battery."""
    match = re.search(r"drawing from '(AC|Battery|UPS) Power'", text)
    return None if match is None else "AC" if match[1] == "AC" else "battery"


def parse_low_power_mode(text: str) -> bool | None:
    """Return whether the low-power mode is on, from the output of ``pmset -g``; ``None`` when it has no such line.

    The line is ``lowpowermode`` 0 or 1. Macs that also have a high-power mode have ``powermode``: 0, 1 (low) or 2
    (high).
    """
    match = re.search(r"^\s*(?:lowpowermode|powermode)\s+(\d)\s*$", text, re.MULTILINE)
    return None if match is None else match[1] == "1"


def _process_info(selector: str) -> int | None:
    """Return a numeric property of Foundation's ``NSProcessInfo``, read through the C interface of Objective-C.

    It needs no root, unlike ``powermetrics``, and no package, unlike PyObjC. ``None`` for a property that this macOS
    does not have: reading it would abort the process.
    """
    if platform.system() != "Darwin":
        return None
    with suppress(OSError, AttributeError, ValueError):
        import ctypes

        ctypes.CDLL(FOUNDATION)
        objc = ctypes.CDLL("/usr/lib/libobjc.dylib")
        objc.objc_getClass.restype = objc.sel_registerName.restype = ctypes.c_void_p
        objc.objc_getClass.argtypes = objc.sel_registerName.argtypes = [ctypes.c_char_p]
        address = ctypes.cast(objc.objc_msgSend, ctypes.c_void_p).value
        assert address is not None
        pointer = ctypes.c_void_p
        send = ctypes.CFUNCTYPE(pointer, pointer, pointer)(address)
        responds = ctypes.CFUNCTYPE(ctypes.c_bool, pointer, pointer, pointer)(address)
        # A BOOL fills one byte of the register, an NSInteger all of it.
        kind = ctypes.c_bool if selector.startswith("is") else ctypes.c_long
        read_number = ctypes.CFUNCTYPE(kind, pointer, pointer)(address)
        info = send(objc.objc_getClass(b"NSProcessInfo"), objc.sel_registerName(b"processInfo"))
        getter = objc.sel_registerName(selector.encode())
        if info and responds(info, objc.sel_registerName(b"respondsToSelector:"), getter):
            return int(read_number(info, getter))
    return None


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


def _read_text(path: Path) -> str:
    """Return the stripped text of a file, empty when it cannot be read."""
    with suppress(OSError):
        return path.read_text(errors="replace").strip()
    return ""


def _command_output(*command: str) -> str:
    """Return the standard output of a command, empty when it cannot be run or takes more than five seconds."""
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=5, check=False
        ).stdout
    return ""
