"""Energy meters: the joules used between two points in time, ``None`` where the machine cannot measure them.

The counters cover the whole chip, including other processes and idle power.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

POWERCAP = Path("/sys/class/powercap")
APPLE_FIELDS = ("cpu_total_mj", "gpu_mj", "gpu_sram_mj", "ane_mj", "dram_mj")
"""The counters of Apple silicon that are summed, in millijoules; older chips lack some of them."""


class Meter(Protocol):
    """Measures the joules used since its start."""

    name: str

    def start(self) -> None:
        """Start the measurement."""

    def joules(self) -> float | None:
        """Return the joules since the start, ``None`` when they cannot be measured."""


def energy_meter() -> Meter | None:
    """Return the energy meter of this machine, ``None`` when there is none.

    On Apple silicon it is the optional package ``zeus-apple-silicon``, which reads the counters of IOReport's Energy
    Model without root. Those are Apple's estimates from clocks and load, not sensor readings; source:
    github.com/ml-energy/zeus-apple-silicon. On Linux it is RAPL, which only root can read on most systems.
    """
    if sys.platform == "darwin":
        with suppress(Exception):  # not installed, an Intel Mac, or a chip it does not know
            import zeus_apple_silicon

            return AppleMeter(zeus_apple_silicon.AppleEnergyMonitor())
        return None
    domains = rapl_domains(POWERCAP)
    return RaplMeter(domains) if domains else None


class AppleMeter:
    """Measures the joules of an Apple chip's CPU, GPU, Neural Engine and memory."""

    name = "IOReport (estimated by the system)"

    def __init__(self, monitor: Any) -> None:
        self._monitor = monitor

    def start(self) -> None:
        """Start the measurement."""
        self._monitor.begin_window("coremlbench", restart=True)

    def joules(self) -> float | None:
        """Return the joules since the start."""
        return apple_joules(self._monitor.end_window("coremlbench"))


def apple_joules(metrics: Any) -> float | None:
    """Return the sum of the counters of a chip; ``None`` when it has none of them or all are zero."""
    known = [part for part in (getattr(metrics, field, None) for field in APPLE_FIELDS) if part is not None]
    return sum(known) / 1000 or None


class RaplMeter:
    """Measures the joules of processor packages and memory, by Linux's powercap counters (microjoules that wrap)."""

    name = "RAPL"

    def __init__(self, domains: tuple[Path, ...]) -> None:
        self._domains = domains
        self._before: dict[Path, int | None] = {}

    def start(self) -> None:
        """Start the measurement."""
        self._before = {domain: _read_number(domain / "energy_uj") for domain in self._domains}

    def joules(self) -> float | None:
        """Return the joules since the start; a counter may wrap once.

        ``None`` when a counter could not be read at the start or now, or when none of them moved.
        """
        total = 0
        for domain, before in self._before.items():
            now, maximum = _read_number(domain / "energy_uj"), _read_number(domain / "max_energy_range_uj")
            if before is None or now is None or (now < before and maximum is None):
                return None
            total += now - before if now >= before else now - before + (maximum or 0)
        return total / 1e6 or None


def rapl_domains(folder: Path) -> tuple[Path, ...]:
    """Return the counters of processor packages and of their memory that this process can read.

    Cores and graphics are parts of a package, and ``psys`` contains the package: they would be counted twice.
    """
    domains = []
    for domain in sorted(folder.glob("intel-rapl:*")):
        with suppress(OSError):
            name = (domain / "name").read_text().strip()
            if (name.startswith("package") or name == "dram") and _read_number(domain / "energy_uj") is not None:
                domains.append(domain)
    return tuple(domains)


def _read_number(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return None
