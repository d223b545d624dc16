"""The raw texts that a machine's own tools and files give, as the parsers of the toolkit read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coremlbench.diagnostics.selftest.host import Host
from coremlbench.diagnostics.selftest.tools import run_tool
from coremlbench.system import macos
from coremlbench.system.mac_conditions import DISPLAY_SCRIPT

TOOL_SECONDS = 15.0
MAX_CHARACTERS = 200_000

SYSCTL_NAMES = (
    "hw.model",
    "hw.memsize",
    "hw.optional.arm64",
    "hw.optional.avx1_0",
    "kern.hv_vmm_present",
    "kern.maxfilesperproc",
    "kern.memorystatus_vm_pressure_level",
    "kern.osproductversion",
    "kern.osversion",
    "machdep.cpu.brand_string",
    "sysctl.proc_translated",
    "vm.loadavg",
    "vm.swapusage",
)
MAC_LINES = (
    "sw_vers",
    "sw_vers -productVersion",
    "sw_vers -buildVersion",
    "uname -srvm",
    "sysctl hw machdep.cpu",
    *(f"sysctl -n {name}" for name in SYSCTL_NAMES),
    "pmset -g",
    "pmset -g batt",
    "pmset -g cap",
    "pmset -g custom",
    "pmset -g therm",
    "pmset -g assertions",
    "system_profiler -json SPDisplaysDataType",
    "system_profiler -json SPHardwareDataType",
    "system_profiler -json SPPowerDataType",
    "ioreg -rd1 -c IOPlatformExpertDevice",
    "ioreg -r -d 1 -w 0 -c IOAccelerator",
    "ioreg -r -d 1 -w 0 -c H11ANEIn",
    "ioreg -r -k AppleClamshellState -d 1",
    "ioreg -rd1 -c AppleSmartBattery",
    "vm_stat",
    "xcode-select -p",
)
XCRUN_LINES = ("xcrun --show-sdk-version", "xcrun swiftc --version")
"""Where no developer tools are installed, these open a window that offers to install them."""
MAC_COMMANDS = (*map(str.split, MAC_LINES), ["osascript", "-l", "JavaScript", "-e", DISPLAY_SCRIPT])
LINUX_COMMANDS = (["uname", "-srvm"], ["lscpu"], ["nvidia-smi", "-L"])
LINUX_FILES = (
    "/proc/cpuinfo",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/pressure/memory",
    "/proc/version",
    "/etc/os-release",
    "/sys/fs/cgroup/cpu.max",
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    "/sys/devices/virtual/dmi/id/product_name",
    "/proc/device-tree/model",
)
LINUX_PATTERNS = (
    "sys/class/power_supply/*/type",
    "sys/class/power_supply/*/online",
    "sys/class/power_supply/*/status",
    "sys/class/power_supply/*/scope",
    "sys/devices/system/cpu/cpufreq/*/scaling_governor",
    "sys/class/powercap/intel-rapl:*/name",
)


@dataclass(frozen=True)
class MachineText:
    """What a command or a file of the machine gives.

    ``source`` is the command line without the folder of the tool, or the path. ``returncode`` is ``None`` for a tool
    that is not there or took too long, and 0 for a file; ``errors`` is the error output.
    """

    source: str
    output: str
    errors: str = ""
    returncode: int | None = 0


def collect_texts(host: Host) -> tuple[MachineText, ...]:
    """Return the texts of this machine; what it does not have is left out, what fails is there with its error."""
    if host.is_mac:
        tools = map(str.split, XCRUN_LINES if macos.developer_tools() else ())
        return tuple(_command_texts((*MAC_COMMANDS, *tools)))
    return (*_command_texts(LINUX_COMMANDS), *_file_texts())


def _command_texts(commands: Iterable[Sequence[str]]) -> Iterator[MachineText]:
    for command in commands:
        (name, *arguments), line = command, " ".join(command)
        path = macos.system_tool(name) or name
        found = run_tool(path, *arguments, timeout=TOOL_SECONDS)
        if found.returncode is not None or macos.is_macos():
            output = only_ours(found.output) if line == "pmset -g assertions" else found.output
            yield MachineText(line, output[:MAX_CHARACTERS], found.errors[:MAX_CHARACTERS], found.returncode)


def only_ours(assertions: str) -> str:
    """Return the output of ``pmset -g assertions`` with its totals and what caffeinate holds.

    Other programs' assertions name what the user runs and listens to.
    """
    lines = assertions.splitlines(keepends=True)
    return "".join(line for line in lines if "caffeinate" in line or re.fullmatch(r"\s+\w+\s+\d+\s*", line))


def _file_texts() -> Iterator[MachineText]:
    root = Path("/")
    found = [path for pattern in LINUX_PATTERNS for path in sorted(root.glob(pattern))]
    for path in (*map(Path, LINUX_FILES), *found):
        if path.is_file():
            try:
                yield MachineText(str(path), path.read_text(errors="replace")[:MAX_CHARACTERS])
            except OSError as error:
                yield MachineText(str(path), "", str(error.strerror), None)
