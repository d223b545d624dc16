"""Waiting as the native module does: without a release of the interpreter lock, so that no other thread runs."""

from __future__ import annotations

import ctypes
import signal
import time


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


_LIBC = ctypes.PyDLL(None)  # functions of a PyDLL are called with the interpreter lock held


def wait_with_lock(seconds: float) -> None:
    """Wait in C, with the interpreter lock held; handlers written in Python run afterwards, as after native code."""
    deferred = {number for number in signal.valid_signals() if callable(signal.getsignal(number))}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, deferred)
    try:
        end = time.monotonic_ns() + round(seconds * 1e9)
        while (left := end - time.monotonic_ns()) > 0:  # another signal's handler in C ends the sleep early
            _LIBC.nanosleep(ctypes.byref(_TimeSpec(*divmod(left, 1_000_000_000))), None)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
