"""Read the joules that a stretch of time took, where the machine tells; where it does not, say nothing, never 0.

The counters are the whole chip's: whatever else runs meanwhile is in them, and so is idling.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

POWERCAP = Path("/sys/class/powercap")
APPLE_FIELDS = ("cpu_total_mj", "gpu_mj", "gpu_sram_mj", "ane_mj", "dram_mj")
"""What is added up of Apple silicon's counters, in millijoules; older chips lack some of them."""


class Meter(Protocol):
    """Something that counts the joules of a stretch of time."""

    name: str

    def start(self) -> None:
        """Begin to count."""

    def joules(self) -> float | None:
        """Return the joules since the start, ``None`` when they cannot be told."""


def energy_meter() -> Meter | None:
    """Return what counts joules on this machine, ``None`` where nothing does.

    On Apple silicon that is the optional package ``zeus-apple-silicon``, which reads the system's own counters
    (IOReport's Energy Model) without root. They are Apple's estimates from clocks and load, not a sensor's; source:
    github.com/ml-energy/zeus-apple-silicon. On Linux it is RAPL, which most systems let only root read.
    """
    if sys.platform == "darwin":
        with suppress(Exception):  # not installed, an Intel Mac, or a chip it does not know
            import zeus_apple_silicon

            return AppleMeter(zeus_apple_silicon.AppleEnergyMonitor())
        return None
    domains = rapl_domains(POWERCAP)
    return RaplMeter(domains) if domains else None


class AppleMeter:
    """The joules of an Apple chip's CPU, GPU, Neural Engine and memory."""

    name = "IOReport (estimated by the system)"

    def __init__(self, monitor: Any) -> None:
        self._monitor = monitor

    def start(self) -> None:
        """Begin to count."""
        self._monitor.begin_window("coremlbench", restart=True)

    def joules(self) -> float | None:
        """Return the joules since the start."""
        return apple_joules(self._monitor.end_window("coremlbench"))


def apple_joules(metrics: Any) -> float | None:
    """Return the sum of the parts that the chip counts; ``None`` when it counts none or all of them stood still."""
    known = [part for part in (getattr(metrics, field, None) for field in APPLE_FIELDS) if part is not None]
    return sum(known) / 1000 or None


class RaplMeter:
    """The joules of the processor's packages and memory, from Linux's powercap counters (microjoules that wrap)."""

    name = "RAPL"

    def __init__(self, domains: tuple[Path, ...]) -> None:
        self._domains = domains
        self._before: dict[Path, int | None] = {}

    def start(self) -> None:
        """Begin to count."""
        self._before = {domain: _number(domain / "energy_uj") for domain in self._domains}

    def joules(self) -> float | None:
        """Return the joules since the start; a counter that wrapped once is put right.

        ``None`` when a counter could not be read at either end: counted from 0 it would be the joules since the boot.
        """
        total = 0
        for domain, before in self._before.items():
            now, span = _number(domain / "energy_uj"), _number(domain / "max_energy_range_uj")
            if before is None or now is None or (now < before and span is None):
                return None
            total += now - before if now >= before else now - before + (span or 0)
        return total / 1e6 or None


def rapl_domains(folder: Path) -> tuple[Path, ...]:
    """Return the counters of packages and of memory beside them that this process may read.

    Cores and graphics are parts of their package, and ``psys`` holds it whole: they would be counted twice.
    """
    found = []
    for domain in sorted(folder.glob("intel-rapl:*")):
        with suppress(OSError):
            name = (domain / "name").read_text().strip()
            if (name.startswith("package") or name == "dram") and _number(domain / "energy_uj") is not None:
                found.append(domain)
    return tuple(found)


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return None
