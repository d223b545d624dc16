"""A Mac for coremlbench's own questions about the system, with tools that print captured texts.

``SimulatedMac`` writes a script in the place of each of macOS's tools and lets ``coremlbench.system.macos`` find them.
Libraries and child processes see the real system. Tests get one from the fixture ``simulated_mac``.
"""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from coremlbench.system import macos, resources
from coremlbench.system.mac_conditions import DISPLAY_SCRIPT
from coremlbench.system.machine import describe_machine

SYSCTL_LISTING = """\
hw.ncpu: 8
hw.memsize: 17179869184
hw.physicalcpu: 8
hw.logicalcpu: 8
hw.perflevel0.physicalcpu: 4
hw.perflevel1.physicalcpu: 4
hw.optional.arm64: 1
machdep.cpu.brand_string: Apple M2
"""
DISPLAYS = """{"SPDisplaysDataType": [{"_name": "Apple M2", "sppci_bus": "spdisplays_builtin", "sppci_cores": "10",
 "sppci_device_type": "spdisplays_gpu", "sppci_model": "Apple M2"}]}"""
POWER_SETTINGS = """\
System-wide power settings:
Currently in use:
 standby              1
 sleep                1 (sleep prevented by caffeinate)
 displaysleep         10
 lowpowermode         0
"""
ON_MAINS = """\
Now drawing from 'AC Power'
 -InternalBattery-0 (id=4653155)\t100%; charged; 0:00 remaining present: true
"""
ON_BATTERY = "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=4653155)\t87%; discharging; 9:41 remaining\n"
IDLE_GPU = """\
+-o AGXAcceleratorG14G  <class AGXAcceleratorG14G, id 0x100000475, registered, matched, active, busy 0 (2 ms), retain 9>
    {
      "PerformanceStatistics" = {"In use system memory"=221822976,"Device Utilization %"=3,"Renderer Utilization %"=2}
      "gpu-core-count" = 10
    }
"""
PLATFORM_EXPERT = """\
+-o J413AP  <class IOPlatformExpertDevice, id 0x10000020e, registered, matched, active, busy 0>
    {
      "IOPlatformUUID" = "0F0F0F0F-1234-5678-9ABC-DEF012345678"
    }
"""
DEVELOPER_TOOLS = "/Library/Developer/CommandLineTools"
SWIFT_VERSION = "Apple Swift version 6.2 (swiftlang-6.2.0.19.9 clang-1700.3.19.1)\nTarget: arm64-apple-macosx26.0"
SYSCTL_VALUES = {
    "hw.model": "Mac14,2",
    "hw.optional.arm64": "1",
    "kern.hv_vmm_present": "0",
    "kern.memorystatus_vm_pressure_level": "1",
}
"""Values of ``sysctl -n``: by name only."""


@dataclass
class SimulatedMac:
    """What the tools of a Mac print. By default it is a MacBook Air M2 with macOS 26.1, on mains, idle.

    ``sysctl`` are the values by name; ``outputs`` replace what a command line of a tool prints, whole.
    """

    folder: Path
    patch: pytest.MonkeyPatch
    version: str = "26.1"
    build: str = "25B78"
    architecture: str = "arm64"
    sysctl: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)

    def install(self) -> None:
        """Let coremlbench's questions, those of this process alone, go to this Mac."""
        texts = {
            "sw_vers -productVersion": self.version,
            "sw_vers -buildVersion": self.build,
            "sysctl hw machdep.cpu": SYSCTL_LISTING,
            "system_profiler -json SPDisplaysDataType": DISPLAYS,
            "ioreg -rd1 -c IOPlatformExpertDevice": PLATFORM_EXPERT,
            "pmset -g batt": ON_MAINS,
            "pmset -g": POWER_SETTINGS,
            "ioreg -r -d 1 -w 0 -c IOAccelerator": IDLE_GPU,
            "xcode-select -p": DEVELOPER_TOOLS,
            "xcrun swiftc --version": SWIFT_VERSION,
            f"osascript -l JavaScript -e {DISPLAY_SCRIPT}": "awake",
            **{f"sysctl -n {name}": value for name, value in (SYSCTL_VALUES | dict(self.sysctl)).items()},
            **self.outputs,
        }
        by_tool: dict[str, dict[str, str]] = {}
        for line, text in texts.items():
            tool, _, arguments = line.partition(" ")
            by_tool.setdefault(tool, {})[arguments] = text
        self.folder.mkdir(parents=True, exist_ok=True)
        for tool, by_arguments in by_tool.items():
            self.add_tool(
                tool,
                "".join(
                    f"{shlex.quote(arguments)}) printf '%s\\n' {shlex.quote(text)} ;;\n"
                    for arguments, text in by_arguments.items()
                ),
            )
        self.patch.setattr(macos, "PLATFORM", "darwin")
        self.patch.setattr(macos, "SYSTEM_FOLDERS", (str(self.folder),))
        self.patch.setattr(platform, "machine", lambda: self.architecture)
        forget()

    def add_tool(self, name: str, cases: str) -> None:
        """Write a tool; ``cases`` are those of the shell's ``case`` over its arguments. Other arguments fail."""
        script = self.folder / name
        script.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}*) echo "$0: unknown: $*" >&2; exit 1 ;;\nesac\n')
        script.chmod(0o755)


def forget() -> None:
    """Clear what this process remembers of the machine it runs on."""
    for remembered in (describe_machine, resources.under_rosetta, resources.has_avx):
        remembered.cache_clear()
