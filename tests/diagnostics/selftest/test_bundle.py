"""What a machine said is kept whole for the parsers, and does not tell whose machine it is."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from coremlbench.diagnostics.redaction import Owner
from coremlbench.diagnostics.selftest.bundle import check_target, machine_owner, write_selftest_bundle
from coremlbench.diagnostics.selftest.checks import CheckResult
from coremlbench.diagnostics.selftest.host import detect_host
from coremlbench.diagnostics.selftest.identifiers import NO_UUID, remove_identifiers
from coremlbench.diagnostics.selftest.run import new_context
from coremlbench.diagnostics.selftest.texts import MachineText, collect_texts, only_ours
from coremlbench.diagnostics.selftest.workers import save_text
from coremlbench.system.machine import describe_machine
from coremlbench.types.errors import InputError
from tests.machine_bundles import MACHINES, MachineBundle, described_from, parsed, read_bundle
from tests.simulated_mac import SimulatedMac
from tests.supervision.test_crash_reports import ips

JANE = Owner(("jane",), ("/Users/jane",), ("Janes-Air.local", "Janes-Air"))
PLATFORM = """\
+-o J413AP  <class IOPlatformExpertDevice, id 0x10000020e, registered, matched, active, busy 0>
    {
      "IOPlatformUUID" = "7E1B4F5C-1234-5678-9ABC-DEF012345678"
      "IOPlatformSerialNumber" = "C02XK1ABCDEF"
      "serial-number" = <43303258 4b314142>
      "secret-data" = <4330325a51>
      "compatible" = <"J413AP","MacBookAir","AppleARM">
      "model" = <"Mac14,2">
    }
"""
BATTERY = '  "BatteryData" = {"Serial"="D86XK1ABC","CycleCount"=12,"Voltage"=12000}\n'
HARDWARE = """{"SPHardwareDataType": [{"_name": "hardware_overview", "chip_type": "Apple M2",
 "serial_number": "C02XK1ABCDEF", "platform_UUID": "7E1B4F5C-1234-5678-9ABC-DEF012345678",
 "provisioning_UDID": "00008112-000A1B2C3D4E5F60", "machine_model": "Mac14,2"}]}"""
DISPLAYS = """{"SPDisplaysDataType": [{"_name": "Apple M2", "sppci_cores": "10", "sppci_model": "Apple M2",
 "spdisplays_ndrvs": [{"_name": "Jane's iPad", "_spdisplays_display-serial-number": "fd626d62"}]}]}"""
ASSERTIONS = """\
2026-11-28 10:00:00 +0100
Assertion status system-wide:
   PreventUserIdleSystemSleep     1
   InternalPreventDisplaySleep    0
Listed by owning process:
   pid 300(coreaudiod): [0x0001] 00:12:01 PreventUserIdleSystemSleep named: "com.apple.audio.Janes AirPods.context"
   pid 412(caffeinate): [0x0004e2cb00018b1e] 00:00:03 PreventUserIdleSystemSleep named: "caffeinate command-line tool"
"""
SETTINGS = " sleep                1 (sleep prevented by Music, caffeinate)\n lowpowermode         1\n"
NETWORK = "          Current Network Information: Janes Wi-Fi\n              SSID : Janes Wi-Fi\n"
PERSONAL = ("jane", "Jane", "C02XK1", "7E1B4F5C", "D86XK1", "00008112", "fd626d62", "AirPods", "43303258", "4330325a51")


@pytest.fixture
def bundle_of(tmp_path: Path) -> Callable[..., MachineBundle]:
    """Writes this machine's archive, or a simulated Mac's, and reads it; what it must not hold is looked for."""

    def write(*, owner: Owner = JANE, personal: tuple[str, ...] = PERSONAL) -> MachineBundle:
        out = tmp_path / "machine.zip"
        host = detect_host()
        results = [CheckResult("crash isolation", "does not", "it said /Users/jane/x", "Ask jane.")]
        with new_context(host, tmp_path, tmp_path) as context:
            save_text(context, "planning-for-ALL.json", json.dumps({"ops": {"NE": 3}, "path": "/Users/jane/tiny"}))
            save_text(context, "timing.log", "jane@Janes-Air said no")
            (context.folder / "scripts" / "crash report").mkdir(parents=True)
            (context.folder / "scripts" / "crash report" / "crash.ips").write_bytes(ips(7, procPath="/Users/jane/p"))
            names = write_selftest_bundle(out, context, results, collect_texts(host), owner)
        with zipfile.ZipFile(out) as archive:
            assert archive.testzip() is None
            assert archive.namelist() == list(names)
            for name in names:
                text = archive.read(name).decode()
                assert [word for word in personal if word in text] == [], f"{name}: {text}"
        return read_bundle(out)

    return write


def test_a_macs_texts_are_read_again_as_if_it_were_there(
    simulated_mac: Callable[..., SimulatedMac], bundle_of: Callable[..., MachineBundle]
) -> None:
    outputs = {
        "ioreg -rd1 -c IOPlatformExpertDevice": PLATFORM,
        "ioreg -rd1 -c AppleSmartBattery": BATTERY,
        "system_profiler -json SPHardwareDataType": HARDWARE,
        "system_profiler -json SPDisplaysDataType": DISPLAYS,
        "pmset -g assertions": ASSERTIONS,
        "pmset -g": SETTINGS,
        "ioreg -r -k AppleClamshellState -d 1": '      "AppleClamshellState" = No\n',
    }
    simulated_mac(outputs=outputs)
    before = describe_machine()
    bundle = bundle_of()
    assert bundle.host["system"] == "macOS"
    assert bundle.host["version"] == [26, 1]
    assert parsed(bundle) == {
        "chip": "Apple M2 (4 performance and 4 efficiency cores)",
        "version": "26.1",
        "build": "25B78",
        "model": "Mac14,2",
        "displays": ("Apple M2 GPU (10 cores)",),
        "uuid": NO_UUID,
        "power source": "AC",
        "power mode": "low",
        "GPU use": 3,
        "lid": False,
    }
    after = described_from(bundle, simulated_mac)
    assert after.id != before.id, "the real UUID is not in it"
    assert {**vars(after), "id": ""} == {**vars(before), "id": ""}
    assert json.loads(bundle.results["results/planning-for-ALL.json"])["ops"] == {"NE": 3}
    assert bundle.results["results/crash.ips"].startswith(b"{")
    assert bundle.texts["ioreg -rd1 -c AppleSmartBattery"].count("CycleCount") == 1


def test_the_names_of_a_mac_are_its_owners(simulated_mac: Callable[..., SimulatedMac]) -> None:
    simulated_mac(
        outputs={"scutil --get ComputerName": "Jane's MacBook Air", "scutil --get LocalHostName": "Janes-Air"}
    )
    assert {"Jane's MacBook Air", "Janes-Air"} <= {*machine_owner().hosts}


def test_this_machine_is_read_again(bundle_of: Callable[..., MachineBundle]) -> None:
    bundle = bundle_of(owner=machine_owner(), personal=())
    assert parsed(bundle)["chip"] in describe_machine().chip
    assert bundle.machine == {**json.loads(json.dumps(bundle.machine)), "chip": describe_machine().chip}
    assert "id" not in bundle.machine
    assert bundle.versions["packages"]["coremltools"]
    (check,) = bundle.checks
    assert check["detail"] == "it said ~/x"


@pytest.mark.parametrize("path", sorted(MACHINES.glob("*.zip")), ids=lambda path: path.stem)
def test_the_parsers_read_what_real_machines_say(path: Path, simulated_mac: Callable[..., SimulatedMac]) -> None:
    bundle = read_bundle(path)
    values = parsed(bundle)
    assert values["chip"]
    if bundle.host["system"] != "macOS":
        assert values["system"][0] in (bundle.machine["system"], "Linux")
        assert values["chip"] == bundle.machine["chip"]
        return
    for key in ("version", "build", "model", "power source", "power mode"):
        assert values[key], key
    assert values["uuid"] == NO_UUID
    machine = described_from(bundle, simulated_mac)
    for key in ("chip", "model", "system_version", "memory_bytes", "virtual_machine"):
        assert getattr(machine, key) == bundle.machine[key], key


def test_there_is_a_real_machine() -> None:
    assert list(MACHINES.glob("*.zip"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Serial\t\t: 100000003d1d1c36\n", "Serial\t\t: <removed>\n"),
        ("      Serial Number (system): C02XK1ABCDEF\n", "      Serial Number (system): <removed>\n"),
        (NETWORK, "          Current Network Information: <removed>\n              SSID : <removed>\n"),
        ("flags\t\t: fpu serialize avx\n", "flags\t\t: fpu serialize avx\n"),
        (" -InternalBattery-0 (id=4653155)\t100%\n", " -InternalBattery-0 (id=0)\t100%\n"),
        (" sleep 1 (sleep prevented by Music)\n", " sleep 1 (sleep prevented by <others>)\n"),
        (
            "GPU 0: NVIDIA H200 (UUID: GPU-5a2b3c4d-0000-1111-2222-333344445555)\n",
            f"GPU 0: NVIDIA H200 (UUID: GPU-{NO_UUID})\n",
        ),
    ],
)
def test_identifiers_are_taken_out_of_texts(text: str, expected: str) -> None:
    assert remove_identifiers("", text) == expected


def test_of_assertions_only_totals_and_caffeinates_are_kept() -> None:
    kept = only_ours(ASSERTIONS)
    assert "PreventUserIdleSystemSleep     1" in kept
    assert "412(caffeinate)" in kept
    assert "AirPods" not in kept


def test_no_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out.zip").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        check_target(tmp_path / "out.zip")
    with pytest.raises(InputError, match="there is no folder"):
        check_target(tmp_path / "absent" / "out.zip")
    with new_context(detect_host(), tmp_path, tmp_path) as context, pytest.raises(InputError, match="exists already"):
        write_selftest_bundle(tmp_path / "out.zip", context, [], [MachineText("uname", "x")], Owner())
    assert (tmp_path / "out.zip").read_text() == "mine"
