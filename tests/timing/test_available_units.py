"""Which units can be timed, on a Mac imitated by the stand-in and on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from coremlbench.runtimes import RUNTIMES
from coremlbench.supervision.supervisor import supervise
from coremlbench.timing.available_units import UnitAvailability, probe_units, static_availability, unit_availability
from coremlbench.types.timing import UnitName
from tests import coreml_stand_in
from tests.coreml_stand_in import Behaviour


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("behaviour", "reasons"),
    [
        (Behaviour(), {"CPU_ONLY": "", "CPU_AND_GPU": "", "CPU_AND_NE": "", "ALL": ""}),
        (Behaviour(devices=("CPU", "GPU")), {"CPU_AND_NE": "lists no Neural Engine", "ALL": ""}),
        (Behaviour(macos=(12, 6)), {"CPU_AND_NE": "CPU_AND_NE needs macOS 13 or later, and this is 12.6."}),
    ],
)
def test_a_mac_is_asked_what_it_has(behaviour: Behaviour, reasons: dict[UnitName, str], tmp_path: Path) -> None:
    file = coreml_stand_in.write(tmp_path / "behaviour.json", behaviour)
    availability = probe_units(coreml_stand_in.worker(file))
    assert availability.stand_in
    for unit, reason in reasons.items():
        assert reason in availability.reasons["coreml"][unit]
        assert bool(reason) == bool(availability.reasons["coreml"][unit])


@pytest.mark.tensorflow
def test_several_gpus_are_one_kind_of_device(tmp_path: Path) -> None:
    file = coreml_stand_in.write(tmp_path / "behaviour.json", Behaviour(devices=("CPU", "GPU", "GPU")))
    ended = supervise(coreml_stand_in.worker(file)("runtimes"), folder=tmp_path, request={})
    assert ended.result is not None
    assert ended.result["devices"] == ["CPU", "GPU"]


def test_every_unit_of_every_runtime_has_an_answer() -> None:
    availability = unit_availability()
    assert {name: tuple(units) for name, units in availability.reasons.items()} == {
        name: runtime.units for name, runtime in RUNTIMES.items()
    }
    assert not availability.stand_in
    if sys.platform != "darwin":
        assert availability.reasons == static_availability()
        assert all(availability.reasons["coreml"].values())


INTERRUPTS = """
import os, psutil, signal, time
os.kill(psutil.Process(os.getppid()).ppid(), signal.SIGINT)
time.sleep(600)
"""


def test_ctrl_c_in_a_survey_ends_the_command() -> None:
    with pytest.raises(KeyboardInterrupt):
        probe_units(lambda name: [sys.executable, "-c", INTERRUPTS])


def test_a_survey_that_crashes_leaves_what_is_expected() -> None:
    assert probe_units(lambda name: [sys.executable, "-c", "import os; os.abort()"]) == UnitAvailability(
        static_availability()
    )
