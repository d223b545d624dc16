"""How the system schedules this process's threads."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Any

from coremlbench.system import macos

USER_INITIATED = 0x19
"""``QOS_CLASS_USER_INITIATED`` of macOS's ``sys/qos.h``: work that somebody waits for."""


def request_user_initiated(library: Any = None) -> str | None:
    """Give this thread the quality-of-service class of work that somebody waits for; return the class's name.

    Threads that it starts work for get the class too. Without a class of its own a thread has the default class, below
    this one. ``None`` on other systems than macOS, and when it refuses. ``library`` is the C library, by default that
    of this process.
    """
    if not macos.is_macos():
        return None
    with suppress(OSError, AttributeError):
        functions = library if library is not None else ctypes.CDLL(None)
        if functions.pthread_set_qos_class_self_np(ctypes.c_uint(USER_INITIATED), ctypes.c_int(0)) == 0:
            return "user-initiated"
    return None
