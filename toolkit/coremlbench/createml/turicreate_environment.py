"""The isolated Python of Turi Create, made with uv from a pinned and hashed lock, once, in the user's cache folder.

Turi Create 6.4.1 is the last release; it needs Python 3.8 on x86-64 and packages of its time. On Apple silicon an
x86-64 Python runs under Rosetta.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from coremlbench.types.errors import CoremlbenchError

LOCK = Path(__file__).with_name("turicreate_requirements") / "requirements.lock"

PROOF = """
import json, turicreate
from array import array
frame = turicreate.SFrame({"features": turicreate.SArray([array("d", [0.0, 1.0])]), "label": [1]})
assert list(frame["label"]) == [1] and list(frame["features"][0]) == [0.0, 1.0]
import tensorflow
print("proof:" + json.dumps({"tensorflow": tensorflow.__version__}))
"""
"""Run before an environment is used: `import turicreate` alone succeeds in environments that cannot hold data."""

PROBE = "import json, platform, sys; print(json.dumps([list(sys.version_info[:3]), platform.machine()]))"


class EnvironmentBuildError(CoremlbenchError):
    """Turi Create's environment could not be made."""


@dataclass(frozen=True)
class Recipe:
    """How an isolated environment is made: its name, its hashed lock, and a script that proves it, run in it.

    The proof prints a line "proof:" followed by a JSON object.
    """

    name: str
    lock: Path
    proof: str


@dataclass(frozen=True)
class Python:
    """A Python interpreter: where it is, its version and the processor it was built for."""

    path: Path
    version: tuple[int, int, int]
    machine: str
    found: str

    @property
    def version_text(self) -> str:
        """Return the version as 3.8.18."""
        return ".".join(map(str, self.version))

    @property
    def suits_turicreate(self) -> bool:
        """Return whether Turi Create has a wheel for it."""
        return self.version[:2] == (3, 8) and self.machine == "x86_64"


TURICREATE = Recipe("Turi Create", LOCK, PROOF)


def folder_of(recipe: Recipe, cache: Path) -> Path:
    """Return where the environment of a recipe is or will be; another lock gets another folder."""
    name = recipe.name.lower().replace(" ", "")
    return cache / "environments" / f"{name}-{hashlib.sha256(recipe.lock.read_bytes()).hexdigest()[:12]}"


def ready(recipe: Recipe, cache: Path) -> Path | None:
    """Return the Python of an environment that was made and proven, or None."""
    folder = folder_of(recipe, cache)
    python = folder / "bin" / "python"
    return python if (folder / "proven.json").is_file() and python.exists() else None


def ensure(recipe: Recipe, cache: Path, report: Callable[[str], None]) -> Path:
    """Return the Python of a recipe's environment, making the environment if it is not there.

    A second process waits for the first. The environment is built beside its place, proven by a real import, and
    moved there whole, so that an interrupted build leaves nothing that could be taken for a good one.

    Raises:
        EnvironmentBuildError: no Python 3.8 can be had, a package cannot be fetched, or the proof fails.
    """
    from coremlbench.system.locks import locked

    folder = folder_of(recipe, cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock"), report):
        for leftover in folder.parent.glob(f"{folder.name}*.building"):
            shutil.rmtree(leftover, ignore_errors=True)
        python = ready(recipe, cache)
        if python:
            return python
        shutil.rmtree(folder, ignore_errors=True)
        # A name of its own: the installer of a killed build may live on for a moment, and writes into its own folder.
        building = folder.with_name(f"{folder.name}-{secrets.token_hex(4)}.building")
        base = find_python38() or _install_python38(report)
        report(f"making the environment of {recipe.name} with Python {base.version_text} ({base.found})")
        _uv("venv", "--quiet", "--no-project", "--relocatable", "--python", str(base.path), str(building))
        report(f"installing {recipe.name} and what it needs")
        target = building / "bin" / "python"
        _uv(
            "pip",
            "install",
            "--quiet",
            "--no-config",
            "--python",
            str(target),
            "--require-hashes",
            "-r",
            str(recipe.lock),
        )
        report(f"proving that {recipe.name} works")
        proof = prove(recipe, target)
        (building / "proven.json").write_text(json.dumps({"python": str(base.path), **proof}), encoding="utf-8")
        building.rename(folder)
    return folder / "bin" / "python"


def prove(recipe: Recipe, python: Path) -> dict[str, str]:
    """Return what the recipe's proof told in that environment.

    Raises:
        EnvironmentBuildError: the proof failed; the message holds its last line.
    """
    with tempfile.TemporaryDirectory(prefix="coremlbench-") as scratch:
        ended = subprocess.run(
            [str(python), "-I", "-c", recipe.proof],
            env={**os.environ, "TMPDIR": scratch, "TURI_LOG_PATH": scratch},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    for line in ended.stdout.splitlines():
        if line.startswith("proof:"):
            return dict(json.loads(line.removeprefix("proof:")))
    last = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
    raise EnvironmentBuildError(
        f"{recipe.name} was installed but does not work: {last}; this is a defect of its lock, please report it."
    )


# --- Python 3.8 ---------------------------------------------------------------------------------------------


def find_python38() -> Python | None:
    """Return a Python 3.8 that Turi Create can use: on PATH, in pyenv's versions folder, or among uv's own."""
    return next((python for python in _pythons38() if python.suits_turicreate), None)


def _pythons38() -> Iterator[Python]:
    seen: set[Path] = set()
    for path, found in _candidates():
        if path in seen:
            continue
        seen.add(path)
        python = _examine(path, found)
        if python:
            yield python


def _candidates() -> Iterator[tuple[Path, str]]:
    for folder in os.get_exec_path():
        path = Path(folder) / "python3.8"
        if path.is_file():
            yield path, "on PATH"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    versions = [path for path in pyenv.glob("3.8.*") if re.fullmatch(r"3\.8\.\d+", path.name)]
    for version in sorted(versions, key=lambda path: int(path.name.rsplit(".", 1)[1]), reverse=True):
        yield version / "bin" / "python3.8", "in pyenv's versions"
    listed = subprocess.run(
        [_uv_path(), "python", "find", "--managed-python", "--no-python-downloads", "--no-project", _uv_request()],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        yield Path(listed.stdout.strip()), "among uv's own"


def _examine(path: Path, found: str) -> Python | None:
    """Return what the interpreter says of itself, or None for one that does not start: pyenv's shims, mostly."""
    try:
        ended = subprocess.run([str(path), "-I", "-c", PROBE], capture_output=True, text=True, timeout=60, check=False)
        version, machine = json.loads(ended.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return Python(path, tuple(version), "x86_64" if machine in ("x86_64", "AMD64") else machine, found)


def _install_python38(report: Callable[[str], None]) -> Python:
    report("fetching Python 3.8, which Turi Create needs")
    try:
        _uv("python", "install", "--quiet", _uv_request())
    except EnvironmentBuildError as error:
        raise EnvironmentBuildError(no_python38()) from error
    python = find_python38()
    if python is None:
        raise EnvironmentBuildError(no_python38())
    return python


def _uv_request() -> str:
    """Return uv's name of an x86-64 Python 3.8 for this system."""
    return "cpython-3.8-macos-x86_64-none" if platform.system() == "Darwin" else "cpython-3.8-linux-x86_64-gnu"


def no_python38() -> str:
    """Return the sentence for a machine without a usable Python 3.8, when none could be fetched."""
    return (
        f"Turi Create needs Python 3.8 for x86-64, and none is here nor could be fetched; {install_python38()}, then "
        "run this again."
    )


def install_python38() -> str:
    """Return how a person installs a Python 3.8 that Turi Create can use, as a part of a sentence."""
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return (
            "install Rosetta with `softwareupdate --install-rosetta` and an x86-64 Python 3.8 with `arch -x86_64 pyenv "
            "install 3.8`"
        )
    return "install one, for example with `pyenv install 3.8`"


# --- uv -----------------------------------------------------------------------------------------------------


def _uv_path() -> str:
    import uv

    return str(uv.find_uv_bin())


def _uv(*arguments: str) -> None:
    """Run uv; on failure raise with its own last words."""
    ended = subprocess.run(
        [_uv_path(), *arguments],
        env={**os.environ, **package_index()},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if ended.returncode:
        said = " ".join(line.strip() for line in ended.stderr.strip().splitlines() if line.strip())
        raise EnvironmentBuildError(
            f"The isolated environment could not be made: uv {arguments[0]} failed ({said[:600]}); check the "
            "connection to your package index, then run this again."
        )


def package_index() -> dict[str, str]:
    """Return the settings that make uv use the package index that pip was told to use; uv's own settings win."""
    if any(name in os.environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")):
        return {}
    chosen = os.environ.get("PIP_INDEX_URL") or _pip_setting("index-url")
    return {"UV_DEFAULT_INDEX": chosen} if chosen else {}


def _pip_setting(key: str) -> str | None:
    home = Path.home()
    files = [
        Path("/etc/pip.conf"),
        Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf",
        home / "Library" / "Application Support" / "pip" / "pip.conf",
        home / ".pip" / "pip.conf",
        Path(os.environ.get("PIP_CONFIG_FILE") or os.devnull),
    ]
    parser = configparser.RawConfigParser()
    try:
        parser.read([file for file in files if file.is_file()], encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return None
    return parser.get("global", key, fallback=None)
