"""A kit holds its program: a wheel of what is installed, a lock, and a script that installs and runs it anywhere."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coremlbench import __version__
from coremlbench.timing.kit_program import FOLDER, LOCK, SCRIPT, TEMPLATES, kit_program, own_wheel
from coremlbench.timing.matrix import time_models

WHEEL = f"coremlbench-{__version__}-py3-none-any.whl"
APPLE_DOUBLE = bytes.fromhex("0005160700020000") + b"Mac OS X        "


@pytest.fixture(scope="module")
def wheel() -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(io.BytesIO(own_wheel()[1])) as archive:
        yield archive


def test_the_wheel_holds_the_program_its_data_and_its_licence(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert own_wheel() == own_wheel(), "the same files give the same bytes"
    assert own_wheel()[0] == WHEEL
    for name in (
        "coremlbench/workers/timing.py",
        "coremlbench/py.typed",
        "coremlbench/timing/kit_files/run.sh",
        "coremlbench/createml/turicreate_requirements/requirements.lock",
        "coremlbench_models/lenet.py",
        "coremlbench_datasets/drawn_food.py",
        f"coremlbench-{__version__}.dist-info/licenses/LICENSE",
        f"coremlbench-{__version__}.dist-info/entry_points.txt",
    ):
        assert name in names
    assert not [name for name in names if "__pycache__" in name or "direct_url" in name or "uv_" in name]


def test_the_record_of_the_wheel_has_the_hash_of_every_file(wheel: zipfile.ZipFile) -> None:
    record = f"coremlbench-{__version__}.dist-info/RECORD"
    rows = dict(line.split(",", 1) for line in wheel.read(record).decode().splitlines())
    assert rows.pop(record) == ","
    expected = {}
    for name in wheel.namelist():
        digest = base64.urlsafe_b64encode(hashlib.sha256(wheel.read(name)).digest()).decode().rstrip("=")
        expected[name] = f"sha256={digest},{wheel.getinfo(name).file_size}"
    del expected[record]
    assert rows == expected


def write_program(folder: Path) -> str:
    """Write a kit's program; return the name of its environment."""
    program = kit_program()
    for name, content in program.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return program.environment


@pytest.mark.long
def test_pip_installs_the_wheel_from_a_stick(tmp_path: Path) -> None:
    """From a folder with a space in its name, beside AppleDouble files, by its hash, and from no other folder."""
    kit = tmp_path / "my kit"
    write_program(kit)
    for name in (WHEEL, LOCK):
        (kit / FOLDER / f"._{name}").write_bytes(APPLE_DOUBLE)
    lock = kit / FOLDER / LOCK
    own = re.match(r"(?s)(.*?--hash=\S+\n)", lock.read_text(encoding="utf-8"))  # without what needs a package index
    assert own is not None
    lock.write_text(own[0], encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    install = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-compile", "--quiet"]
    command = [*install, "--target", str(tmp_path / "installed"), "-r", str(lock)]
    subprocess.run(command, check=True, cwd="/", env=environment)
    asked = subprocess.run(
        [sys.executable, "-c", "import coremlbench, sys; print(coremlbench.__file__); print(coremlbench.__version__)"],
        env={**environment, "PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.splitlines() == [str(tmp_path / "installed" / "coremlbench" / "__init__.py"), __version__]
    (kit / FOLDER / WHEEL).write_bytes((kit / FOLDER / WHEEL).read_bytes() + b"\0")
    refused = subprocess.run(command, check=False, cwd="/", env=environment, capture_output=True, text=True)
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in refused.stderr


# --- the script ---------------------------------------------------------------------------------------------

PYTHON = """#!/bin/sh
# A stand-in for a Python: it tells a version, makes an environment with itself in it, and notes what pip is to install.
case "$*" in
*ensurepip*) [ {usable} ] && echo 3.12.9 ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && cp "$(dirname "$0")/coremlbench" "$3/bin/" ;;
"-m pip "*) echo "$@" >"$HOME/pip"; exit {pip} ;;
esac
"""
PROGRAM = """#!/bin/sh
printf '%s\\n' "$@" >"$HOME/arguments"
case "$*" in *--nonsense*) echo "Error: No such option" >&2; exit 2 ;; esac
mkdir -p "$COREMLBENCH_RESULTS/run" && echo measured >"$COREMLBENCH_RESULTS/run/run.json"
echo "{}"
exit 3
"""


class Machine(SimpleNamespace):
    """A machine with a kit on a disk of its own, a home, and the tools in ``bin``."""

    kit: Path
    home: Path
    bin: Path
    environment: str

    def tool(self, name: str, text: str) -> Path:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.bin), "HOME": str(self.home), **variables}
        command = ["/bin/sh", str(self.kit / SCRIPT), *arguments]
        return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Tools of the system are linked into ``bin``; the folders where Pythons may be are below the temporary one."""
    machine = Machine(kit=tmp_path / "USB STICK" / "my kit", home=tmp_path / "home", bin=tmp_path / "bin")
    machine.environment = write_program(machine.kit)
    script = machine.kit / SCRIPT
    text = script.read_text(encoding="utf-8")
    for folder in ("/opt/homebrew", "/usr/local", "/Library", "/usr/bin/sw_vers", "/usr/sbin/sysctl", "/usr/bin/arch"):
        text = text.replace(folder, f"{tmp_path}{folder}")
    script.write_text(text, encoding="utf-8")
    machine.home.mkdir()
    machine.bin.mkdir()
    for name in ("cp", "dirname", "mkdir", "rm", "uname"):
        path = shutil.which(name)
        assert path is not None
        (machine.bin / name).symlink_to(path)
    machine.tool("coremlbench", PROGRAM)
    return machine


def test_the_script_installs_once_and_runs(machine: Machine) -> None:
    machine.tool("python3", PYTHON.format(usable="1 = 1", pip=0))
    ended = machine.run("--quick")
    environment = machine.home / machine.environment
    assert (ended.returncode, ended.stdout) == (3, "{}\n"), "the program's own exit code and output"
    steps = [line for line in ended.stderr.splitlines() if line.startswith("Step")]
    assert [step.partition(":")[0] for step in steps] == ["Step 1 of 3", "Step 2 of 3", "Step 3 of 3"]
    assert f"Python 3.12.9 ({machine.bin / 'python3'}) in {environment}" in steps[0]
    assert (machine.home / "pip").read_text().endswith(f"--no-deps -r {machine.kit / FOLDER / LOCK}\n")
    expected = ["convert-and-time", "--from-kit", str(machine.kit), "--quick"]
    assert (machine.home / "arguments").read_text().splitlines() == expected
    for results in (machine.home / "coremlbench-results", machine.kit / "results"):
        assert (results / "run" / "run.json").read_text() == "measured\n"
    assert f'To remove the program: rm -r "{environment}"' in ended.stderr
    (machine.home / "pip").unlink()
    again = machine.run()
    assert again.stderr.startswith(f"The program is installed in {environment} already.")
    assert not (machine.home / "pip").exists()


def test_an_installation_that_failed_is_begun_again(machine: Machine) -> None:
    machine.tool("python3", PYTHON.format(usable="1 = 1", pip=1))
    ended = machine.run()
    assert ended.returncode == 2
    assert ended.stderr.strip().endswith("Check the connection, then run this again.")
    machine.tool("python3", PYTHON.format(usable="1 = 1", pip=0))
    assert "Step 2 of 3" in machine.run().stderr


def test_other_commands_see_the_results(machine: Machine) -> None:
    machine.tool("python3", PYTHON.format(usable="1 = 1", pip=0))
    ended = machine.run("report", "--open")
    assert (machine.home / "arguments").read_text().splitlines() == ["report", "--open"]
    assert (ended.returncode, ended.stdout) == (3, "{}\n")
    assert (machine.home / "coremlbench-results" / "run" / "run.json").exists()


def test_wrong_options_end_with_what_is_wrong(machine: Machine) -> None:
    machine.tool("python3", PYTHON.format(usable="1 = 1", pip=0))
    ended = machine.run("--nonsense")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.endswith("Error: No such option\n")
    assert not (machine.kit / "results").exists()


def test_a_kit_on_a_disk_that_cannot_be_written_to_keeps_its_results_at_home(machine: Machine) -> None:
    machine.tool("python3", PYTHON.format(usable="1 = 1", pip=0))
    (machine.kit / "results").write_text("in the way")  # root may write to a folder without write bits
    ended = machine.run()
    home = machine.home / "coremlbench-results"
    assert f"This folder cannot be written to, so the results are in {home} only." in ended.stderr


def test_no_python_is_said_in_one_sentence_with_a_way_without_administrator_rights(machine: Machine) -> None:
    machine.tool("python3", PYTHON.format(usable="1 = 2", pip=0))  # such as macOS's own 3.9
    ended = machine.run()
    (sentence,) = ended.stderr.splitlines()
    assert ended.returncode == 2
    assert sentence.startswith("There is no Python 3.10 to 3.13 for x86_64 here (macOS's own is 3.9); without")
    assert "`~/.local/bin/uv python install 3.12` puts one into your home folder; then run this again." in sentence
    assert list(machine.home.iterdir()) == []


@pytest.mark.parametrize(
    "place", [".local/bin/python3.11", ".local/share/uv/python/cpython-3.13.1-x/bin/python3", "miniforge3/bin/python3"]
)
def test_a_python_in_the_home_is_found(machine: Machine, place: str) -> None:
    path = machine.home / place
    path.parent.mkdir(parents=True)
    shutil.copy(machine.tool("stand-in", PYTHON.format(usable="1 = 1", pip=0)), path)
    shutil.copy(machine.bin / "coremlbench", path.parent)
    assert f"({path})" in machine.run().stderr


def test_a_named_python_is_taken_or_refused(machine: Machine) -> None:
    named = machine.tool("other", PYTHON.format(usable="1 = 1", pip=0))
    assert f"({named})" in machine.run(COREMLBENCH_PYTHON=str(named)).stderr
    shutil.rmtree(machine.home / machine.environment)
    machine.tool("other", PYTHON.format(usable="1 = 2", pip=0))
    refused = machine.run(COREMLBENCH_PYTHON=str(named))
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"{named} is no Python 3.10 to 3.13 for x86_64")


@pytest.mark.parametrize(
    ("release", "says"), [("13.6.9", "This kit needs macOS 14 or later, and this is macOS 13.6.9."), ("26.1", "")]
)
def test_the_release_of_macos_is_checked(machine: Machine, tmp_path: Path, release: str, says: str) -> None:
    machine.tool("python3", PYTHON.format(usable='"$3" = arm64', pip=0))
    machine.tool("uname", "#!/bin/sh\ncase $1 in -m) echo arm64 ;; *) echo Darwin ;; esac\n")
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    shutil.copy(machine.tool("sw_vers", f"#!/bin/sh\necho {release}\n"), tmp_path / "usr" / "bin" / "sw_vers")
    ended = machine.run()
    assert ended.returncode == (2 if says else 3)
    assert not says or ended.stderr.strip() == says


def test_under_rosetta_the_script_starts_itself_natively(machine: Machine, tmp_path: Path) -> None:
    machine.tool("uname", "#!/bin/sh\ncase $1 in -m) echo x86_64 ;; *) echo Darwin ;; esac\n")
    for name, text in {"usr/sbin/sysctl": "echo 1", "usr/bin/arch": 'printf "%s\\n" "$@"'}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(machine.tool("stand-in", f"#!/bin/sh\n{text}\n"), tmp_path / name)
    expected = ["-arm64", "/bin/sh", str(machine.kit / SCRIPT), "--units", "CPU_ONLY,CPU_AND_NE"]
    assert machine.run(*expected[3:]).stdout.splitlines() == expected


@pytest.mark.parametrize(
    ("system", "processor", "says"),
    [
        ("Linux", "aarch64", "This kit runs on Macs and on Linux for x86-64, and this processor is aarch64."),
        ("FreeBSD", "amd64", "This kit runs on Macs and on Linux for x86-64, and this is FreeBSD."),
    ],
)
def test_other_systems_are_refused(machine: Machine, system: str, processor: str, says: str) -> None:
    machine.tool("uname", f"#!/bin/sh\ncase $1 in -m) echo {processor} ;; *) echo {system} ;; esac\n")
    ended = machine.run()
    assert (ended.returncode, ended.stderr) == (2, f"{says}\n")


def test_a_kit_that_was_not_copied_whole_is_said(machine: Machine) -> None:
    (machine.kit / FOLDER / LOCK).unlink()
    assert machine.run().stderr == (
        "This kit is not whole: it has no program/requirements.lock; copy its folder again.\n"
    )


@pytest.mark.slow  # it downloads and installs fifty packages
@pytest.mark.network
@pytest.mark.tensorflow
def test_a_kit_runs_where_nothing_is_installed(tmp_path: Path) -> None:
    """From a folder like one on a stick: with a space, no executable files and AppleDouble files beside everything."""
    from tests.timed_packages import TINY, make_package, quiet, stand_in, timing_input_of

    kit, home = tmp_path / "USB STICK" / "my kit", tmp_path / "home"
    home.mkdir()
    packer = replace(stand_in(tmp_path), unavailable_reason=lambda runtime, unit: "not here")
    package = make_package(tmp_path, "small")
    arguments: dict[str, Any] = {"results": tmp_path / "results", "command": ["coremlbench"], "on_progress": quiet}
    kit.parent.mkdir()
    time_models(timing_input_of([package]), TINY, capabilities=packer, kit=kit, **arguments)
    for path in list(kit.rglob("*")):
        path.with_name(f"._{path.name}").write_bytes(APPLE_DOUBLE)
        if path.is_file():
            path.chmod(0o644)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COREMLBENCH_")}
    environment |= {"HOME": str(home), "COREMLBENCH_PYTHON": sys.executable}
    command = ["sh", str(kit / SCRIPT), "--quick", "--rounds", "1", "--calls", "5", "--seconds", "0.1s", "--json"]
    ended = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (saved,) = (kit / "results").glob("*/run.json")
    record = json.loads(saved.read_text())
    assert [row["runtime"] for row in record["measurements"]] == ["reference"], "there is no TensorFlow"
    assert json.loads(ended.stdout)["id"] == record["id"]
    assert record["measurements"][0]["output_error"] == 0


def test_the_templates_are_there() -> None:
    assert {path.name for path in TEMPLATES.iterdir()} >= {LOCK, SCRIPT}
