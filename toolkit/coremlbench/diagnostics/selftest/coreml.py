"""Checks of Core ML: its devices, its compiler, each unit, its own clock, its compute plan. They run on a Mac only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coremlbench.diagnostics.selftest.checks import Context, DoesNotWorkError, NotHereError
from coremlbench.diagnostics.selftest.host import Host
from coremlbench.diagnostics.selftest.model import (
    PACKAGE,
    check_outputs,
    median_milliseconds,
    samples_path,
    timing_request,
)
from coremlbench.diagnostics.selftest.workers import run_worker, stand_in_note
from coremlbench.types.timing import UnitName

COMPILED = "tiny.mlmodelc"
UNITS: dict[UnitName, str] = {
    "CPU_ONLY": "Core ML on the CPU",
    "CPU_AND_GPU": "Core ML on CPU and GPU",
    "CPU_AND_NE": "Core ML on CPU and Neural Engine",
    "ALL": "Core ML on all units",
}
"""The name of the check of each unit."""
HANGS_WHEN_VIRTUAL: tuple[UnitName, ...] = ("CPU_AND_NE", "ALL")
PLAN_VERSION = (14, 4)
DEVICES_VERSION = (14, 0)
NO_MAC = "Core ML is a part of macOS"
UPDATE = "Install the newest update of macOS, restart, and run this again."


def core_ml_missing(host: Host) -> str:
    """Return why there is no Core ML, "" on macOS."""
    return "" if host.is_mac else NO_MAC


def devices_missing(host: Host) -> str:
    """Return why Core ML does not list its devices, "" when it does."""
    return core_ml_missing(host) or _too_old(host, DEVICES_VERSION, "lists its devices")


def plan_missing(host: Host) -> str:
    """Return why Core ML gives no compute plan, "" when it does."""
    return core_ml_missing(host) or _too_old(host, PLAN_VERSION, "gives its compute plan")


def _too_old(host: Host, version: tuple[int, int], ability: str) -> str:
    if host.version >= version:
        return ""
    this = ".".join(map(str, host.version)) or "of an unknown version"
    return f"Core ML {ability} from macOS {version[0]}.{version[1]} on, and this is {this}"


def unit_missing(unit: UnitName) -> Callable[[Host], str]:
    """Return the function that says why a host cannot use a unit."""

    def reason(host: Host) -> str:
        if not host.is_mac:
            return NO_MAC
        if unit == "CPU_AND_NE" and not host.apple_silicon:
            return "Macs with Intel processors have no Neural Engine"
        if host.virtual and unit in HANGS_WHEN_VIRTUAL:
            return f"this is a virtual Mac: it has no Neural Engine, and loading a model for {unit} can hang there"
        return ""

    return reason


def check_devices(context: Context) -> str:
    """Return the devices that Core ML lists.

    Raises:
        DoesNotWorkError: the CPU is not among them, or the Neural Engine of a Mac that has one.
    """
    result = run_worker(context, "runtimes", {}, "listing Core ML's devices")
    devices = result["devices"] or []
    expected = {"CPU"} | ({"NE"} if context.host.apple_silicon and not context.host.virtual else set())
    missing = [name for name in ("CPU", "NE") if name in expected and name not in devices]
    if missing:
        listed = f"lists {', '.join(devices)} and not {' nor '.join(missing)}" if devices else "lists no device at all"
        raise DoesNotWorkError(f"Core ML {listed}", UPDATE)
    return f"{', '.join(devices)}{stand_in_note(result)}"


def check_compile(context: Context) -> str:
    """Return that Core ML compiled the tiny model, which is then in the run's folder."""
    request = {"package": context.folder / PACKAGE, "compiled": context.folder / COMPILED}
    result = run_worker(context, "compile", request, "compiling the tiny model")
    return f"{result['runtime_version']}: {1e3 * result['compile_seconds']:.0f} ms"


def check_unit(unit: UnitName) -> Callable[[Context], str]:
    """Return the check of a unit: it loads the tiny model twice, gives NumPy's outputs, and is timed."""

    def check(context: Context) -> str:
        request = timing_request(context, "coreml", unit, compiled=context.folder / COMPILED)
        result = run_worker(context, "timing", request, f"timing on {unit}")
        matching = check_outputs(result, unit)
        return (
            f"loads in {1e3 * result['first_load_seconds']:.0f} ms, predicts in "
            f"{median_milliseconds(context, unit):.2g} ms, {matching}{stand_in_note(result)}"
        )

    return check


def check_durations(context: Context) -> str:
    """Return how Core ML's own durations of predictions compare with ours, on the units that were tried.

    Raises:
        DoesNotWorkError: they are not there, or longer than the calls that contain them.
        NotHereError: no unit was timed.
    """
    import numpy as np

    shares = []
    for unit in UNITS:
        path = samples_path(context, unit)
        if not path.is_file():
            continue
        with np.load(path) as samples:
            if "own" not in samples:
                raise DoesNotWorkError(
                    f"Core ML does not say how long a prediction on {unit} took",
                    "Use the times of whole calls, which every table has, and install coremltools 9.0.",
                )
            own, wall = float(np.median(samples["own"])), float(np.median(samples["wall"]))
        if not 0 < own <= wall:
            raise DoesNotWorkError(
                f"Core ML says {1e3 * own:.3g} ms for predictions on {unit} that took {1e3 * wall:.3g} ms in all",
                "Use the times of whole calls, which every table has, and report this.",
            )
        shares.append(own / wall)
    if not shares:
        raise NotHereError("no unit of Core ML was timed")
    return f"Core ML's own durations are {100 * min(shares):.0f} to {100 * max(shares):.0f}% of the calls'"


def check_plan(context: Context) -> str:
    """Return the device on which Core ML plans the tiny model, for each unit.

    Raises:
        DoesNotWorkError: there is no plan.
    """
    planned: list[str] = []
    result: dict[str, Any] = {}
    for unit in UNITS:
        if unit_missing(unit)(context.host):
            continue
        request = {"compiled": context.folder / COMPILED, "unit": unit}
        result = run_worker(context, "plan", request, f"planning for {unit}")
        if result["failure"]:
            raise DoesNotWorkError(f"{unit}: {result['failure']}", UPDATE)
        planned.append(f"{unit} on {' and '.join(result['ops'])}")
    return "; ".join(planned) + stand_in_note(result)
