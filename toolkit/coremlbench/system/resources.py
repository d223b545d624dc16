"""What the system offers a process: free disk and memory, the limit of open files, Rosetta, AVX."""

from __future__ import annotations

import platform
import resource
import shutil
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import psutil

from coremlbench.system import macos
from coremlbench.types.process import ProcessResources


def snapshot_resources(folder: Path) -> ProcessResources:
    """Return what a process that works in ``folder`` has now. Takes milliseconds and never raises."""
    free_disk = free_memory = open_files = None
    with suppress(OSError):
        free_disk = shutil.disk_usage(folder).free
    with suppress(OSError, psutil.Error):
        free_memory = psutil.virtual_memory().available
    with suppress(OSError, ValueError):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        open_files = None if limit == resource.RLIM_INFINITY else limit
    return ProcessResources(
        free_disk_bytes=free_disk,
        open_files=open_files,
        free_memory_bytes=free_memory,
        rosetta=under_rosetta(),
        avx=has_avx(),
    )


OPEN_FILES = 4096
"""The limit of open files that runs need at most; a terminal of macOS allows 256."""


def raise_open_file_limit() -> None:
    """Raise this process's soft limit of open files, which children inherit, to ``OPEN_FILES`` if it may be raised.

    It is never lowered. macOS refuses a limit above ``kern.maxfilesperproc``, which is more than ``OPEN_FILES``.
    """
    with suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < limit:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


@lru_cache(maxsize=1)
def under_rosetta() -> bool | None:
    """Return whether Rosetta translates this Python, and so its children; ``None`` on other systems than macOS."""
    return macos.is_translated()


@lru_cache(maxsize=1)
def has_avx() -> bool | None:
    """Return whether this process can use AVX, ``None`` on other processors than x86-64 or when it is unknown.

    Rosetta can translate AVX from macOS 15 on, but shows it only to processes with ``ROSETTA_ADVERTISE_AVX=1`` in their
    environment; without it a library that looks for AVX finds none.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return None
    if macos.is_macos():
        value = macos.sysctl_number("hw.optional.avx1_0")
        return None if value is None else value == 1
    return cpuinfo_has("avx", _cpuinfo())


def vector_instructions() -> tuple[str, ...]:
    """Return the vector instruction sets that Linux lists for an x86-64 processor, the oldest first; elsewhere none."""
    return tuple(flag for flag in ("avx", "avx2", "avx512f", "amx_tile") if cpuinfo_has(flag, _cpuinfo()))


def _cpuinfo() -> str:
    with suppress(OSError):
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    return ""


def cpuinfo_has(flag: str, cpuinfo: str) -> bool | None:
    """Return whether ``/proc/cpuinfo`` lists a processor flag, ``None`` when it has no list of flags."""
    for line in cpuinfo.splitlines():
        name, _, flags = line.partition(":")
        if name.strip() == "flags":
            return flag in flags.split()
    return None
