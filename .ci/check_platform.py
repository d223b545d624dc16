"""Say in one sentence why coremlbench cannot be installed here: ``check_platform.py PYTHON``; the exit code is 1 then.

PYTHON is what the person calls this Python. The script is run by any Python 3, and imports nothing but its library.
"""

import platform
import subprocess
import sys

OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 13)
OLDEST_MACOS = 14
OLDEST_GLIBC = (2, 28)


def numbers(version: str) -> tuple:
    """Return the leading numbers of a version: (14, 5) of 14.5."""
    parts = []
    for part in version.split("."):
        if not part.isdigit():
            break
        parts.append(int(part))
    return tuple(parts)


def macos_release() -> str:
    """Return the release of macOS; Python's own answer depends on the SDK that it was built with."""
    try:
        asked = subprocess.run(["/usr/bin/sw_vers", "-productVersion"], stdout=subprocess.PIPE, check=False)
    except OSError:
        return platform.mac_ver()[0]
    return asked.stdout.decode().strip()


def problem(name: str, python: tuple, system: str, machine: str, release: str) -> str:
    """Return why the lock cannot be installed, "" when it can.

    ``name`` and ``python`` are a Python's name and version, ``release`` is that of macOS, or of Linux's glibc, which is
    "" for another C library.
    """
    if not OLDEST_PYTHON <= python[:2] <= NEWEST_PYTHON:
        return "coremlbench needs Python 3.10 to 3.13, and {} is {}.{}; run make PYTHON=python3.12 install".format(
            name, *python[:2]
        )
    if system == "Darwin":
        if numbers(release) < (OLDEST_MACOS,):
            return f"coremlbench needs macOS 14 or later, as ONNX Runtime does, and this is macOS {release}."
        return ""
    if system != "Linux" or machine != "x86_64":
        return f"coremlbench runs on macOS and on Linux for x86-64, and this is {system} for {machine}."
    if numbers(release) < OLDEST_GLIBC:
        return "coremlbench needs Linux with glibc 2.28 or later, and this has {}.".format(
            "glibc " + release if release else "another C library"
        )
    return ""


def note(name: str, python: tuple, system: str, machine: str) -> str:
    """Return what will not work although the lock can be installed, "" when all does."""
    if system == "Darwin" and machine == "x86_64" and python[:2] == (3, 13):
        return (
            f"There is no TensorFlow for Python 3.13 on Intel Macs, so {name} cannot train networks nor open Keras "
            "models; for these run make PYTHON=python3.12 install"
        )
    return ""


def main() -> int:
    """Check this machine and this Python."""
    system, machine = platform.system(), platform.machine()
    libc, glibc = platform.libc_ver() if system == "Linux" else ("", "")
    release = macos_release() if system == "Darwin" else glibc if libc == "glibc" else ""
    name = sys.argv[1] if len(sys.argv) > 1 else "python3"
    sentence = problem(name, sys.version_info, system, machine, release)
    warning = note(name, sys.version_info, system, machine)
    if sentence or warning:
        print(sentence or warning, file=sys.stderr)
    return 1 if sentence else 0


if __name__ == "__main__":
    sys.exit(main())
