"""Checks of the system and its tools, on Macs whose tools print captured texts, and on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coremlbench.diagnostics.selftest import createml, system
from coremlbench.diagnostics.selftest.checks import Context
from coremlbench.diagnostics.selftest.host import Host, detect_host
from coremlbench.diagnostics.selftest.run import new_context, run_one
from coremlbench.diagnostics.selftest.table import CHECKS
from coremlbench.diagnostics.selftest.texts import collect_texts
from coremlbench.timing import energy
from tests.simulated_mac import SimulatedMac

Simulate = Callable[..., SimulatedMac]
BY_NAME = {check.name: check for check in CHECKS}
MAC = Host("macOS", "arm64", (26, 1))
CAFFEINATE = '"-i -m -s -w "*) echo $$ >"$0.pid"; exec sleep 600 ;;\n'
HOLDING = """\
"-g assertions") echo "Assertion status system-wide:"
  if test -f "{folder}/caffeinate.pid"; then
    pid=$(cat "{folder}/caffeinate.pid")
    echo "   pid $pid(caffeinate): [0x0004e2cb00018b1e] 00:00:03 PreventUserIdleSystemSleep named: x"
  fi ;;
"""


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with new_context(MAC, tmp_path / "results", tmp_path / "cache") as made:
        yield made


def outcome(name: str, context: Context) -> tuple[str, str, str]:
    result: dict[str, Any] = run_one(BY_NAME[name], context)
    return result["status"], result["detail"], result["advice"]


def test_a_mac_is_described(simulated_mac: Simulate, context: Context) -> None:
    simulated_mac()
    assert detect_host() == MAC
    assert outcome("the machine", context)[:2] == (
        "works",
        "Apple M2 (4 performance and 4 efficiency cores), 8 cores, 16.00 GiB, macOS 26.1 (25B78)",
    )


def test_a_virtual_mac_is_one(simulated_mac: Simulate, context: Context) -> None:
    simulated_mac(sysctl={"kern.hv_vmm_present": "1"})
    assert detect_host() == replace(MAC, virtual=True)
    status, detail, _ = outcome("the machine", replace(context, host=detect_host()))
    assert status == "works"
    assert detail.endswith(", a virtual machine")


def test_a_python_under_rosetta_does_not_do(simulated_mac: Simulate, context: Context) -> None:
    simulated_mac(architecture="x86_64")
    assert detect_host() == replace(MAC, translated=True)
    status, detail, advice = outcome("the machine", replace(context, host=detect_host()))
    assert status == "does not"
    assert detail.startswith("this Python runs under Rosetta")
    assert "arm64" in advice


def test_a_mac_that_does_not_say_what_it_is(simulated_mac: Simulate, context: Context) -> None:
    simulated_mac(outputs={"sysctl hw machdep.cpu": "hw.ncpu: 8"}, sysctl={"hw.model": ""})
    status, detail, _ = outcome("the machine", context)
    assert (status, detail) == ("does not", "the system does not say its memory")


def test_caffeinate_is_seen_among_the_assertions(simulated_mac: Simulate, context: Context) -> None:
    mac = simulated_mac()
    mac.add_tool("caffeinate", CAFFEINATE)
    mac.add_tool("pmset", HOLDING.format(folder=mac.folder))
    assert outcome("sleep prevention", context) == ("works", "caffeinate holds PreventUserIdleSystemSleep", "")


def test_a_caffeinate_without_effect_is_told(
    simulated_mac: Simulate, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "CAFFEINATE_SECONDS", 0.3)
    mac = simulated_mac()
    assert outcome("sleep prevention", context)[:2] == ("does not", "there is no /usr/bin/caffeinate")
    mac.add_tool("caffeinate", CAFFEINATE)
    status, detail, advice = outcome("sleep prevention", context)
    assert (status, detail) == ("does not", "`pmset -g assertions` lists nothing that caffeinate holds")
    assert advice == system.STAY_AWAKE


@pytest.mark.parametrize(
    ("cases", "status", "words"),
    [
        (
            '"swiftc --version") echo "Apple Swift version 6.2 (swiftlang-6.2.0.19.9)" ;;\n',
            "works",
            "Swift version 6.2",
        ),
        (
            '"swiftc --version") echo "xcrun: error: invalid active developer path" >&2; exit 1 ;;\n',
            "does not",
            "invalid",
        ),
    ],
)
def test_the_swift_compiler(cases: str, status: str, words: str, simulated_mac: Simulate, context: Context) -> None:
    simulated_mac().add_tool("xcrun", cases)
    found, detail, advice = outcome("the Swift compiler", context)
    assert found == status
    assert words in detail
    assert advice == ("" if status == "works" else createml.INSTALL_SWIFT)


def test_no_tool_that_opens_a_window_is_asked_where_no_developer_tools_are(
    simulated_mac: Simulate, context: Context
) -> None:
    mac = simulated_mac()
    mac.add_tool("xcode-select", "")
    mac.add_tool("xcrun", '*) touch "$0.asked" ;;\n')
    assert outcome("the Swift compiler", context) == (
        "does not",
        "`xcode-select -p` names no developer tools, which have it",
        createml.INSTALL_SWIFT,
    )
    assert not [text for text in collect_texts(MAC) if text.source.startswith("xcrun")]
    assert not (mac.folder / "xcrun.asked").exists()
    mac.add_tool("xcode-select", "-p) echo /Library/Developer/CommandLineTools ;;\n")
    sources = [text.source for text in collect_texts(MAC)]
    assert {"xcrun swiftc --version", "xcrun --show-sdk-version"} <= set(sources)


def test_a_framework_that_is_not_there_is_told(simulated_mac: Simulate, context: Context) -> None:
    simulated_mac().add_tool(
        "xcrun", "*-typecheck*) echo \"x.swift:1:8: error: no such module 'CreateML'\" >&2; exit 1 ;;\n"
    )
    assert outcome("Create ML", context) == (
        "does not",
        "a program that imports CreateML does not compile: no such module 'CreateML'",
        createml.INSTALL_XCODE,
    )
    names_create_ml = 'for file do [ ! -f "$file" ] || cat "$file"; done | grep -q MLImageClassifier'
    simulated_mac().add_tool("xcrun", f"*-typecheck*) {names_create_ml} ;;\n")
    assert outcome("Create ML", context)[0] == "works"


def test_no_crash_report_is_told(context: Context) -> None:
    # On Linux none is written; the wait for it is macOS's alone.
    status, detail, _ = outcome("crash reports", context)
    assert status == "does not"
    assert detail.startswith("macOS wrote no report of a child that aborted")


def test_conditions_are_told_in_a_line(simulated_mac: Simulate, context: Context) -> None:
    mac = simulated_mac()
    status, detail, _ = outcome("conditions", context)
    assert status == "works"
    assert detail.startswith("AC power, automatic power mode, ")
    assert "GPU in use 3%" in detail
    mac.add_tool("pmset", '"-g") echo x ;;\n')
    assert outcome("conditions", context) == (
        "does not",
        "macOS does not say its power source (`pmset -g batt`) nor its power mode (`pmset -g`)",
        system.REPORT,
    )


def test_the_conditions_of_linux_are_those_that_it_has(context: Context) -> None:
    status, detail, _ = outcome("conditions", replace(context, host=Host("Linux", "x86_64")))
    assert status == "works"
    assert "load " in detail


@pytest.mark.parametrize(
    ("host", "status", "words"),
    [
        (Host("Linux", "x86_64"), "not here", "no energy counters"),
        (MAC, "does not", "zeus-apple-silicon"),
        (replace(MAC, architecture="x86_64"), "not here", "Intel"),
        (replace(MAC, virtual=True), "not here", "virtual"),
    ],
)
def test_a_machine_without_an_energy_meter(
    host: Host, status: str, words: str, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    monkeypatch.setattr(system, "POWERCAP", tmp_path)
    found, detail, _ = outcome("energy", replace(context, host=host))
    assert found == status
    assert words in detail


def test_energy_is_read_from_the_counters(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    domain = tmp_path / "intel-rapl:0"
    domain.mkdir()
    for name, text in (("name", "package-0"), ("energy_uj", "100"), ("max_energy_range_uj", "1000000")):
        (domain / name).write_text(text)
    status, detail, _ = outcome("energy", context)
    assert (status, detail) == ("does not", "RAPL gives no joules"), "counters that stand still"
