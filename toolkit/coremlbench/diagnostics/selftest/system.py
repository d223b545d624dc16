"""Checks of what the system says of the machine and its state, and of the tools that runs use."""

from __future__ import annotations

import re
import time

from coremlbench.diagnostics.selftest.checks import Context, DoesNotWorkError, NotHereError
from coremlbench.diagnostics.selftest.host import Host
from coremlbench.diagnostics.selftest.processes import ABORT, run_script
from coremlbench.system import macos
from coremlbench.system.condition_texts import describe_conditions
from coremlbench.system.conditions import read_conditions, thermal_state
from coremlbench.system.formatting import format_bytes
from coremlbench.system.machine import describe_machine
from coremlbench.system.sleep import CAFFEINATE, kept_awake
from coremlbench.system.tensorflow_extra import install_command
from coremlbench.timing.energy import POWERCAP, energy_meter
from coremlbench.types.process import Limits

BUSY_SECONDS = 0.3
CAFFEINATE_SECONDS = 3.0
STAY_AWAKE = "Keep the Mac awake by hand while it measures: System Settings, Energy."
REPORT = "Report this together with the file of `coremlbench selftest --bundle FILE`."


def check_machine(context: Context) -> str:
    """Return the machine: chip, cores, memory, system.

    Raises:
        DoesNotWorkError: this Python runs under Rosetta, or the system does not say what the machine is.
    """
    machine = describe_machine()
    if context.host.translated:
        raise DoesNotWorkError(
            "this Python runs under Rosetta: TensorFlow crashes, and every figure is slower than the machine",
            "Install a Python for arm64, then run `make clean install` with it.",
        )
    fields = {"chip": machine.chip, "memory": machine.memory_bytes, "version of the system": machine.system_version}
    unknown = [name for name, value in fields.items() if not value]
    if unknown:
        raise DoesNotWorkError(f"the system does not say its {' and '.join(unknown)}", REPORT)
    kind = ", a virtual machine" if context.host.virtual else ""
    return (
        f"{machine.chip}, {machine.logical_cores} cores, {format_bytes(machine.memory_bytes)}, {machine.system} "
        f"{machine.system_version}{kind}"
    )


def check_conditions(context: Context) -> str:
    """Return the conditions that every round records: power, load, memory, and on a Mac GPU and display.

    Raises:
        DoesNotWorkError: one that every Mac has is not known.
    """
    conditions = read_conditions()
    if context.host.is_mac:
        known = {
            "power source (`pmset -g batt`)": conditions.power_source,
            "power mode (`pmset -g`)": conditions.power_mode,
            "memory pressure (`sysctl kern.memorystatus_vm_pressure_level`)": conditions.memory_pressure,
        }
        unknown = [name for name, value in known.items() if value is None]
        if unknown:
            raise DoesNotWorkError(f"macOS does not say its {' nor its '.join(unknown)}", REPORT)
    return describe_conditions(conditions)


def check_thermal_state(context: Context) -> str:
    """Return macOS's thermal state.

    Raises:
        DoesNotWorkError: macOS does not say it.
    """
    del context
    state = thermal_state()
    if state is None:
        raise DoesNotWorkError(
            "NSProcessInfo has no thermal state",
            "Go on without: timings are recorded without it. Report it, with the file of `coremlbench selftest "
            "--bundle FILE`.",
        )
    return f"{state}"


def check_energy(context: Context) -> str:
    """Return the joules of a third of a second's work.

    Raises:
        DoesNotWorkError: there is a meter, or should be, and it says nothing.
        NotHereError: this machine has none.
    """
    meter = energy_meter()
    if meter is None:
        raise _no_meter(context.host)
    meter.start()
    started = time.monotonic()
    while time.monotonic() - started < BUSY_SECONDS:
        sum(range(10_000))
    joules = meter.joules()
    if joules is None:
        if context.host.virtual:
            raise NotHereError("the energy counters of a virtual Mac stand still")
        raise DoesNotWorkError(f"{meter.name} gives no joules", "Go on without: timings are recorded without energy.")
    return f"{meter.name}: {joules:.2g} J in {BUSY_SECONDS:g} s of work"


def _no_meter(host: Host) -> Exception:
    """Return the error that says why there is no energy meter."""
    if host.virtual:
        return NotHereError("a virtual Mac has no energy counters")
    if host.apple_silicon:
        return DoesNotWorkError(
            "zeus-apple-silicon, which reads the chip's counters, is not installed or does not know this chip",
            f"Install it with `{install_command(['zeus-apple-silicon'])}`, or go on without energy.",
        )
    if host.is_mac:
        return NotHereError("Macs with Intel processors have no counters that can be read without root")
    if any(POWERCAP.glob("intel-rapl:*")):
        return NotHereError("only root may read the counters of RAPL here")
    return NotHereError("this machine shows no energy counters, as most virtual machines")


def check_sleep_prevention(context: Context) -> str:
    """Return that caffeinate keeps the Mac awake while a process runs.

    Raises:
        DoesNotWorkError: it is missing, or macOS does not list what it asks for.
    """
    del context
    before = caffeinate_assertions(macos.tool_output("pmset", "-g", "assertions"))
    if macos.system_tool(CAFFEINATE[0]) is None:
        raise DoesNotWorkError("there is no /usr/bin/caffeinate", STAY_AWAKE)
    with kept_awake():
        deadline = time.monotonic() + CAFFEINATE_SECONDS
        while not (held := caffeinate_assertions(macos.tool_output("pmset", "-g", "assertions")) - before):
            if time.monotonic() > deadline:
                raise DoesNotWorkError("`pmset -g assertions` lists nothing that caffeinate holds", STAY_AWAKE)
            time.sleep(0.1)
    return f"caffeinate holds {', '.join(sorted({kind for _, kind in held}))}"


def caffeinate_assertions(text: str) -> set[tuple[str, str]]:
    """Return process id and kind of each assertion that caffeinate holds, from ``pmset -g assertions``."""
    return set(re.findall(r"\bpid (\d+)\(caffeinate\): \[\w+\] [\d:]+ (\w+)", text))


def check_crash_reports(context: Context) -> str:
    """Return that macOS wrote a report of a child that aborted, and that it was found.

    Raises:
        DoesNotWorkError: there was none within its time.
    """
    report = run_script(context, "crash report", ABORT, Limits(deadline=10.0)).crash_report
    if report is None:
        raise DoesNotWorkError(
            "macOS wrote no report of a child that aborted into ~/Library/Logs/DiagnosticReports within five seconds",
            "Go on without: failures are then told from their signal and log alone.",
        )
    return f"{report.file}: {report.exception} {report.signal}, {len(report.frames)} frames"
