"""The locks of the project: renew them, or check that what they promise can be installed.

    locks.py renew    resolve newer versions, write the locks, then check them and save the result
    locks.py check    check the committed locks
    locks.py save     check, and save the result to docs/lock-check.json, from which `make docs` writes a table

A check resolves every lock, wheels only, for every system and Python that it promises, and resolves the requirements
again without newer versions: the same pins must come out, and every hash must still be one that the index has. Nothing
is installed. It needs the package index, and takes about a minute.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "lock-check.json"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
SHOWN = ("tensorflow", "tensorflow-metal", "turicreate", "onnxruntime", "zeus-apple-silicon")
"""Packages whose versions are part of the saved result."""
TRIES = 2
"""A package index that does not answer once is no defect of a lock."""
AT_ONCE = 6
"""Resolutions at once; they mostly wait for the package index."""


@dataclass(frozen=True)
class System:
    """A system that a lock promises: uv's name of the platform, and for macOS the release."""

    name: str
    platform: str
    macos: str = ""


MACS = tuple(
    System(f"macOS {release} {processor}", f"{uv_name}-apple-darwin", f"{release}.0")
    for processor, uv_name in (("arm64", "aarch64"), ("x86_64", "x86_64"))
    for release in (14, 15, 26)
)
LINUX = System("Linux x86_64", "x86_64-manylinux_2_28")
"""Linux with glibc 2.28 or later, which newer wheels of ONNX Runtime ask for."""


@dataclass(frozen=True)
class Lock:
    """A lock: its file, the folder and the arguments to resolve it with, and where it must be installable.

    ``built`` names packages that have no wheel and are built from their source; all others must have one. With
    ``no_dependencies`` the lock is installed as it is: on macOS Turi Create's wheel asks for a TensorFlow that it does
    not need there.
    """

    file: str
    arguments: tuple[str, ...]
    folder: str = "."
    pythons: tuple[str, ...] = PYTHONS
    systems: tuple[System, ...] = (*MACS, LINUX)
    built: tuple[str, ...] = ()
    no_dependencies: bool = False

    @property
    def path(self) -> Path:
        """Return the path of the file."""
        return ROOT / self.file


TURICREATE = "toolkit/coremlbench/createml/turicreate_requirements"
LOCKS = (
    Lock(
        "requirements.lock",
        ("pyproject.toml", "--extra", "tensorflow", "--extra", "energy", "--group", "dev", "--group", "fuzz"),
    ),
    # Kits are installed where there is no TensorFlow, in the same versions.
    Lock(
        "toolkit/coremlbench/timing/kit_files/requirements.lock",
        ("pyproject.toml", "--extra", "energy", "-c", "requirements.lock"),
    ),
    Lock("requirements-bootstrap.lock", ("requirements-bootstrap.in",)),
    Lock(
        f"{TURICREATE}/requirements.lock",
        ("pyproject.toml",),
        TURICREATE,
        ("3.8",),
        (*(mac for mac in MACS if mac.platform == "x86_64-apple-darwin"), LINUX),
        ("prettytable", "resampy"),
        no_dependencies=True,
    ),
)


def run_uv(uv: str, *arguments: str, folder: Path, macos: str = "") -> subprocess.CompletedProcess[str]:
    """Run uv in a folder; ``macos`` is the release that wheels must run on."""
    environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": macos, "NO_COLOR": "1"}
    if not macos:
        del environment["MACOSX_DEPLOYMENT_TARGET"]
    return subprocess.run([uv, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def compile_lock(uv: str, lock: Lock, output: Path, *, upgrade: bool) -> str:
    """Resolve a lock's requirements into ``output``; return what uv says went wrong, "" when nothing did."""
    arguments = ["pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header"]
    arguments += ["--python-version", lock.pythons[0], *lock.arguments, "-o", str(output)]
    ended = run_uv(uv, *arguments, *(["--upgrade"] if upgrade else []), folder=ROOT / lock.folder)
    return _one_line(ended.stderr) if ended.returncode else ""


def resolve(uv: str, lock: Lock, system: System, python: str) -> dict[str, Any]:
    """Return one cell of the result: whether the lock can be installed there, and the versions that are shown."""
    built = [argument for name in lock.built for argument in ("--no-binary", name)]
    built += ["--no-deps"] if lock.no_dependencies else []
    cell: dict[str, Any] = {}
    for _ in range(TRIES):
        cell = _resolve_once(uv, lock, system, python, built)
        if not cell["problem"]:
            break
    return cell


def _resolve_once(uv: str, lock: Lock, system: System, python: str, built: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as target:
        ended = run_uv(
            uv, "pip", "install", "--dry-run", "--no-config", "--python", sys.executable, "--target", target,
            "--python-platform", system.platform, "--python-version", python, "--only-binary", ":all:", *built,
            "--require-hashes", "-r", str(lock.path), folder=ROOT, macos=system.macos,
        )  # fmt: skip
    versions = dict(re.findall(r"^ \+ (\S+)==(\S+)$", ended.stdout + ended.stderr, re.MULTILINE))
    return {
        "lock": lock.file,
        "system": system.name,
        "python": python,
        "packages": len(versions),
        "versions": {name: versions[name] for name in SHOWN if name in versions},
        "problem": _one_line(ended.stderr) if ended.returncode else "" if versions else "nothing would be installed",
    }


def pins(text: str) -> dict[str, set[str]]:
    """Return the hashes of a lock by its requirement, which is a name, a version and a marker."""
    entries: dict[str, set[str]] = {}
    requirement = ""
    for line in text.splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = line.removesuffix("\\").strip()
            entries[requirement] = set()
        elif (match := re.match(r" +--hash=(\S+)", line)) is not None:
            entries[requirement].add(match[1])
    return entries


def differences(committed: str, resolved: str) -> Iterator[str]:
    """Yield how a committed lock differs from what its requirements resolve to now.

    The index may have more hashes than the lock, as wheels can be added to a release.
    """
    old, new = pins(committed), pins(resolved)
    for requirement in sorted(old.keys() | new.keys()):
        if requirement not in new:
            yield f"the requirements do not ask for {requirement}"
        elif requirement not in old:
            yield f"the requirements ask for {requirement}, which is not in the lock"
        elif not old[requirement]:
            yield f"{requirement} has no hash"
        elif old[requirement] - new[requirement]:
            yield f"the index has no file of {requirement} with {min(old[requirement] - new[requirement])}"


def check_pins(uv: str, lock: Lock) -> list[str]:
    """Return how a lock differs from what its requirements resolve to without newer versions."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "requirements.lock"
        shutil.copyfile(lock.path, output)
        problem = compile_lock(uv, lock, output, upgrade=False)
        return [problem] if problem else list(differences(lock.path.read_text("utf-8"), output.read_text("utf-8")))


def check(uv: str) -> tuple[dict[str, Any], list[str]]:
    """Return the result of all checks as it is saved, and the problems."""
    cells = [(lock, system, python) for lock in LOCKS for system in lock.systems for python in lock.pythons]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        pinned = list(pool.map(lambda lock: check_pins(uv, lock), LOCKS))
        resolved = list(pool.map(lambda cell: resolve(uv, *cell), cells))
    problems = [f"{lock.file}: {problem}" for lock, found in zip(LOCKS, pinned, strict=True) for problem in found]
    problems += [
        f"{cell['lock']}, {cell['system']}, Python {cell['python']}: {cell['problem']}"
        for cell in resolved
        if cell["problem"]
    ]
    hashes = {lock.file: hashlib.sha256(lock.path.read_bytes()).hexdigest() for lock in LOCKS}
    return {"locks": hashes, "cells": resolved}, problems


def _one_line(text: str) -> str:
    """Return what uv says went wrong as one line, without what it did before."""
    text = text[text.find("error:") :] if "error:" in text else text
    return " ".join(text.split())[:700]


def main() -> int:
    """Run the command; return 1 when a lock has a problem or the saved result is another one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["renew", "check", "save"])
    parser.add_argument("--uv", default=shutil.which("uv") or "uv", help="the uv to run")
    arguments = parser.parse_args()
    uv = shutil.which(arguments.uv) or arguments.uv
    uv = str(Path(uv).absolute())  # it runs in several folders
    if arguments.command == "renew":
        for lock in LOCKS:
            problem = compile_lock(uv, lock, lock.path, upgrade=True)
            if problem:
                print(f"{lock.file} cannot be resolved: {problem}")
                return 1
    result, problems = check(uv)
    for problem in problems:
        print(problem)
    if arguments.command != "check":
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    elif not problems and (not RESULT.exists() or json.loads(RESULT.read_text(encoding="utf-8")) != result):
        problems = ["the saved result differs"]
        print(f"{RESULT.relative_to(ROOT)} holds another result; run `make lock-check SAVE=1`, then `make docs`.")
    good = sum(not cell["problem"] for cell in result["cells"])
    print(f"{good} of {len(result['cells'])} combinations of lock, system and Python can be installed.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
