"""The locks hold what Macs need, and the page on what can be installed is true. No test needs the package index."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from docs import make_install

ROOT = Path(__file__).parents[1]
MAIN, KIT, TURICREATE = make_install.MAIN, make_install.KIT, make_install.TURICREATE
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


@pytest.fixture(scope="module", autouse=True)
def _scripts_import_each_other() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / ".ci"))
        yield


@cache
def script(name: str) -> ModuleType:
    """Return a script of .ci as a module."""
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


def locked(lock: str, processor: str, python: str) -> dict[str, str]:
    """Return the versions that a lock has for a Mac."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    requirements, left_out = script("as_mac").mac_requirements(text, processor, python)
    lines = [line.removesuffix(" \\") for line in requirements.splitlines() if "--hash=" not in line]
    return dict(line.split("==") for line in [*lines, *left_out])


# --- what the locks hold ------------------------------------------------------------------------------------


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12"])
def test_onnx_fits_the_ml_dtypes_of_intel_macs(python: str) -> None:
    """With ml-dtypes 0.3.2, onnx 1.19 cannot be imported: it names a type that came with ml-dtypes 0.5."""
    versions = locked(MAIN, "x86_64", python)
    assert (versions["ml-dtypes"], versions["onnx"]) == ("0.3.2", "1.18.0")
    assert locked(KIT, "x86_64", python)["onnx"] == "1.18.0"


@pytest.mark.parametrize("lock", [MAIN, KIT])
def test_intel_macs_get_what_exists_for_python_313(lock: str) -> None:
    """NumPy 1.26.4 and ml-dtypes 0.3.2, which TensorFlow 2.16.2 holds back, have no wheel for it."""
    versions = locked(lock, "x86_64", "3.13")
    assert not {"tensorflow", "tf-keras", "keras"} & set(versions)
    assert int(versions["numpy"].partition(".")[0]) >= 2
    assert versions.get("ml-dtypes") != "0.3.2"


@pytest.mark.parametrize("lock", [MAIN, KIT])
@pytest.mark.parametrize("python", PYTHONS)
def test_energy_can_be_measured_on_apple_silicon(lock: str, python: str) -> None:
    assert "zeus-apple-silicon" in locked(lock, "arm64", python)
    assert "zeus-apple-silicon" not in locked(lock, "x86_64", python)


@pytest.mark.parametrize("processor", ["arm64", "x86_64"])
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_of_kits_is_a_small_part_of_the_other_one(processor: str, python: str) -> None:
    kit, whole = (locked(lock, processor, python) for lock in (KIT, MAIN))
    assert kit.items() <= whole.items()
    assert len(kit) < 55
    assert not {"tensorflow", "keras", "tf-keras", "tensorflow-metal", "pytest", "mypy", "ruff"} & set(kit)
    assert {"coremltools", "onnxruntime", "numpy", "click"} <= set(kit)


def test_the_locks_hold_a_hash_for_everything_and_no_address() -> None:
    for lock in script("locks").LOCKS:
        text = lock.path.read_text(encoding="utf-8")
        assert "://" not in text, lock.file
        assert all(script("locks").pins(text).values()), lock.file


# --- what was resolved --------------------------------------------------------------------------------------


def saved() -> dict[str, Any]:
    return dict(json.loads(make_install.RESULT.read_text(encoding="utf-8")))


def test_the_saved_result_is_that_of_these_locks() -> None:
    """Run `make lock-check SAVE=1` and `make docs` after a lock has changed."""
    hashes = {lock.file: hashlib.sha256(lock.path.read_bytes()).hexdigest() for lock in script("locks").LOCKS}
    assert saved()["locks"] == hashes


def test_everything_that_is_promised_could_be_installed() -> None:
    locks = script("locks")
    promised = {(lock.file, system.name, python) for lock in locks.LOCKS for system in lock.systems
                for python in lock.pythons}  # fmt: skip
    cells = {(cell["lock"], cell["system"], cell["python"]): cell["problem"] for cell in saved()["cells"]}
    assert cells == dict.fromkeys(promised, "")
    macs = {f"macOS {release} {processor}" for release in (14, 15, 26) for processor in ("arm64", "x86_64")}
    for lock in (MAIN, KIT):
        assert {(lock, system, python) for system in macs for python in PYTHONS} <= promised
    assert (TURICREATE, "macOS 26 x86_64", "3.8") in promised


def test_the_page_is_up_to_date() -> None:
    page = make_install.PAGE.read_text(encoding="utf-8")
    assert make_install.document(page, saved()) == page, "run `make docs`"


def test_the_table_shows_what_cannot_be_installed() -> None:
    result = saved()
    for cell in result["cells"]:
        if cell["system"] == "macOS 26 arm64" and cell["python"] == "3.10":
            cell["problem"] = "no wheels with a matching platform tag"
        if cell["lock"] == KIT and cell["system"].endswith("x86_64") and cell["python"] == "3.13":
            cell["problem"] = "no wheels with a matching Python version tag"
        if cell["lock"] == TURICREATE and cell["system"] == "macOS 15 x86_64":
            cell["problem"] = "no usable wheels"
    rows = make_install.table(result).splitlines()
    metal = "2.18.1, GPU through tensorflow-metal 1.2.0"
    assert f"| macOS 14 and 15, Apple silicon | 3.10 | {metal} | yes | no |" in rows
    assert f"| macOS 14, 15 and 26, Apple silicon | 3.11 and 3.12 | {metal} | yes | no |" in rows
    assert "| macOS 14, 15 and 26, Intel | 3.13 | none | no | no |" in rows


@pytest.mark.parametrize("page", ["", make_install.END, f"{make_install.BEGIN}{make_install.BEGIN}{make_install.END}"])
def test_a_page_without_its_two_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="The page must have one line"):
        make_install.document(page, saved())


# --- the scripts --------------------------------------------------------------------------------------------

PINNED = "click==8.5.1 ; python_full_version < '3.14' \\\n    --hash=sha256:{}\n    # via coremlbench\n"


@pytest.mark.parametrize(
    ("committed", "resolved", "says"),
    [
        (PINNED.format("aa"), PINNED.format("aa"), []),
        (PINNED.format("aa"), PINNED.format("aa \\\n    --hash=sha256:bb"), []),
        (PINNED.format("aa"), PINNED.format("bb"), ["the index has no file of click==8.5.1 ; {} with sha256:aa"]),
        (PINNED.format("aa"), "", ["the requirements do not ask for click==8.5.1 ; {}"]),
        ("", PINNED.format("aa"), ["the requirements ask for click==8.5.1 ; {}, which is not in the lock"]),
        ("click==8.5.1 ; {}\n", "click==8.5.1 ; {}\n", ["click==8.5.1 ; {} has no hash"]),
    ],
)
def test_how_a_lock_differs_from_its_requirements_is_said(committed: str, resolved: str, says: list[str]) -> None:
    marker = "python_full_version < '3.14'"
    found = list(script("locks").differences(committed.replace("{}", marker), resolved.replace("{}", marker)))
    assert found == [text.replace("{}", marker) for text in says]


REFUSED = [
    ((3, 9, 6), "Darwin", "arm64", "14.5", "coremlbench needs Python 3.10 to 3.13, and python3 is 3.9; run make"),
    ((3, 14, 0), "Linux", "x86_64", "2.36", "coremlbench needs Python 3.10 to 3.13, and python3 is 3.14; run make"),
    ((3, 12, 1), "Darwin", "arm64", "13.7.1", "coremlbench needs macOS 14 or later, as ONNX Runtime does, and this is"),
    ((3, 12, 1), "Darwin", "x86_64", "12.7", "coremlbench needs macOS 14 or later"),
    (
        (3, 12, 1),
        "Linux",
        "aarch64",
        "2.36",
        "coremlbench runs on macOS and on Linux for x86-64, and this is Linux for",
    ),
    (
        (3, 12, 1),
        "Linux",
        "x86_64",
        "2.27",
        "coremlbench needs Linux with glibc 2.28 or later, and this has glibc 2.27",
    ),
    ((3, 12, 1), "Linux", "x86_64", "", "coremlbench needs Linux with glibc 2.28 or later, and this has another C"),
]


@pytest.mark.parametrize(("python", "system", "machine", "release", "says"), REFUSED)
def test_what_the_lock_cannot_be_installed_on_is_refused(
    python: tuple[int, ...], system: str, machine: str, release: str, says: str
) -> None:
    sentence = script("check_platform").problem("python3", python, system, machine, release)
    assert sentence.startswith(says)
    assert sentence.count(".\n") == 0


@pytest.mark.parametrize("release", ["14.0", "14.7.2", "15.1", "26.0", "26.4.1"])
@pytest.mark.parametrize("machine", ["arm64", "x86_64"])
def test_supported_macs_are_not_refused(machine: str, release: str) -> None:
    platform = script("check_platform")
    assert platform.problem("python3", (3, 13, 0), "Darwin", machine, release) == ""
    assert bool(platform.note("python3", (3, 13, 0), "Darwin", machine)) == (machine == "x86_64")
    assert platform.note("python3", (3, 12, 0), "Darwin", machine) == ""


def test_an_environment_as_on_a_mac_leaves_out_what_linux_has_no_file_for() -> None:
    text = (ROOT / MAIN).read_text(encoding="utf-8")
    requirements, left_out = script("as_mac").mac_requirements(text, "arm64", "3.12.1")
    assert [pin.partition("==")[0] for pin in left_out] == ["tensorflow-metal", "zeus-apple-silicon"]
    pins = script("locks").pins(requirements)
    assert "tensorflow==2.18.1" in pins
    assert all(pins.values()), "with hashes"
    assert ";" not in requirements, "without markers"
