import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from coremlbench.createml.options import CreateMLOptions
from coremlbench.createml.run_context import RunContext
from coremlbench.createml.turicreate_environment import (
    LOCK,
    TURICREATE,
    EnvironmentBuildError,
    Recipe,
    ensure_environment,
    environment_folder,
    find_python38,
    installed_python,
    package_index,
    run_self_test,
)
from coremlbench.runs.stages import Stages

SIX = "six==1.16.0 --hash=sha256:8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254\n"
ENDLESS = "import os, time\nwhile str(os.getppid()) == os.environ['BUILDER']: time.sleep(0.01)"
"""A self-test that ends only after the process that started it."""
SELF_TEST = 'import json, six; print("proof:" + json.dumps({"six": six.__version__}))'

BUILD = """
import os, sys
from pathlib import Path
from coremlbench.createml.turicreate_environment import Recipe, ensure_environment
os.environ["BUILDER"] = str(os.getpid())
recipe = Recipe("small", Path(sys.argv[1]), sys.argv[3])
print(ensure_environment(recipe, Path(sys.argv[2]), lambda message: print(message, flush=True)))
"""


@pytest.fixture
def small(tmp_path: Path) -> Recipe:
    """An environment that is made in a second or two: one small package."""
    (tmp_path / "small.lock").write_text(SIX)
    return Recipe("small", tmp_path / "small.lock", SELF_TEST)


def build(recipe: Recipe, cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, str(recipe.lock), str(cache), recipe.self_test], stdout=subprocess.PIPE, text=True
    )


def test_it_is_made_once_and_proven(small: Recipe, tmp_path: Path) -> None:
    messages: list[str] = []
    assert installed_python(small, tmp_path) is None
    python = ensure_environment(small, tmp_path, messages.append)
    assert installed_python(small, tmp_path) == python
    assert json.loads((environment_folder(small, tmp_path) / "proven.json").read_text())["six"] == "1.16.0"
    assert messages[0].startswith("making the environment of small with Python 3.8.")
    again: list[str] = []
    assert ensure_environment(small, tmp_path, again.append) == python
    assert again == []
    version = subprocess.run(
        [str(python), "-I", "-c", "import sys; print(sys.version)"], capture_output=True, text=True, check=True
    )
    assert version.stdout.startswith("3.8.")


@pytest.mark.long
def test_two_processes_make_it_once(small: Recipe, tmp_path: Path) -> None:
    one, two = build(small, tmp_path), build(small, tmp_path)
    outputs = [process.communicate()[0].splitlines() for process in (one, two)]
    assert one.returncode == two.returncode == 0
    assert outputs[0][-1] == outputs[1][-1] == str(installed_python(small, tmp_path))
    only_waited = [all(line.startswith("waiting for another run") for line in lines[:-1]) for lines in outputs]
    assert sorted(only_waited) == [False, True]


@pytest.mark.long
@pytest.mark.parametrize("step", ["making", "installing", "proving"])
def test_a_killed_build_is_made_anew(step: str, small: Recipe, tmp_path: Path) -> None:
    process = build(Recipe("small", small.lock, ENDLESS), tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(step):
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert installed_python(small, tmp_path) is None
    assert ensure_environment(small, tmp_path, lambda message: None).exists()
    orphans = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(tmp_path) in " ".join(process.info["cmdline"] or ())
    ]
    psutil.wait_procs(orphans)  # uv outlives its parent for a moment, and writes to a folder nobody uses
    assert ensure_environment(small, tmp_path, lambda message: None).exists()
    assert [path.name for path in (tmp_path / "environments").glob("*.building")] == []


@pytest.mark.long
def test_an_environment_that_does_not_work_is_never_used(small: Recipe, tmp_path: Path) -> None:
    broken = Recipe("small", small.lock, "import six, a_package_that_is_not_there")
    with pytest.raises(EnvironmentBuildError, match="does not work: ModuleNotFoundError"):
        ensure_environment(broken, tmp_path, lambda message: None)
    assert installed_python(broken, tmp_path) is None
    assert ensure_environment(small, tmp_path, lambda message: None).exists()


def test_a_package_with_another_hash_is_refused(small: Recipe, tmp_path: Path) -> None:
    small.lock.write_text(SIX.replace("8abb2f1d", "00000000"))
    with pytest.raises(EnvironmentBuildError, match="check the connection to your package index"):
        ensure_environment(small, tmp_path, lambda message: None)


def test_nothing_is_installed_that_the_lock_does_not_hold(tmp_path: Path) -> None:
    """Turi Create's wheel for macOS asks for a TensorFlow, which its lock leaves out there."""
    (block,) = re.findall(r"^python-dateutil==.*\n(?:    --hash=.*\n)+", LOCK.read_text(), re.MULTILINE)
    (tmp_path / "dateutil.lock").write_text(block.rstrip("\\\n") + "\n")
    proof = 'import dateutil, json, importlib.util as u; print("proof:" + json.dumps({"six": u.find_spec("six")}))'
    recipe = Recipe("dateutil", tmp_path / "dateutil.lock", proof)
    python = ensure_environment(recipe, tmp_path, lambda message: None)
    assert json.loads(python.parents[1].joinpath("proven.json").read_text())["six"] is None


def test_another_lock_gets_another_folder(small: Recipe, tmp_path: Path) -> None:
    before = environment_folder(small, tmp_path)
    small.lock.write_text(SIX + "# another\n")
    assert environment_folder(small, tmp_path) != before


def test_the_lock_has_hashes_and_no_addresses() -> None:
    text = LOCK.read_text()
    assert "://" not in text
    pinned = [line for line in text.splitlines() if line and line[0].isalnum()]
    assert len(pinned) > 40
    assert all("==" in line and line.endswith("\\") for line in pinned)


def test_the_lock_for_macos_has_turi_create_and_no_tensorflow() -> None:
    pinned = [line for line in LOCK.read_text().splitlines() if line and line[0].isalnum()]
    on_macos = {line.partition("==")[0] for line in pinned if "sys_platform == 'darwin'" in line}
    on_linux = {line.partition("==")[0] for line in pinned if "sys_platform == 'linux'" in line}
    needed = {"turicreate", "numpy", "protobuf", "coremltools"}
    assert needed <= on_macos < on_linux
    assert {"tensorflow", "keras", "h5py"} <= on_linux - on_macos


ON_A_MAC = """
import sys, turicreate
sys.platform = "darwin"
sys.modules["tensorflow"] = None
"""
"""Makes the self-test, after the import of Turi Create, behave as on macOS, where there is no TensorFlow."""


def test_on_macos_turi_create_is_proven_without_tensorflow(turicreate: Path) -> None:
    versions = run_self_test(Recipe("Turi Create", LOCK, ON_A_MAC + TURICREATE.self_test), turicreate)
    assert versions == {"turicreate": "6.4.1"}


@pytest.mark.slow  # it imports TensorFlow under Python 3.8; a new environment is proven so whenever one is made
@pytest.mark.skipif(sys.platform == "darwin", reason="on a Mac there is no TensorFlow to be proven")
def test_on_linux_tensorflow_is_proven_too(turicreate: Path) -> None:
    assert run_self_test(TURICREATE, turicreate) == {"turicreate": "6.4.1", "tensorflow": "2.13.1"}


def test_rosetta_is_told_to_show_avx_to_the_self_test_and_to_the_worker(small: Recipe, tmp_path: Path) -> None:
    shows = "import json, os; print('proof:' + json.dumps({'avx': os.environ['ROSETTA_ADVERTISE_AVX']}))"
    assert run_self_test(Recipe("small", small.lock, shows), Path(sys.executable)) == {"avx": "1"}
    writes = f'printf \'{{"avx": "%s"}}\' "$ROSETTA_ADVERTISE_AVX" > {tmp_path}/setup/result.json'
    python = executable(tmp_path / "python", writes)
    run = RunContext(CreateMLOptions(), tmp_path, tmp_path, Stages(tmp_path, lambda progress: None))
    assert run.run_turicreate("setup", str(python), {}).result == {"avx": "1"}


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_shim_that_does_not_start_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = find_python38()
    assert real is not None
    executable(tmp_path / "shims" / "python3.8", "echo 'pyenv: python3.8: command not found' >&2; exit 127")
    for name in ("3.8.2", "3.8.10"):
        executable(tmp_path / "versions" / name / "bin" / "python3.8", f'exec {real.path} "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}{os.pathsep}/usr/bin:/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    python = find_python38()
    assert python is not None
    assert python.path == tmp_path / "versions" / "3.8.10" / "bin" / "python3.8"  # the newest, by number
    assert python.supports_turicreate


def test_another_processor_s_python_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = find_python38()
    assert real is not None
    executable(tmp_path / "arm" / "python3.8", "echo '[[3, 8, 10], \"arm64\"]'")
    executable(tmp_path / "x86" / "python3.8", f'exec {real.path} "$@"')
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "arm"), str(tmp_path / "x86"), "/usr/bin", "/bin"]))
    python = find_python38()
    assert python is not None
    assert python.path == tmp_path / "x86" / "python3.8"


def test_uv_is_told_the_index_that_pip_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://mirror.example/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert package_index() == {"UV_DEFAULT_INDEX": "https://mirror.example/simple"}
    monkeypatch.setenv("PIP_INDEX_URL", "https://other.example/simple")
    assert package_index() == {"UV_DEFAULT_INDEX": "https://other.example/simple"}
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://own.example/simple")
    assert package_index() == {}
