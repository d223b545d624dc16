"""A virtual Mac: no roofline bounds, no units on which loading hangs, and a mark in the record and the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coremlbench.report.build import build_report
from coremlbench.report.types import Source
from coremlbench.report.warnings import warning_rows
from coremlbench.system.machine import describe_machine, format_machine
from coremlbench.timing.available_units import MachineCapabilities, detect_units
from coremlbench.timing.plan import TimingOptions, requested_units
from coremlbench.timing.roofline import roofline_bound
from coremlbench.types.conversion import Variant
from coremlbench.types.timing import RooflineBound, Timed, UnitName
from tests.coreml_stand_in import Behaviour
from tests.simulated_mac import SYSCTL_LISTING, SimulatedMac
from tests.timed_packages import behave, quick_machine, stand_in_workers, time_one_round

VIRTUAL = {"kern.hv_vmm_present": "1", "hw.model": "VirtualMac2,1"}
LISTING = {"sysctl hw machdep.cpu": SYSCTL_LISTING.replace("Apple M2", "Apple M1 (Virtual)")}
PACKAGE = Variant("fp16", 1, weight_bytes=500, arithmetic=4000)


def timed_units(capabilities: MachineCapabilities, *named: UnitName) -> dict[str, str]:
    """Return why each of Core ML's units is not timed, "" for those that are."""
    options = TimingOptions(units=named, runtimes=("coreml",))
    requested = requested_units(options, capabilities.units, capabilities.reasons(options.units))
    return {unit: reason for (_, unit), reason in requested.items()}


@pytest.mark.tensorflow
def test_units_that_hang_there_are_timed_only_when_they_are_named(
    simulated_mac: Callable[..., SimulatedMac], tmp_path: Path
) -> None:
    simulated_mac(sysctl=VIRTUAL, outputs=LISTING)
    capabilities = detect_units(stand_in_workers(tmp_path, Behaviour(devices=("CPU", "GPU"))))
    by_default, named = timed_units(capabilities), timed_units(capabilities, "ALL", "CPU_AND_NE")
    assert [unit for unit, reason in by_default.items() if not reason] == ["CPU_ONLY", "CPU_AND_GPU"]
    assert by_default["ALL"].startswith("This is a virtual Mac, where loading a model for CPU_AND_NE or ALL has been")
    assert "lists no Neural Engine" in by_default["CPU_AND_NE"], "as Core ML's own list of devices says"
    assert named["ALL"] == ""
    assert "lists no Neural Engine" in named["CPU_AND_NE"]


@pytest.mark.tensorflow
def test_a_real_mac_times_all_units(simulated_mac: Callable[..., SimulatedMac], tmp_path: Path) -> None:
    simulated_mac()
    assert set(timed_units(detect_units(stand_in_workers(tmp_path))).values()) == {""}


def test_its_matrix_has_no_bounds_and_says_what_it_ran_on(
    simulated_mac: Callable[..., SimulatedMac], tmp_path: Path
) -> None:
    simulated_mac(sysctl=VIRTUAL, outputs=LISTING)
    units = {"coreml": ("CPU_AND_GPU", "ALL")}
    machine = replace(
        quick_machine(behave(tmp_path), units), on_request_only=lambda runtime, unit: "Not asked." * (unit == "ALL")
    )
    record = time_one_round(tmp_path, machine)
    assert record.outcome == Timed(cells=1, failed=0, not_here=("Not asked.",))
    assert record.machine.virtual_machine
    assert [row.floor for row in record.measurements] == [None]
    assert "A virtual Mac has the name of its host's chip and not all of it: no roofline bound." in record.notes
    assert any(row.text.startswith("macOS ran in a virtual machine") for row in warning_rows([record]))
    (machine_row,) = build_report([Source(record, f"{record.id}/run.json")], made="2026-01-01T00:00:00").machines
    assert machine_row.name == (
        "VirtualMac2,1 (Apple M1 (Virtual) (4 performance and 4 efficiency cores), 16 GB, virtual machine)"
    )


def test_the_chip_of_a_real_mac_has_a_bound_and_that_of_a_virtual_one_none(
    simulated_mac: Callable[..., SimulatedMac],
) -> None:
    simulated_mac()
    machine = describe_machine()
    assert isinstance(roofline_bound(machine, "CPU_AND_NE", PACKAGE), RooflineBound)
    virtual = replace(machine, virtual_machine=True)
    assert isinstance(roofline_bound(virtual, "CPU_AND_NE", PACKAGE), str)
    assert format_machine(virtual).endswith(", 16.00 GiB, virtual machine)")
