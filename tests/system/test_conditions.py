"""Conditions: parsed from captured output of other machines, and read on this one."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from coremlbench.system.conditions import (
    THERMAL_STATES,
    cpu_governor,
    parse_memory_stalls,
    power_source,
    read_conditions,
    thermal_name,
)
from coremlbench.system.mac_conditions import (
    DISPLAY_SCRIPT,
    parse_gpu_use,
    parse_lid,
    parse_power_mode,
    parse_power_source,
)
from tests.simulated_mac import IDLE_GPU, SimulatedMac

ON_MAINS = """\
Now drawing from 'AC Power'
 -InternalBattery-0 (id=4653155)\t100%; charged; 0:00 remaining present: true
"""
ON_BATTERY = """\
Now drawing from 'Battery Power'
 -InternalBattery-0 (id=4653155)\t87%; discharging; 9:41 remaining present: true
"""
MINI = "Now drawing from 'AC Power'\n"
SETTINGS = """\
System-wide power settings:
Currently in use:
 standby              1
 Sleep On Power Button 1
 hibernatefile        /var/vm/sleepimage
 powernap             1
 networkoversleep     0
 disksleep            10
 sleep                1 (sleep prevented by caffeinate)
 hibernatemode        3
 ttyskeepawake        1
 displaysleep         10
 tcpkeepalive         1
 lowpowermode         {mode}
 womp                 1
"""


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (ON_MAINS, "AC"),
        (ON_BATTERY, "battery"),
        (MINI, "AC"),
        ("Now drawing from 'UPS Power'\n", "battery"),
        ("", None),
    ],
)
def test_pmset_tells_the_power_source(text: str, source: str | None) -> None:
    assert parse_power_source(text) == source


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        (SETTINGS.format(mode=1), "low"),
        (SETTINGS.format(mode=0), "automatic"),
        (SETTINGS.replace("lowpowermode", "powermode   ").format(mode=0), "automatic"),
        (SETTINGS.replace("lowpowermode", "powermode   ").format(mode=1), "low"),
        (SETTINGS.replace("lowpowermode", "powermode   ").format(mode=2), "high"),
        (SETTINGS.format(mode=0) + " highpowermode        1\n", "high"),
        (SETTINGS.format(mode=1) + " highpowermode        0\n", "low"),
        (SETTINGS.replace(" lowpowermode         {mode}\n", ""), None),
        ("", None),
    ],
)
def test_pmset_tells_the_power_mode(text: str, mode: str | None) -> None:
    assert parse_power_mode(text) == mode


@pytest.mark.parametrize(
    ("level", "name"), [(0, "nominal"), (1, "fair"), (2, "serious"), (3, "critical"), (4, None), (-1, None)]
)
def test_thermal_states_have_apples_numbers(level: int, name: str | None) -> None:
    assert thermal_name(level) == name
    assert thermal_name(None) is None


def supply(folder: Path, name: str, **values: str) -> None:
    (folder / name).mkdir(parents=True)
    for key, value in values.items():
        (folder / name / key).write_text(f"{value}\n")


def test_linux_tells_the_power_source_of_a_notebook(tmp_path: Path) -> None:
    plugged, unplugged, mainless = tmp_path / "plugged", tmp_path / "unplugged", tmp_path / "mainless"
    supply(plugged, "AC", type="Mains", online="1")
    supply(plugged, "BAT0", type="Battery", status="Charging")
    supply(unplugged, "AC", type="Mains", online="0")
    supply(unplugged, "BAT0", type="Battery", status="Discharging")
    supply(mainless, "BAT0", type="Battery", status="Full")
    supply(mainless, "mouse", type="Battery", status="Discharging", scope="Device")
    assert [power_source(folder) for folder in (plugged, unplugged, mainless)] == ["AC", "battery", "AC"]


def test_a_server_tells_no_power_source(tmp_path: Path) -> None:
    supply(tmp_path, "mouse", type="Battery", status="Discharging", scope="Device")
    assert power_source(tmp_path) is None
    assert power_source(tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("text", "closed"),
    [('  |   "AppleClamshellState" = Yes\n', True), ('  |   "AppleClamshellState" = No\n', False), ("", None)],
)
def test_ioreg_tells_whether_the_lid_is_closed(text: str, closed: bool | None) -> None:
    assert parse_lid(text) is closed


@pytest.mark.parametrize(
    ("text", "use"),
    [
        (IDLE_GPU, 3),
        (IDLE_GPU + IDLE_GPU.replace('"Device Utilization %"=3', '"Device Utilization %"=97'), 97),  # two GPUs
        ("", None),
    ],
)
def test_ioreg_tells_how_busy_the_gpu_is(text: str, use: int | None) -> None:
    assert parse_gpu_use(text) == use


def test_a_mac_tells_its_conditions(simulated_mac: Callable[..., SimulatedMac]) -> None:
    simulated_mac(
        sysctl={"kern.memorystatus_vm_pressure_level": "2"},
        outputs={
            "pmset -g batt": ON_BATTERY,
            "pmset -g": SETTINGS.replace("lowpowermode", "powermode   ").format(mode=2),
            "ioreg -r -k AppleClamshellState -d 1": '  |   "AppleClamshellState" = No',
            f"osascript -l JavaScript -e {DISPLAY_SCRIPT}": "asleep",
        },
    )
    conditions = read_conditions()
    assert (conditions.power_source, conditions.power_mode, conditions.low_power_mode) == ("battery", "high", False)
    assert (conditions.memory_pressure, conditions.lid_closed, conditions.gpu_use_percent) == ("warning", False, 3)
    assert conditions.display_asleep is True
    assert conditions.nice == os.getpriority(os.PRIO_PROCESS, 0)
    assert conditions.swap_used_bytes is not None


def test_a_mac_that_tells_nothing_has_unknown_conditions(simulated_mac: Callable[..., SimulatedMac]) -> None:
    mac = simulated_mac()
    for tool in mac.folder.iterdir():
        tool.unlink()
    conditions = read_conditions()
    assert {conditions.power_source, conditions.power_mode, conditions.low_power_mode, conditions.memory_pressure} == {
        None
    }
    assert {conditions.gpu_use_percent, conditions.lid_closed, conditions.display_asleep} == {None}


def test_linux_tells_governors_and_stalls(tmp_path: Path) -> None:
    for name, governor in (("policy0", "performance"), ("policy4", "powersave"), ("policy8", "performance")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scaling_governor").write_text(governor + "\n")
    assert cpu_governor(tmp_path) == "performance, powersave"
    assert cpu_governor(tmp_path / "absent") is None
    stalls = "some avg10=12.50 avg60=3.00 avg300=0.80 total=1\nfull avg10=9.00 avg60=0.10 avg300=0.00 total=1\n"
    assert parse_memory_stalls(stalls) == 12.5
    assert parse_memory_stalls("") is None


def test_this_machine_is_described_with_what_it_tells() -> None:
    conditions = read_conditions()
    assert conditions.load_average is not None
    assert conditions.load_average >= 0
    assert conditions.free_memory_bytes is not None
    assert 0 < conditions.free_memory_bytes <= psutil.virtual_memory().total
    assert conditions.power_source in {"AC", "battery", None}
    assert conditions.nice is not None
    if sys.platform == "darwin":
        assert conditions.thermal_state in THERMAL_STATES
        assert conditions.low_power_mode in {True, False}
        assert conditions.memory_pressure in {"normal", "warning", "critical"}
    else:
        assert conditions.thermal_state is None
        assert conditions.low_power_mode is None
        assert conditions.memory_pressure is None
