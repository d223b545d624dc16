"""Describe the machine: chip, cores, memory, system, accelerators, versions; nothing about its owner."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import uuid
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from coremlbench.system import macos
from coremlbench.system.formatting import format_bytes
from coremlbench.types.machine import Machine

PACKAGES = ("coremltools", "tensorflow", "tensorflow-metal", "onnxruntime", "numpy", "pillow")
ID_SALT = "coremlbench machine 1"
UNLIMITED_BYTES = 1 << 60
ARM_VENDORS = {
    "0x41": "ARM",
    "0x48": "HiSilicon",
    "0x4e": "NVIDIA",
    "0x51": "Qualcomm",
    "0x61": "Apple",
    "0xc0": "Ampere",
}
ARM_PARTS = {
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4f"): "Neoverse-V2",
    ("0x61", "0x022"): "M1 Icestorm",
    ("0x61", "0x023"): "M1 Firestorm",
}
"""Processors by implementer and part, as Linux's /proc/cpuinfo numbers them; source: util-linux lscpu-arm.c."""


@lru_cache(maxsize=1)
def describe_machine() -> Machine:
    """Return this machine; cached, as macOS's ``system_profiler`` takes seconds."""
    return _describe_mac() if macos.is_macos() else _describe_linux()


# --- Linux --------------------------------------------------------------------------------------------------


def _describe_linux() -> Machine:
    import psutil

    cpuinfo = _text("/proc/cpuinfo")
    logical = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = parse_cpu_quota(_text("/sys/fs/cgroup/cpu.max"))
    system, version = parse_os_release(_text("/etc/os-release"))
    return Machine(
        id=anonymous_id(_text("/etc/machine-id") or _text("/var/lib/dbus/machine-id")),
        chip=chip_from_cpuinfo(cpuinfo) or platform.processor() or platform.machine(),
        architecture=platform.machine(),
        physical_cores=psutil.cpu_count(logical=False) or logical,
        logical_cores=logical if quota is None else max(1, min(logical, int(quota))),
        memory_bytes=smallest_limit(
            psutil.virtual_memory().total,
            [_text("/sys/fs/cgroup/memory.max"), _text("/sys/fs/cgroup/memory/memory.limit_in_bytes")],
        ),
        system=system,
        system_version=f"{version} (kernel {platform.release()})".strip(),
        model=_text("/sys/devices/virtual/dmi/id/product_name") or _text("/proc/device-tree/model").strip("\0"),
        accelerators=parse_nvidia_smi(_output("nvidia-smi", "-L")),
        python=platform.python_version(),
        packages=_packages(),
    )


def chip_from_cpuinfo(text: str) -> str:
    """Return the processor's name from /proc/cpuinfo: x86's model name, or Arm's vendor and part."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), value.strip())
    for key in ("model name", "Hardware", "cpu model", "Processor"):
        if fields.get(key):
            return re.sub(r"\s+", " ", fields[key])
    maker, part = fields.get("CPU implementer"), fields.get("CPU part")
    if not maker or not part:
        return ""
    return f"{ARM_VENDORS.get(maker, f'implementer {maker}')} {ARM_PARTS.get((maker, part), f'part {part}')}"


def parse_os_release(text: str) -> tuple[str, str]:
    """Return the distribution's name and version from os-release; "Linux" without a name."""
    fields = dict(re.findall(r"^([A-Z_]+)=[\"']?(.*?)[\"']?$", text, re.MULTILINE))
    return fields.get("NAME") or "Linux", fields.get("VERSION_ID") or ""


def parse_cpu_quota(text: str) -> float | None:
    """Return how many cores the control group may use (cpu.max, version 2), ``None`` for no limit."""
    parts = text.split()
    if len(parts) != 2 or parts[0] == "max" or not float(parts[1]):
        return None
    return float(parts[0]) / float(parts[1])


def smallest_limit(total: int, limits: list[str]) -> int:
    """Return the memory that can be used, in bytes: the machine's, or the control group's limit if it is lower."""
    sizes = [int(text) for text in map(str.strip, limits) if text.isdigit()]
    return min([total, *(size for size in sizes if 0 < size < UNLIMITED_BYTES)])


def parse_nvidia_smi(text: str) -> tuple[str, ...]:
    """Return the names of NVIDIA's GPUs from ``nvidia-smi -L``, without their serial UUIDs."""
    return tuple(re.findall(r"^GPU \d+: (.+?)(?: \(UUID: .*\))?$", text, re.MULTILINE))


# --- macOS --------------------------------------------------------------------------------------------------


def _describe_mac() -> Machine:
    values = parse_sysctl(macos.tool_output("sysctl", "hw", "machdep.cpu"))
    apple_silicon, virtual = macos.has_apple_silicon() is True, macos.is_virtual_machine() is True
    logical = int(values.get("hw.logicalcpu", os.cpu_count() or 1))
    model = macos.sysctl("hw.model")
    return Machine(
        id=anonymous_id(parse_platform_uuid(macos.tool_output("ioreg", "-rd1", "-c", "IOPlatformExpertDevice"))),
        chip=mac_chip(values) or model or platform.machine(),
        architecture="arm64" if apple_silicon else platform.machine(),
        physical_cores=int(values.get("hw.physicalcpu", logical)),
        logical_cores=logical,
        memory_bytes=int(values.get("hw.memsize", 0)),
        system="macOS",
        system_version=_mac_version(),
        model=model,
        rosetta=macos.is_translated() is True,
        virtual_machine=virtual,
        accelerators=_mac_accelerators(neural_engine=apple_silicon and not virtual),
        python=platform.python_version(),
        packages=_packages(),
    )


def _mac_version() -> str:
    """Return macOS's version and build: "15.1 (24B83)"."""
    version, build = macos.product_version(), macos.build_version()
    return f"{version} ({build})" if build else version


def _mac_accelerators(*, neural_engine: bool) -> tuple[str, ...]:
    displays = macos.tool_output("system_profiler", "-json", "SPDisplaysDataType", timeout=20)
    return (*parse_displays(displays), *(("Neural Engine",) if neural_engine else ()))


def parse_sysctl(text: str) -> dict[str, str]:
    """Return the values of ``sysctl``'s output by name."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def mac_chip(values: dict[str, str]) -> str:
    """Return the chip's name, on Apple silicon with its cores by kind, the fastest first.

    The M1 to M4 have performance and efficiency cores, later chips also "super" ones.

    Under Rosetta ``machdep.cpu.brand_string`` still names the Apple chip, sometimes as "VirtualApple". Without that
    value the name is empty.
    """
    name = values.get("machdep.cpu.brand_string", "")
    levels = [
        (cores, values.get(f"hw.perflevel{level}.name") or default)
        for level, default in enumerate(("performance", "efficiency", "efficiency"))
        if (cores := values.get(f"hw.perflevel{level}.physicalcpu"))
    ]
    if not name or len(levels) < 2:
        return name
    *others, (cores, kind) = levels
    return (
        f"{name} ({', '.join(f'{count} {other.lower()}' for count, other in others)} and {cores} {kind.lower()} cores)"
    )


def parse_platform_uuid(text: str) -> str:
    """Return the machine's UUID from ``ioreg``'s output; only its hash is ever saved."""
    match = re.search(r'"IOPlatformUUID" = "([^"]+)"', text)
    return match[1] if match else ""


def parse_displays(text: str) -> tuple[str, ...]:
    """Return the GPUs from ``system_profiler -json SPDisplaysDataType``, with their cores or memory if listed."""
    try:
        entries = json.loads(text).get("SPDisplaysDataType", [])
    except ValueError:
        return ()
    gpus = []
    for entry in entries:
        name = entry.get("sppci_model") or entry.get("_name") or "unknown"
        cores = entry.get("sppci_cores")
        memory = entry.get("spdisplays_vram") or entry.get("_spdisplays_vram")
        detail = f" ({cores} cores)" if cores else f" ({memory})" if memory else ""
        gpus.append(f"{name} GPU{detail}")
    return tuple(gpus)


# --- both ---------------------------------------------------------------------------------------------------


def anonymous_id(raw: str) -> str:
    """Return twelve hex digits that identify a machine without revealing its own identifier.

    If ``raw`` is empty, the address of the network card is used.
    """
    identity = raw.strip() or f"{uuid.getnode():x}"
    return hashlib.sha256(f"{ID_SALT}:{identity}".encode()).hexdigest()[:12]


def _packages() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _text(path: str) -> str:
    """Return a file's text, empty if it cannot be read."""
    with suppress(OSError):
        return Path(path).read_text(errors="replace").strip()
    return ""


def _output(*command: str, timeout: float = 5) -> str:
    """Return the output of a system tool, empty if it is absent, fails or takes over ``timeout`` seconds."""
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        ).stdout
    return ""


def format_machine(machine: Machine) -> str:
    """Return "MacBookPro16,1 (Intel Core i9, 64 GiB)", or the chip and its memory without a known model."""
    memory = format_bytes(machine.memory_bytes) + (", virtual machine" if machine.virtual_machine else "")
    return f"{machine.model} ({machine.chip}, {memory})" if machine.model else f"{machine.chip} ({memory})"
