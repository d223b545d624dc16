"""Work in processes that end when their work or their parent does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from coremlbench_datasets.parallel import MIN_PARALLEL_ITEMS, PoolProcessDiedError, in_processes


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def refuse(number: int) -> int:
    if number == 70:
        raise ValueError(f"not {number}")
    return number


def test_every_item_is_worked_on_once() -> None:
    found = list(in_processes(square, range(MIN_PARALLEL_ITEMS + 71), workers=2))
    assert sorted(value for value, _ in found) == [number * number for number in range(MIN_PARALLEL_ITEMS + 71)]
    assert os.getpid() not in {process for _, process in found}


def test_a_few_items_start_no_process() -> None:
    assert {process for _, process in in_processes(square, range(MIN_PARALLEL_ITEMS - 1), workers=2)} == {os.getpid()}


@pytest.mark.parametrize("count", [MIN_PARALLEL_ITEMS - 1, MIN_PARALLEL_ITEMS + 50])
def test_an_exception_ends_it(count: int) -> None:
    before = psutil.Process().children()  # the tests' server that forks workers
    with pytest.raises(ValueError, match="not 70"):
        list(in_processes(refuse, range(count), workers=2))
    new = [child for child in psutil.Process().children() if child not in before]
    assert all("resource_tracker" in " ".join(child.cmdline()) for child in new)


def end(number: int) -> int:
    if number == 70:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 700:
        os._exit(7)
    return number


@pytest.mark.parametrize(("first", "number", "says"), [(0, signal.SIGKILL, "SIGKILL"), (630, None, "exit code 7")])
def test_the_death_of_a_process_is_told_with_its_cause(first: int, number: int | None, says: str) -> None:
    with pytest.raises(PoolProcessDiedError, match=says) as raised:
        list(in_processes(end, range(first, first + 200), workers=2))
    assert raised.value.signal == number


PARENT = """
import sys, time
from coremlbench_datasets.parallel import in_processes

def slow(number):
    time.sleep(60)

if __name__ == "__main__":
    for _ in in_processes(slow, range(400), workers=2):
        pass
"""


@pytest.mark.long
def test_no_process_outlives_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script]) as parent:
        ours = psutil.Process(parent.pid)
        while len(ours.children()) < 3:  # two at work, and Python's resource tracker
            time.sleep(0.02)
        children = ours.children(recursive=True)
        parent.send_signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs(children)
    assert len(gone) >= 3
    assert alive == []
