"""Turi Create's isolated Python environment: created once with uv from a lock file with hashes, in the user's cache.

Turi Create 6.4.1 is the last release. It needs Python 3.8 for x86-64 and old versions of its dependencies. On Apple
silicon an x86-64 Python runs under Rosetta.
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

from coremlbench.system import macos
from coremlbench.types.errors import CoremlbenchError

LOCK = Path(__file__).with_name("turicreate_requirements") / "requirements.lock"

SELF_TEST = """
import json, sys, turicreate
from array import array
features = turicreate.SArray([array("d", [value, 1.0]) for value in (0.0, 1.0, 2.0, 3.0)])
frame = turicreate.SFrame({"features": features, "label": ["low", "low", "high", "high"]})
model = turicreate.logistic_classifier.create(frame, "label", ["features"], validation_set=None, verbose=False)
assert list(model.predict(frame)) == ["low", "low", "high", "high"], "the classifier learned nothing"
versions = {"turicreate": turicreate.__version__}
if sys.platform != "darwin":
    import tensorflow
    versions["tensorflow"] = tensorflow.__version__
print("proof:" + json.dumps(versions))
"""
"""Run in a new environment: ``import turicreate`` alone succeeds in environments where SFrames do not work.

A tiny classifier is trained as in a run, which loads no TensorFlow. On Linux, Turi Create's own extractors need it; on
macOS they are native code and the lock has none.
"""

CHILD_ENVIRONMENT = {"ROSETTA_ADVERTISE_AVX": "1"}
"""Variables for every process of Turi Create's Python.

From macOS 15 on, Rosetta translates AVX, but shows a process that its processor has AVX only with this variable. Other
systems and native processes ignore it.
"""

INTERPRETER_QUERY = "import json, platform, sys; print(json.dumps([list(sys.version_info[:3]), platform.machine()]))"


class EnvironmentBuildError(CoremlbenchError):
    """An isolated environment could not be created."""


@dataclass(frozen=True)
class Recipe:
    """How an isolated environment is created: its name, its lock file with hashes, and a self-test.

    ``self_test`` is Python code that is run in the environment. If all works, it prints a line "proof:" followed by a
    JSON object of versions.
    """

    name: str
    lock: Path
    self_test: str


@dataclass(frozen=True)
class Python:
    """A Python interpreter: its path, version and processor, and in words where it was found."""

    path: Path
    version: tuple[int, int, int]
    machine: str
    location: str

    @property
    def version_text(self) -> str:
        """Return the version as 3.8.18."""
        return ".".join(map(str, self.version))

    @property
    def supports_turicreate(self) -> bool:
        """Return whether there is a Turi Create wheel for this interpreter."""
        return self.version[:2] == (3, 8) and self.machine == "x86_64"


TURICREATE = Recipe("Turi Create", LOCK, SELF_TEST)


def environment_folder(recipe: Recipe, cache: Path) -> Path:
    """Return the folder of a recipe's environment; its name depends on the content of the lock file."""
    name = recipe.name.lower().replace(" ", "")
    return cache / "environments" / f"{name}-{hashlib.sha256(recipe.lock.read_bytes()).hexdigest()[:12]}"


def installed_python(recipe: Recipe, cache: Path) -> Path | None:
    """Return the Python of an environment that passed its self-test, None if there is none."""
    folder = environment_folder(recipe, cache)
    python = folder / "bin" / "python"
    return python if (folder / "proven.json").is_file() and python.exists() else None


def ensure_environment(recipe: Recipe, cache: Path, report: Callable[[str], None]) -> Path:
    """Return the Python of a recipe's environment, which is created first if it does not exist.

    A file lock makes a second process wait for the first. The environment is built in a temporary folder, tested, and
    then renamed, so that an interrupted build is never used. ``report`` is called with messages on the progress.

    Raises:
        EnvironmentBuildError: there is no Python 3.8, a package cannot be downloaded, or the self-test fails.
    """
    from coremlbench.system.locks import locked

    folder = environment_folder(recipe, cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock"), report):
        for leftover in folder.parent.glob(f"{folder.name}*.building"):
            shutil.rmtree(leftover, ignore_errors=True)
        python = installed_python(recipe, cache)
        if python:
            return python
        shutil.rmtree(folder, ignore_errors=True)
        # A unique name: the installer of a killed build may go on writing to its own folder for a moment.
        building = folder.with_name(f"{folder.name}-{secrets.token_hex(4)}.building")
        base = find_python38() or _install_python38(report)
        report(f"making the environment of {recipe.name} with Python {base.version_text} ({base.location})")
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
            "--no-deps",  # the lock is complete, and for macOS without the TensorFlow that Turi Create asks for
            "--require-hashes",
            "-r",
            str(recipe.lock),
        )
        report(f"proving that {recipe.name} works")
        versions = run_self_test(recipe, target)
        (building / "proven.json").write_text(json.dumps({"python": str(base.path), **versions}), encoding="utf-8")
        building.rename(folder)
    return folder / "bin" / "python"


def run_self_test(recipe: Recipe, python: Path) -> dict[str, str]:
    """Run the recipe's self-test with a Python, and return the versions it prints.

    Raises:
        EnvironmentBuildError: the test failed; the message contains the last line of its output.
    """
    with tempfile.TemporaryDirectory(prefix="coremlbench-") as scratch:
        ended = subprocess.run(
            [str(python), "-I", "-c", recipe.self_test],
            env={**os.environ, **CHILD_ENVIRONMENT, "TMPDIR": scratch, "TURI_LOG_PATH": scratch},
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
    return next((python for python in _pythons38() if python.supports_turicreate), None)


def _pythons38() -> Iterator[Python]:
    """Yield the Python 3.8 interpreters of this machine that start, each once."""
    seen: set[Path] = set()
    for path, location in _candidates():
        if path in seen:
            continue
        seen.add(path)
        python = _query_interpreter(path, location)
        if python:
            yield python


def _candidates() -> Iterator[tuple[Path, str]]:
    """Yield the paths where a Python 3.8 may be, each with its location in words."""
    for folder in os.get_exec_path():
        path = Path(folder) / "python3.8"
        if os.access(path, os.X_OK):  # False also for a folder that this user cannot read
            yield path, "on PATH"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    readable = os.access(pyenv, os.R_OK | os.X_OK)
    versions = [path for path in pyenv.glob("3.8.*") if re.fullmatch(r"3\.8\.\d+", path.name)] if readable else []
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


def _query_interpreter(path: Path, location: str) -> Python | None:
    """Return the interpreter with its version and processor, None if it does not start (pyenv's shims may not)."""
    try:
        ended = subprocess.run(
            [str(path), "-I", "-c", INTERPRETER_QUERY], capture_output=True, text=True, timeout=60, check=False
        )
        version, machine = json.loads(ended.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return Python(path, tuple(version), "x86_64" if machine in ("x86_64", "AMD64") else machine, location)


def _install_python38(report: Callable[[str], None]) -> Python:
    """Let uv download a Python 3.8.

    Raises:
        EnvironmentBuildError: uv cannot download one, or it does not start here.
    """
    report("fetching Python 3.8, which Turi Create needs")
    try:
        _uv("python", "install", "--quiet", _uv_request())
    except EnvironmentBuildError as error:
        raise EnvironmentBuildError(no_python38_message()) from error
    python = find_python38()
    if python is None:
        raise EnvironmentBuildError(no_python38_message())
    return python


def _uv_request() -> str:
    """Return uv's name of the x86-64 Python 3.8 for this system."""
    return "cpython-3.8-macos-x86_64-none" if macos.is_macos() else "cpython-3.8-linux-x86_64-gnu"


def no_python38_message() -> str:
    """Return the error message for a machine without Python 3.8 that could not download one."""
    return (
        "Turi Create needs Python 3.8 for x86-64, and none is here nor could be fetched; "
        f"{python38_install_advice()}, then run this again."
    )


def python38_install_advice() -> str:
    """Return how to install a Python 3.8 that Turi Create can use, as a clause for a message."""
    if macos.is_macos() and platform.machine() == "arm64":
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
    """Run uv.

    Raises:
        EnvironmentBuildError: uv failed; the message contains the beginning of its error output.
    """
    ended = subprocess.run(
        [_uv_path(), *arguments],
        env={**os.environ, **package_index()},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if ended.returncode:
        output = " ".join(line.strip() for line in ended.stderr.strip().splitlines() if line.strip())
        raise EnvironmentBuildError(
            f"The isolated environment could not be made: uv {arguments[0]} failed ({output[:600]}); check the "
            "connection to your package index, then run this again."
        )


def package_index() -> dict[str, str]:
    """Return environment variables that make uv use pip's package index; none if uv has a setting of its own."""
    if any(name in os.environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")):
        return {}
    index = os.environ.get("PIP_INDEX_URL") or _pip_setting("index-url")
    return {"UV_DEFAULT_INDEX": index} if index else {}


def _pip_setting(key: str) -> str | None:
    """Return a global setting from pip's configuration files, None if it is not set; later files win, as in pip."""
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
