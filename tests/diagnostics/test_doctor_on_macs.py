"""What the doctor says on a Mac, from tools that print captured texts."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coremlbench.cli.terminal.listings import print_checks
from coremlbench.diagnostics.doctor import SystemCheck, run_checks
from coremlbench.system.machine import describe_machine
from tests.simulated_mac import DISPLAYS, ON_BATTERY, SYSCTL_LISTING, SimulatedMac

Simulate = Callable[..., SimulatedMac]


def checks_of(folder: Path) -> dict[str, SystemCheck]:
    return {check.name: check for check in run_checks(folder, folder, describe_machine(), skip_slow=True)}


def test_a_macbook_air_in_good_conditions(simulated_mac: Simulate, tmp_path: Path) -> None:
    simulated_mac()
    checks = checks_of(tmp_path)
    assert checks["machine"].found == (
        "Apple M2 (4 performance and 4 efficiency cores), 8 cores, 16.00 GiB, macOS 26.1 (25B78)"
    )
    assert checks["accelerators"].found == "Apple M2 GPU (10 cores), Neural Engine"
    assert checks["conditions"].found.startswith("AC power, automatic power mode, load ")
    assert "GPU in use 3%" in checks["conditions"].found
    assert "memory pressure normal" in checks["conditions"].found
    assert checks["Core ML"].state == "ok"
    assert checks["Core ML"].found.startswith("macOS 26.1, coremltools ")
    assert checks["Turi Create"].state in ("ok", "later"), "an x86-64 Python runs it under Rosetta"
    if checks["Turi Create"].state == "later":
        assert checks["Turi Create"].found.endswith(", under Rosetta; only --engine turicreate and --verify ask for it")
    assert "Rosetta" not in checks["Turi Create"].advice, "its end is not near"


def test_bad_conditions_come_with_what_to_do(simulated_mac: Simulate, tmp_path: Path) -> None:
    simulated_mac(
        sysctl={"kern.memorystatus_vm_pressure_level": "4"},
        outputs={"pmset -g batt": ON_BATTERY, "pmset -g": " lowpowermode         1\n"},
    )
    conditions = checks_of(tmp_path)["conditions"]
    assert conditions.state == "warn"
    assert conditions.found.startswith("on battery, low power mode, ")
    for sentence in ("plug it in", "Low power mode is on", "macOS calls the pressure on it critical"):
        assert sentence in conditions.advice


def test_an_m5s_gpu_has_neural_accelerators(simulated_mac: Simulate, tmp_path: Path) -> None:
    listing = SYSCTL_LISTING.replace("Apple M2", "Apple M5 Max")
    displays = DISPLAYS.replace("Apple M2", "Apple M5 Max").replace('"10"', '"40"')
    outputs = {"sysctl hw machdep.cpu": listing, "system_profiler -json SPDisplaysDataType": displays}
    simulated_mac(outputs=outputs)
    assert checks_of(tmp_path)["accelerators"].found == (
        "Apple M5 Max GPU (40 cores), Neural Engine. Each core of the M5 Max's GPU has a Neural Accelerator, a matrix "
        "unit besides the Neural Engine: what runs on the GPU may use it."
    )


def test_a_virtual_mac_is_told(simulated_mac: Simulate, tmp_path: Path) -> None:
    simulated_mac(sysctl={"kern.hv_vmm_present": "1"})
    machine = checks_of(tmp_path)["machine"]
    assert machine.state == "warn"
    assert machine.found.endswith("; a virtual machine")
    assert "CPU_AND_NE and ALL have hung there" in machine.advice


@pytest.mark.parametrize(
    ("version", "ending"),
    [("26.3", ""), ("26.4.1", "macOS 27 is the last with the whole of Rosetta, and macOS warns of it.")],
)
def test_a_python_under_rosetta_is_told_and_when_that_ends(
    version: str, ending: str, simulated_mac: Simulate, tmp_path: Path
) -> None:
    simulated_mac(architecture="x86_64", version=version)
    checks = checks_of(tmp_path)
    assert checks["machine"].state == "no"
    assert checks["machine"].found.endswith("this Python runs under Rosetta")
    assert ending in checks["machine"].advice
    turicreate = checks["Turi Create"]
    assert (f"{ending} Turi Create ends with it." in turicreate.found + turicreate.advice) == bool(ending)


def test_the_swift_compiler_is_looked_for(simulated_mac: Simulate, tmp_path: Path) -> None:
    mac = simulated_mac()
    swift = checks_of(tmp_path)["Swift compiler"]
    assert (swift.state, swift.advice) == ("ok", "")
    assert swift.found == (
        "Apple Swift version 6.2, for --engine createml; `coremlbench selftest create-ml` tries Create ML with it"
    )
    mac.add_tool("xcode-select", "")
    mac.add_tool("xcrun", '*) touch "$0.asked" ;;\n')
    swift = checks_of(tmp_path)["Swift compiler"]
    assert (swift.state, swift.found) == ("no", "none in use; only --engine createml needs one")
    assert swift.advice == "Install Apple's Command Line Tools with `xcode-select --install`, then run this again."
    assert not (mac.folder / "xcrun.asked").exists(), "without developer tools it opens a window"


def test_no_swift_compiler_is_looked_for_elsewhere(tmp_path: Path) -> None:
    assert ("Swift compiler" in checks_of(tmp_path)) == (sys.platform == "darwin")


def test_what_a_person_sees(simulated_mac: Simulate, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulated_mac(outputs={"pmset -g batt": ON_BATTERY})
    print_checks(list(checks_of(tmp_path).values()))
    shown = " ".join(capsys.readouterr().out.split())
    assert re.search("conditions (works here[?]: )?see below (found: )?on battery, automatic power mode", shown)
    assert "conditions: The machine runs on battery, which may make it slower: plug it in." in shown
