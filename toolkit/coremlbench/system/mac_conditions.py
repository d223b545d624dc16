"""Read the conditions of a Mac: its own tools, and Apple's frameworks through their C interfaces.

Nothing here needs root, as ``powermetrics`` does, or a package such as PyObjC. What a macOS does not tell is ``None``.
"""

from __future__ import annotations

import ctypes
import re
from contextlib import suppress

from coremlbench.system import macos

FOUNDATION = "/System/Library/Frameworks/Foundation.framework/Foundation"
DISPLAY_SCRIPT = (
    'ObjC.import("CoreGraphics"); const display = $.CGMainDisplayID(); '
    'display ? ($.CGDisplayIsAsleep(display) ? "asleep" : "awake") : "none"'
)
"""JavaScript for ``osascript``, a process of its own: some functions of CoreGraphics abort one without a session."""
MEMORY_PRESSURE = {1: "normal", 2: "warning", 4: "critical"}
"""``kern.memorystatus_vm_pressure_level``: the numbers of dispatch's ``DISPATCH_MEMORYPRESSURE_*``."""


def power_source() -> str | None:
    """Return ``AC`` or ``battery``."""
    return parse_power_source(macos.tool_output("pmset", "-g", "batt"))


def power_mode() -> str | None:
    """Return ``low``, ``automatic`` or ``high``. The settings that ``pmset`` lists are those in use now."""
    mode = parse_power_mode(macos.tool_output("pmset", "-g"))
    enabled = process_info("isLowPowerModeEnabled")
    return mode if enabled is None else "low" if enabled else "automatic" if mode in (None, "low") else mode


def memory_pressure() -> str | None:
    """Return ``normal``, ``warning`` or ``critical``."""
    level = macos.sysctl_number("kern.memorystatus_vm_pressure_level")
    return None if level is None else MEMORY_PRESSURE.get(level)


def lid_closed() -> bool | None:
    """Return whether a notebook's lid is closed; ``None`` for Macs without one."""
    return parse_lid(macos.tool_output("ioreg", "-r", "-k", "AppleClamshellState", "-d", "1"))


def display_asleep() -> bool | None:
    """Return whether the main display is off; ``None`` without one, as over ssh to a Mac nobody has logged in to."""
    return {"asleep": True, "awake": False}.get(
        macos.tool_output("osascript", "-l", "JavaScript", "-e", DISPLAY_SCRIPT)
    )


def gpu_use_percent() -> int | None:
    """Return how busy the busiest GPU was in the moment before, in percent, whoever used it."""
    return parse_gpu_use(macos.tool_output("ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator"))


# --- texts --------------------------------------------------------------------------------------------------


def parse_power_source(text: str) -> str | None:
    """Return ``AC`` or ``battery`` from the output of ``pmset -g batt``; a UPS counts as a battery."""
    match = re.search(r"drawing from '(AC|Battery|UPS) Power'", text)
    return None if match is None else "AC" if match[1] == "AC" else "battery"


def parse_power_mode(text: str) -> str | None:
    """Return ``low``, ``automatic`` or ``high`` from the output of ``pmset -g``; ``None`` when it has no such line.

    Macs with three modes have the line ``powermode``, 0, 1 (low) or 2 (high); others have ``lowpowermode`` and perhaps
    ``highpowermode``, 0 or 1.
    """
    values = dict(re.findall(r"^\s*(powermode|lowpowermode|highpowermode)\s+(\d)\s*$", text, re.MULTILINE))
    if "powermode" in values:
        return {"0": "automatic", "1": "low", "2": "high"}.get(values["powermode"])
    if not values:
        return None
    return "low" if values.get("lowpowermode") == "1" else "high" if values.get("highpowermode") == "1" else "automatic"


def parse_lid(text: str) -> bool | None:
    """Return whether ``ioreg`` says that the lid is closed; ``None`` when it says nothing of a lid."""
    match = re.search(r'"AppleClamshellState" = (Yes|No)', text)
    return None if match is None else match[1] == "Yes"


def parse_gpu_use(text: str) -> int | None:
    """Return the largest "Device Utilization %" of the accelerators that ``ioreg`` lists."""
    uses = [int(use) for use in re.findall(r'"Device Utilization %"\s*=\s*(\d+)', text)]
    return max(uses, default=None)


# --- frameworks ---------------------------------------------------------------------------------------------


def process_info(selector: str) -> int | None:
    """Return a numeric property of Foundation's ``NSProcessInfo``, read through the C interface of Objective-C.

    ``None`` for a property that this macOS does not have: reading it would abort the process.
    """
    if not macos.is_macos():
        return None
    with suppress(OSError, AttributeError, ValueError):
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
