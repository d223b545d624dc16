"""The description of a machine: from captured texts of machines that are not here, and of this one."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from coremlbench.system.machine import (
    anonymous_id,
    chip_from_cpuinfo,
    describe_machine,
    mac_chip,
    parse_cpu_quota,
    parse_displays,
    parse_nvidia_smi,
    parse_os_release,
    parse_platform_uuid,
    parse_sysctl,
    smallest_limit,
)
from tests.simulated_mac import SimulatedMac

SYSCTL_M1 = """\
hw.ncpu: 8
hw.byteorder: 1234
hw.memsize: 17179869184
hw.physicalcpu: 8
hw.logicalcpu: 8
hw.perflevel0.physicalcpu: 4
hw.perflevel1.physicalcpu: 4
hw.optional.arm64: 1
machdep.cpu.brand_string: Apple M1
machdep.cpu.core_count: 8
"""
SYSCTL_INTEL = """\
hw.memsize: 68719476736
hw.physicalcpu: 8
hw.logicalcpu: 16
machdep.cpu.brand_string: Intel(R) Core(TM) i9-9980HK CPU @ 2.40GHz
"""
DISPLAYS_M1 = """{"SPDisplaysDataType": [{"_name": "Apple M1", "spdisplays_mtlgpufamilysupport": "spdisplays_metal3",
 "sppci_bus": "spdisplays_builtin", "sppci_cores": "7", "sppci_device_type": "spdisplays_gpu",
 "sppci_model": "Apple M1"}]}"""
DISPLAYS_INTEL = """{"SPDisplaysDataType": [
 {"_name": "kHW_IntelUHDGraphics630Item", "_spdisplays_vram": "1536 MB", "sppci_model": "Intel UHD Graphics 630"},
 {"_name": "kHW_AMDRadeonPro5500MItem", "spdisplays_vram": "8 GB", "sppci_model": "AMD Radeon Pro 5500M"}]}"""
IOREG = """\
+-o J313AP  <class IOPlatformExpertDevice, id 0x10000020e, registered, matched, active, busy 0>
    {
      "IOPlatformUUID" = "0F0F0F0F-1234-5678-9ABC-DEF012345678"
      "IOPlatformSerialNumber" = "C02XXXXXXXXX"
    }
"""
CPUINFO_X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Core(TM) i7-9700K CPU   @ 3.60GHz

processor\t: 1
model name\t: Intel(R) Core(TM) i7-9700K CPU   @ 3.60GHz
"""
CPUINFO_GRAVITON = """\
processor\t: 0
BogoMIPS\t: 243.75
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd0c
"""
CPUINFO_PI = (
    "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nHardware\t: BCM2835\nModel\t: Raspberry Pi 4\n"
)


def test_an_apple_silicon_mac() -> None:
    values = parse_sysctl(SYSCTL_M1)
    assert mac_chip(values) == "Apple M1 (4 performance and 4 efficiency cores)"
    assert parse_displays(DISPLAYS_M1) == ("Apple M1 GPU (7 cores)",)


def test_the_three_kinds_of_cores_of_an_m6_have_their_names() -> None:
    listing = """\
hw.perflevel0.name: Super
hw.perflevel0.physicalcpu: 2
hw.perflevel1.name: Performance
hw.perflevel1.physicalcpu: 4
hw.perflevel2.name: Efficiency
hw.perflevel2.physicalcpu: 6
machdep.cpu.brand_string: Apple M6
"""
    assert mac_chip(parse_sysctl(listing)) == "Apple M6 (2 super, 4 performance and 6 efficiency cores)"


def test_an_intel_mac() -> None:
    assert mac_chip(parse_sysctl(SYSCTL_INTEL)) == "Intel(R) Core(TM) i9-9980HK CPU @ 2.40GHz"
    assert parse_displays(DISPLAYS_INTEL) == ("Intel UHD Graphics 630 GPU (1536 MB)", "AMD Radeon Pro 5500M GPU (8 GB)")


@pytest.mark.parametrize("text", ["", "no JSON", "{}", '{"SPDisplaysDataType": []}'])
def test_a_mac_without_displays(text: str) -> None:
    assert parse_displays(text) == ()


def test_a_mac_names_its_model_and_system(simulated_mac: Callable[..., SimulatedMac]) -> None:
    simulated_mac()
    machine = describe_machine()
    assert machine.model == "Mac14,2"
    assert machine.chip == "Apple M2 (4 performance and 4 efficiency cores)"
    assert (machine.system, machine.system_version) == ("macOS", "26.1 (25B78)")
    assert machine.accelerators == ("Apple M2 GPU (10 cores)", "Neural Engine")
    assert (machine.rosetta, machine.virtual_machine) == (False, False)


def test_a_virtual_mac_has_no_neural_engine(simulated_mac: Callable[..., SimulatedMac]) -> None:
    simulated_mac(sysctl={"kern.hv_vmm_present": "1", "hw.model": "VirtualMac2,1"})
    machine = describe_machine()
    assert machine.virtual_machine
    assert "Neural Engine" not in machine.accelerators


def test_a_python_under_rosetta_is_recognised(simulated_mac: Callable[..., SimulatedMac]) -> None:
    simulated_mac(architecture="x86_64")
    machine = describe_machine()
    assert (machine.rosetta, machine.architecture) == (True, "arm64")


def test_the_uuid_of_a_mac_becomes_an_id_that_does_not_hold_it() -> None:
    uuid = parse_platform_uuid(IOREG)
    assert uuid == "0F0F0F0F-1234-5678-9ABC-DEF012345678"
    assert anonymous_id(uuid) == anonymous_id(uuid + "\n") != anonymous_id(uuid[:-1])
    assert len(anonymous_id(uuid)) == 12
    assert int(anonymous_id(uuid), 16) >= 0
    assert parse_platform_uuid("") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CPUINFO_X86, "Intel(R) Core(TM) i7-9700K CPU @ 3.60GHz"),
        (CPUINFO_GRAVITON, "ARM Neoverse-N1"),
        (CPUINFO_PI, "BCM2835"),
        ("CPU implementer : 0x41\nCPU part : 0xfff\n", "ARM part 0xfff"),
        ("CPU implementer : 0x99\nCPU part : 0x001\n", "implementer 0x99 part 0x001"),
        ("", ""),
    ],
)
def test_chips_of_linux(text: str, expected: str) -> None:
    assert chip_from_cpuinfo(text) == expected


def test_the_system_of_linux() -> None:
    assert parse_os_release('PRETTY_NAME="Debian 12"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\n') == (
        "Debian GNU/Linux",
        "12",
    )
    assert parse_os_release("NAME=Fedora\nVERSION_ID=41\n") == ("Fedora", "41")
    assert parse_os_release("") == ("Linux", "")


def test_limits_of_a_control_group() -> None:
    assert parse_cpu_quota("max 100000") is None
    assert parse_cpu_quota("150000 100000") == 1.5
    assert parse_cpu_quota("") is None
    assert smallest_limit(100, ["max", ""]) == 100
    assert smallest_limit(100, ["40", "9223372036854771712"]) == 40
    assert smallest_limit(100, ["9223372036854771712"]) == 100


def test_nvidia_gpus_are_named_without_their_uuid() -> None:
    text = (
        "GPU 0: NVIDIA GeForce RTX 2080 Ti (UUID: GPU-1a2b3c4d-0000-1111-2222-333344445555)\n"
        "GPU 1: NVIDIA H200 (UUID: GPU-5a2b3c4d-0000-1111-2222-333344445555)\n"
    )
    assert parse_nvidia_smi(text) == ("NVIDIA GeForce RTX 2080 Ti", "NVIDIA H200")
    assert parse_nvidia_smi("NVIDIA-SMI has failed") == ()


def test_this_machine() -> None:
    machine = describe_machine()
    assert machine.chip
    assert machine.physical_cores >= 1
    assert 1 <= machine.logical_cores <= (os.cpu_count() or 1)
    assert 100_000_000 < machine.memory_bytes < 1 << 50
    assert machine.python == platform.python_version()
    assert machine.packages["numpy"]
    assert "turicreate" not in machine.packages


def test_nothing_of_the_owner_is_told() -> None:
    text = json.dumps(asdict(describe_machine()))
    assert f'"{platform.node()}"' not in text
    assert str(Path.home()) not in text
    for file in (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")):
        if file.exists() and file.read_text().strip():
            assert file.read_text().strip() not in text


def test_another_process_finds_the_same_id_without_heavy_imports() -> None:
    code = (
        "import sys; from coremlbench.system.machine import describe_machine; print(describe_machine().id); "
        "print(*{'tensorflow', 'coremltools', 'onnxruntime', 'numpy', 'PIL'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == [describe_machine().id, ""]
