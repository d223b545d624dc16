"""Conditions: parsed from captured output of other machines, and read on this one."""

import sys
from pathlib import Path

import psutil
import pytest

from coremlbench.timing.conditions import (
    THERMAL_STATES,
    parse_low_power_mode,
    parse_power_source,
    power_source,
    read_conditions,
    thermal_name,
)

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
    ("text", "low"),
    [
        (SETTINGS.format(mode=1), True),
        (SETTINGS.format(mode=0), False),
        (SETTINGS.replace("lowpowermode", "powermode   ").format(mode=1), True),
        (SETTINGS.replace("lowpowermode", "powermode   ").format(mode=2), False),  # the high-power mode
        (SETTINGS.replace(" lowpowermode         {mode}\n", ""), None),
        ("", None),
    ],
)
def test_pmset_tells_the_low_power_mode(text: str, low: bool | None) -> None:
    assert parse_low_power_mode(text) is low


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


def test_this_machine_is_described_with_what_it_tells() -> None:
    conditions = read_conditions()
    assert conditions.load_average is not None
    assert conditions.load_average >= 0
    assert conditions.free_memory_bytes is not None
    assert 0 < conditions.free_memory_bytes <= psutil.virtual_memory().total
    assert conditions.power_source in {"AC", "battery", None}
    if sys.platform == "darwin":
        assert conditions.thermal_state in THERMAL_STATES
        assert conditions.low_power_mode in {True, False}
    else:
        assert conditions.thermal_state is None
        assert conditions.low_power_mode is None
