"""A Mac is kept awake by ``caffeinate`` while a run works."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from coremlbench.system.sleep import kept_awake
from tests.simulated_mac import SimulatedMac

CAFFEINATE = """\
"-i -m -s -w "*) printf '%s %s' $$ "$*" >"$0.started.part"; mv "$0.started.part" "$0.started"; exec sleep 600 ;;
"""


def started(mac: SimulatedMac) -> list[str]:
    """Return the process id and the arguments of the simulated ``caffeinate``, as soon as it has written them."""
    file = mac.folder / "caffeinate.started"
    while not file.exists():
        time.sleep(0.001)
    return file.read_text().split()


def test_caffeinate_runs_as_long_as_the_block(simulated_mac: Callable[..., SimulatedMac]) -> None:
    mac = simulated_mac()
    mac.add_tool("caffeinate", CAFFEINATE)
    with kept_awake():
        process, *arguments = started(mac)
        assert arguments == ["-i", "-m", "-s", "-w", str(os.getpid())]
        assert psutil.pid_exists(int(process))
        assert os.getsid(int(process)) != os.getsid(0), "Ctrl-C of the terminal does not reach it"
    assert not psutil.pid_exists(int(process))


def test_it_ends_after_an_error_too(simulated_mac: Callable[..., SimulatedMac]) -> None:
    mac = simulated_mac()
    mac.add_tool("caffeinate", CAFFEINATE)

    def fail_while_awake() -> None:
        with kept_awake():
            processes.append(int(started(mac)[0]))
            raise RuntimeError("the work failed")

    processes: list[int] = []
    with pytest.raises(RuntimeError, match="the work failed"):
        fail_while_awake()
    assert not psutil.pid_exists(processes[0])


def test_a_mac_without_caffeinate_runs_all_the_same(simulated_mac: Callable[..., SimulatedMac]) -> None:
    mac = simulated_mac()
    with kept_awake():
        pass
    (mac.folder / "caffeinate").write_text("no program")
    with kept_awake():
        pass


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has a caffeinate of its own")
def test_other_systems_start_nothing(tmp_path: Path) -> None:
    before = {process.pid for process in psutil.Process().children()}
    with kept_awake():
        assert {process.pid for process in psutil.Process().children()} <= before
