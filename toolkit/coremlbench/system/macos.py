"""What macOS says about itself: its version, ``sysctl`` values, virtual machines, Rosetta.

All questions go through the system's own tools, by their full paths: a search path may lack ``/usr/sbin`` or have
another ``sysctl``. On other systems nothing is run and the answers are empty.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

PLATFORM = sys.platform
SYSTEM_FOLDERS = ("/usr/bin", "/usr/sbin", "/bin", "/sbin")
"""The folders of macOS's own tools; they are on the read-only system volume."""


def is_macos() -> bool:
    """Return whether this process runs on macOS."""
    return PLATFORM == "darwin"


def system_tool(name: str) -> str | None:
    """Return the full path of one of macOS's own tools, ``None`` when this system has none of that name."""
    paths = (Path(folder) / name for folder in SYSTEM_FOLDERS)
    return next((str(path) for path in paths if path.is_file()), None) if is_macos() else None


def tool_output(name: str, *arguments: str, timeout: float = 5) -> str:
    """Return what one of macOS's own tools prints, without white space around it.

    It is empty when there is no such tool and when it takes more than ``timeout`` seconds. What a tool prints before it
    fails is returned, as ``sysctl`` fails after all the values that it knows.
    """
    path = system_tool(name)
    if path is None:
        return ""
    # With this variable set, macOS tells programs that its version is 10.16.
    environment = {key: value for key, value in os.environ.items() if key != "SYSTEM_VERSION_COMPAT"}
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            [path, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env=environment,
            timeout=timeout,
            check=False,
        ).stdout.strip()
    return ""


# --- developer tools ----------------------------------------------------------------------------------------


def developer_tools() -> str:
    """Return the folder of Xcode or the Command Line Tools that is in use, "" where neither is installed.

    Without them, ``xcrun`` and ``swiftc`` open a window that offers to install them; this question does not.
    """
    return tool_output("xcode-select", "-p")


def swift_version() -> str:
    """Return the version of the developer tools' Swift compiler, "Apple Swift version 6.2"; "" where there is none."""
    if not developer_tools():
        return ""
    version = re.search(r"(?:Apple )?Swift version \S+", tool_output("xcrun", "swiftc", "--version", timeout=30))
    return version[0] if version else ""


# --- version ------------------------------------------------------------------------------------------------


def product_version() -> str:
    """Return macOS's version, such as "26.1"; "" on other systems.

    ``platform.mac_ver`` says 16 in place of 26 in Pythons that were built with an older SDK (cpython issue 135675), so
    that it is asked only where ``sw_vers`` gives nothing.
    """
    if not is_macos():
        return ""
    return tool_output("sw_vers", "-productVersion") or platform.mac_ver()[0]


def build_version() -> str:
    """Return macOS's build, such as "25B78"; "" on other systems or when it is unknown."""
    return tool_output("sw_vers", "-buildVersion")


def version_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, (26, 1) for "26.1"; () for an empty text."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


# --- sysctl -------------------------------------------------------------------------------------------------


def sysctl(name: str) -> str:
    """Return a value of ``sysctl``, "" for an unknown name or on other systems.

    Each value has to be asked for by its name: a listing of ``hw`` leaves out ``hw.model``.
    """
    return tool_output("sysctl", "-n", name)


def sysctl_number(name: str) -> int | None:
    """Return a whole number of ``sysctl``, ``None`` for an unknown name, another value, or on other systems."""
    with suppress(ValueError):
        return int(sysctl(name))
    return None


def is_virtual_machine() -> bool | None:
    """Return whether this Mac is a virtual machine, ``None`` when it is unknown or the system is another.

    In a virtual Mac the chip has the name of its host's, but there is no Neural Engine, and the GPU is shared.
    """
    return _flag("kern.hv_vmm_present")


def is_translated() -> bool | None:
    """Return whether Rosetta translates this process; ``None`` on other systems.

    A translated process takes its processor for an x86-64 one, and ``sysctl`` tells that it is not. Its
    ``sysctl.proc_translated`` says the same, but of the process that asks, which here is ``sysctl``.
    """
    if not is_macos():
        return None
    return platform.machine() == "x86_64" and has_apple_silicon() is True


def has_apple_silicon() -> bool | None:
    """Return whether the Mac has an Apple chip, also under Rosetta; ``None`` on other systems."""
    if not is_macos():
        return None
    return platform.machine() == "arm64" or _flag("hw.optional.arm64") is True


def _flag(name: str) -> bool | None:
    """Return whether a number of ``sysctl`` is not zero, ``None`` when it is unknown."""
    number = sysctl_number(name)
    return None if number is None else number != 0


# --- the end of Rosetta -------------------------------------------------------------------------------------

LAST_WITH_ROSETTA, ROSETTA_WARNINGS = 27, (26, 4)
"""The last macOS that translates every program, and the first version that warns of it; source: Apple, About Rosetta
translation environment (developer.apple.com), support article 102527."""


def rosetta_end(version: str) -> str:
    """Return a sentence on the end of Rosetta for a Mac with an Apple chip and this version; "" before macOS 26.4."""
    numbers = version_numbers(version)
    if not numbers or numbers < ROSETTA_WARNINGS:
        return ""
    if numbers[0] > LAST_WITH_ROSETTA:
        return f"macOS {numbers[0]} translates some games only: there is no Rosetta for other programs since macOS 28."
    warns = ", and macOS warns of it" if numbers[0] < LAST_WITH_ROSETTA else ""
    return f"macOS {LAST_WITH_ROSETTA} is the last with the whole of Rosetta{warns}."
