"""Say how the machine is at this moment: heat, power, load, free memory. What the system does not tell is ``None``."""

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
    """Return the conditions now, without ever failing: a round matters more than what is known about it.

    It takes some hundredths of a second on macOS, where ``pmset`` is asked.
    """
    mac = platform.system() == "Darwin"
    low_power = None
    if mac:
        low_power = _process_info("isLowPowerModeEnabled")
        if low_power is None:
            low_power = parse_low_power_mode(_output("pmset", "-g"))
    return Conditions(
        thermal_state=thermal_state(),
        power_source=parse_power_source(_output("pmset", "-g", "batt")) if mac else power_source(POWER_SUPPLIES),
        low_power_mode=None if low_power is None else bool(low_power),
        load_average=_load_average(),
        free_memory_bytes=_free_memory(),
    )


def thermal_state() -> str | None:
    """Return macOS's thermal state, ``None`` elsewhere; quick enough to be asked between two stretches of calls."""
    return thermal_name(_process_info("thermalState"))


def thermal_name(level: int | None) -> str | None:
    """Return the name of a thermal state by its number."""
    return THERMAL_STATES[level] if level is not None and 0 <= level < len(THERMAL_STATES) else None


# --- macOS --------------------------------------------------------------------------------------------------


def parse_power_source(text: str) -> str | None:
    """Return ``AC`` or ``battery`` from ``pmset -g batt``; a UPS is a battery."""
    found = re.search(r"drawing from '(AC|Battery|UPS) Power'", text)
    return None if found is None else "AC" if found[1] == "AC" else "battery"


def parse_low_power_mode(text: str) -> bool | None:
    """Return whether ``pmset -g`` tells of the low-power mode.

    It is ``lowpowermode`` 0 or 1, or on Macs that also have a high-power mode ``powermode`` 0, 1 (low) or 2 (high).
    """
    found = re.search(r"^\s*(?:lowpowermode|powermode)\s+(\d)\s*$", text, re.MULTILINE)
    return None if found is None else found[1] == "1"


def _process_info(selector: str) -> int | None:
    """Return a number that Foundation's ``NSProcessInfo`` tells, through the Objective-C runtime's C interface.

    Unlike ``powermetrics`` it needs no root, and unlike PyObjC no package. A property that this macOS lacks is
    ``None``: asking for it would end the process.
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
        ask = ctypes.CFUNCTYPE(pointer, pointer, pointer)(address)
        responds = ctypes.CFUNCTYPE(ctypes.c_bool, pointer, pointer, pointer)(address)
        # A BOOL fills one byte of the register, an NSInteger all of it.
        kind = ctypes.c_bool if selector.startswith("is") else ctypes.c_long
        number = ctypes.CFUNCTYPE(kind, pointer, pointer)(address)
        info = ask(objc.objc_getClass(b"NSProcessInfo"), objc.sel_registerName(b"processInfo"))
        wanted = objc.sel_registerName(selector.encode())
        if info and responds(info, objc.sel_registerName(b"respondsToSelector:"), wanted):
            return int(number(info, wanted))
    return None


# --- Linux --------------------------------------------------------------------------------------------------


def power_source(folder: Path) -> str | None:
    """Return ``AC`` or ``battery`` from Linux's power supplies; ``None`` without any, as in most servers.

    The mains count where there are any; a battery alone tells by whether it discharges.
    """
    supplies = [(_text(each / "type"), each) for each in sorted(folder.glob("*"))]
    mains = [_text(each / "online") for kind, each in supplies if kind in {"Mains", "USB"}]
    batteries = [each for kind, each in supplies if kind == "Battery" and _text(each / "scope") != "Device"]
    if "1" in mains:
        return "AC"
    if batteries:
        return "battery" if "0" in mains or any(_text(each / "status") == "Discharging" for each in batteries) else "AC"
    return None


# --- both ---------------------------------------------------------------------------------------------------


def _load_average() -> float | None:
    with suppress(OSError, AttributeError):
        return os.getloadavg()[0]
    return None


def _free_memory() -> int | None:
    with suppress(Exception):  # whatever a sandbox refuses psutil
        import psutil

        return int(psutil.virtual_memory().available)
    return None


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(errors="replace").strip()
    return ""


def _output(*command: str) -> str:
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=5, check=False
        ).stdout
    return ""
