"""What macOS says about itself, from tools that print captured texts."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable

import pytest

from coremlbench.system import macos
from tests.simulated_mac import SimulatedMac

Simulate = Callable[..., SimulatedMac]


def test_the_version_is_that_of_sw_vers_and_not_that_of_an_older_sdk(
    simulated_mac: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    mac = simulated_mac(version="26.1", build="25B78")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("16.0", ("", "", ""), "arm64"))
    assert (macos.product_version(), macos.build_version()) == ("26.1", "25B78")
    assert macos.version_numbers(macos.product_version()) == (26, 1)
    (mac.folder / "sw_vers").unlink()
    assert macos.product_version() == "16.0", "what Python says is better than nothing"
    assert macos.version_numbers("") == ()


def test_the_version_is_not_the_one_for_programs_that_know_no_macos_11(
    simulated_mac: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    mac = simulated_mac()
    mac.add_tool(
        "sw_vers", '-productVersion) echo "${SYSTEM_VERSION_COMPAT:+10.16}${SYSTEM_VERSION_COMPAT:-26.1}" ;;\n'
    )
    monkeypatch.setenv("SYSTEM_VERSION_COMPAT", "1")
    assert macos.product_version() == "26.1"


def test_values_are_asked_for_by_name(simulated_mac: Simulate) -> None:
    simulated_mac(sysctl={"hw.model": "Mac16,1"})
    assert macos.sysctl("hw.model") == "Mac16,1"
    assert macos.sysctl("hw.unknown") == ""
    assert macos.sysctl_number("kern.memorystatus_vm_pressure_level") == 1
    assert macos.sysctl_number("hw.model") is None
    assert macos.sysctl_number("hw.unknown") is None


@pytest.mark.parametrize(("value", "virtual"), [("0", False), ("1", True), ("", None)])
def test_a_virtual_mac_is_recognised(value: str, virtual: bool | None, simulated_mac: Simulate) -> None:
    simulated_mac(sysctl={"kern.hv_vmm_present": value})
    assert macos.is_virtual_machine() is virtual


@pytest.mark.parametrize(
    ("architecture", "apple_chip", "translated"),
    [("arm64", "1", False), ("x86_64", "1", True), ("x86_64", "0", False), ("x86_64", "", False)],
)
def test_rosetta_is_recognised(architecture: str, apple_chip: str, translated: bool, simulated_mac: Simulate) -> None:
    values = {"hw.optional.arm64": apple_chip}
    simulated_mac(architecture=architecture, sysctl=values)
    assert macos.is_translated() is translated
    assert macos.has_apple_silicon() is (apple_chip == "1")


@pytest.mark.skipif(sys.platform == "darwin", reason="on a Mac the answers are the Mac's own")
def test_other_systems_are_not_asked(simulated_mac: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    simulated_mac()
    monkeypatch.setattr(macos, "PLATFORM", sys.platform)
    assert not macos.is_macos()
    assert (macos.product_version(), macos.build_version(), macos.sysctl("hw.model")) == ("", "", "")
    assert {macos.is_virtual_machine(), macos.is_translated(), macos.has_apple_silicon()} == {None}


def test_a_tool_that_hangs_is_given_up(simulated_mac: Simulate) -> None:
    mac = simulated_mac()
    mac.add_tool("sysctl", "*) exec sleep 600 ;;\n")
    assert macos.tool_output("sysctl", "-n", "hw.model", timeout=0.1) == ""


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        ("", ""),
        ("15.7", ""),
        ("26.3", ""),
        ("26.4", "macOS 27 is the last with the whole of Rosetta, and macOS warns of it."),
        ("27.0.1", "macOS 27 is the last with the whole of Rosetta."),
        ("28.0", "macOS 28 translates some games only: there is no Rosetta for other programs since macOS 28."),
    ],
)
def test_the_end_of_rosetta_is_told(version: str, sentence: str) -> None:
    assert macos.rosetta_end(version) == sentence
