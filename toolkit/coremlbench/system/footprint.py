"""The peak of macOS's memory footprint of this process."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from typing import Any

from coremlbench.system import macos

RUSAGE_INFO_V4 = 4
"""The version of ``struct rusage_info_v4`` of macOS's ``sys/resource.h``: a UUID of 16 bytes, then 35 numbers."""
NUMBERS = 35
LIFETIME_MAX_FOOTPRINT = 28
"""The index of ``ri_lifetime_max_phys_footprint`` among the numbers."""


class RusageInfo(ctypes.Structure):
    """``struct rusage_info_v4``."""

    _fields_ = (("uuid", ctypes.c_uint8 * 16), ("numbers", ctypes.c_uint64 * NUMBERS))


def peak_footprint(library: Any = None) -> int | None:
    """Return the largest footprint of this process so far, in bytes, as Activity Monitor's "Memory" counts it.

    ``None`` on other systems than macOS, and when it refuses. ``library`` is the C library, by default that of this
    process.
    """
    if not macos.is_macos():
        return None
    info = RusageInfo()
    with suppress(OSError, AttributeError):
        functions = library if library is not None else ctypes.CDLL(None)
        if functions.proc_pid_rusage(os.getpid(), RUSAGE_INFO_V4, ctypes.byref(info)) == 0:
            return int(info.numbers[LIFETIME_MAX_FOOTPRINT]) or None
    return None
