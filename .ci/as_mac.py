"""Make an environment on Linux with the versions that the lock has for a Mac: ``as_mac.py arm64 .venv-as-mac-arm64``.

A Mac has other versions of TensorFlow, NumPy, protobuf and ONNX than Linux. With them, most of what a Mac would run can
be tested here. The markers of the lock are evaluated as on macOS; packages that exist for macOS only are left out.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import find_python
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
MAC_ONLY = ("tensorflow-metal", "zeus-apple-silicon")
"""Packages without a wheel or a source for Linux."""


def entries(text: str) -> Iterator[tuple[Requirement, list[str]]]:
    """Yield each requirement of a lock with the lines of its hashes."""
    for entry in re.split(r"\n(?=[^\s#])", text):
        first, *rest = entry.splitlines()
        yield Requirement(first.removesuffix("\\").strip()), [line for line in rest if "--hash=" in line]


def mac_environment(processor: str, python: str) -> dict[str, str]:
    """Return the values of markers on a Mac with CPython; ``python`` is 3.12 or 3.12.1."""
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": processor,
        "platform_python_implementation": "CPython",
        "platform_system": "Darwin",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": "darwin",
    }


def mac_requirements(text: str, processor: str, python: str) -> tuple[str, list[str]]:
    """Return the part of a lock that a Mac installs, without markers, and the pins that Linux has no file for."""
    environment = mac_environment(processor, python)
    lines: list[str] = []
    left_out = []
    for requirement, hashes in entries(text):
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        pin = f"{requirement.name}{requirement.specifier}"
        if requirement.name in MAC_ONLY:
            left_out.append(pin)
        else:
            lines += [f"{pin} \\", *hashes]
    return "\n".join(lines) + "\n", left_out


def install(uv: str, processor: str, folder: Path, python: str) -> int:
    """Make the environment anew with a Python, which is a path; return 1 when that or uv fails."""
    asked = subprocess.run(
        [python, "-c", "import platform; print(platform.python_version())"], capture_output=True, text=True, check=True
    )
    version = asked.stdout.strip()
    requirements, left_out = mac_requirements(LOCK.read_text(encoding="utf-8"), processor, version)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "requirements.lock"
        file.write_text(requirements, encoding="utf-8")
        into = [uv, "pip", "install", "--quiet", "--no-deps", "--python", str(folder / "bin" / "python")]
        for arguments in (
            [python, "-m", "venv", "--clear", str(folder)],  # with pip, which tests use
            [*into, "--require-hashes", "-r", str(file)],
            [*into, "--no-build-isolation", "--editable", str(ROOT)],
        ):
            if subprocess.run(arguments, check=False).returncode:
                return 1
    versions = {requirement.name: str(requirement.specifier) for requirement, _ in entries(requirements)}
    shown = ", ".join(f"{name} {versions[name][2:]}" for name in ("tensorflow", "keras", "numpy", "protobuf", "onnx"))
    print(f"{folder.name}: the versions of a Mac with {processor} and Python {version}: {shown}.")
    print(f"Left out, as they exist for macOS only: {', '.join(left_out) or 'nothing'}.")
    return 0


def main() -> int:
    """Install; return 0 when all went well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("processor", choices=["arm64", "x86_64"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--uv", default=shutil.which("uv") or "uv", help="the uv to run")
    arguments = parser.parse_args()
    python = sys.executable
    if sys.version_info >= (3, 13):  # there TensorFlow is the same for Linux and Apple silicon
        python = next((path for path in find_python.candidates("3.12") if find_python.runs(path, "3.12")), "")
        if not python:
            print(
                "Macs have other versions up to Python 3.12, which is not here: run make PYTHON=python3.12 test-as-mac"
            )
            return 2
    return install(arguments.uv, arguments.processor, arguments.folder, python)


if __name__ == "__main__":
    sys.exit(main())
