"""Archives of ``coremlbench selftest --bundle`` as fixtures: what real machines said, for the parsers to read.

Those in ``tests/fixtures/machines`` are read by ``tests/diagnostics/selftest/test_bundle.py``; its README says how to
add one.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coremlbench.system.mac_conditions import parse_gpu_use, parse_lid, parse_power_mode, parse_power_source
from coremlbench.system.machine import (
    chip_from_cpuinfo,
    describe_machine,
    mac_chip,
    parse_displays,
    parse_os_release,
    parse_platform_uuid,
    parse_sysctl,
)
from coremlbench.types.machine import Machine
from tests.simulated_mac import SimulatedMac

MACHINES = Path(__file__).with_name("fixtures") / "machines"


@dataclass(frozen=True)
class MachineBundle:
    """What a machine said.

    ``texts`` are by command line or path, ``host``, ``checks``, ``machine`` and ``versions`` as in the archive, and
    ``results`` are the contents of its other files, by name.
    """

    texts: Mapping[str, str]
    host: Mapping[str, Any]
    checks: tuple[Mapping[str, Any], ...]
    machine: Mapping[str, Any]
    versions: Mapping[str, Any]
    results: Mapping[str, bytes]

    def sysctl(self) -> dict[str, str]:
        """Return the values of ``sysctl -n`` by name, those that the machine has."""
        start = "sysctl -n "
        values = {source: text.strip() for source, text in self.texts.items() if source.startswith(start)}
        return {source.removeprefix(start): value for source, value in values.items() if value}


def read_bundle(path: Path) -> MachineBundle:
    """Return the content of an archive."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    selftest = json.loads(files["selftest.json"])
    return MachineBundle(
        texts={entry["source"]: files[entry["file"]].decode() for entry in json.loads(files["texts.json"])},
        host=selftest["host"],
        checks=tuple(selftest["checks"]),
        machine=json.loads(files["machine.json"]),
        versions=json.loads(files["versions.json"]),
        results={name: content for name, content in files.items() if name.startswith("results/")},
    )


def parsed(bundle: MachineBundle) -> dict[str, Any]:
    """Return what each parser of system texts makes of a machine's."""
    texts = bundle.texts
    if bundle.host["system"] != "macOS":
        return {
            "chip": chip_from_cpuinfo(texts["/proc/cpuinfo"]),
            "system": parse_os_release(texts["/etc/os-release"]),
        }
    return {
        "chip": mac_chip(parse_sysctl(texts["sysctl hw machdep.cpu"])),
        "version": texts["sw_vers -productVersion"].strip(),
        "build": texts["sw_vers -buildVersion"].strip(),
        "model": bundle.sysctl().get("hw.model", ""),
        "displays": parse_displays(texts["system_profiler -json SPDisplaysDataType"]),
        "uuid": parse_platform_uuid(texts["ioreg -rd1 -c IOPlatformExpertDevice"]),
        "power source": parse_power_source(texts["pmset -g batt"]),
        "power mode": parse_power_mode(texts["pmset -g"]),
        "GPU use": parse_gpu_use(texts["ioreg -r -d 1 -w 0 -c IOAccelerator"]),
        "lid": parse_lid(texts["ioreg -r -k AppleClamshellState -d 1"]),
    }


def described_from(bundle: MachineBundle, simulated_mac: Callable[..., SimulatedMac]) -> Machine:
    """Return the machine as ``describe_machine`` describes it from the texts of a Mac's bundle."""
    outputs = {source: text.rstrip("\n") for source, text in bundle.texts.items() if text}
    simulated_mac(architecture=bundle.host["architecture"], outputs=outputs)
    return describe_machine()
