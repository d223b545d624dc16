"""Runs that are killed at random moments: a dozen in every suite, hundreds by ``benchmarks/kills.py``."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from benchmarks.kills import (
    MARKER,
    Command,
    _kill,
    alive,
    commands,
    kill,
    kill_once,
    prepare,
    start,
    unbroken_times,
)
from benchmarks.kills_checks import AFTER, Known, known_of, missing
from benchmarks.kills_report import TARGETS, Found, markdown, with_section
from coremlbench.runs import store
from coremlbench.types.failure import Failure
from coremlbench.types.records import Record
from tests import record_samples as samples

KILLS = 12
MANY = 60
LATEST = 4.0
"""Seconds after which the last of the few moments comes; those of the many reach to the end of a run."""
UNFINISHED = Failure(kind=store.UNFINISHED_KIND, reason="The run has not ended.", hint="Wait.")
FAMILY = """
import multiprocessing, sys, time
if __name__ == "__main__":
    children = [multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,)) for _ in range(3)]
    [child.start() for child in children]
    print("there", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow  # whole runs killed at random; every suite kills each stage of a run once, where it certainly stands
@pytest.mark.usefixtures("turicreate", "squeezenet", "ordinary_workers")  # it finds workers by their commands
@pytest.mark.parametrize("kills", [KILLS, pytest.param(MANY, marks=pytest.mark.timeout(1500))])
def test_nothing_finished_is_lost_and_nothing_is_left(kills: int, tmp_path: Path) -> None:
    prepare(tmp_path)
    table = [each for each in commands(tmp_path) if each.name in ("createml", "train")]
    # A moment behind the end of the run kills nothing, and costs a whole run.
    times = {each.name: LATEST for each in table} if kills == KILLS else unbroken_times(table, tmp_path)

    def some(job: int) -> list[Found]:
        found = []
        for number in range(job, kills, 2):
            draw = random.Random(f"test {number}")
            found += kill(number, draw.choice(table), draw.choice(TARGETS), draw, times, tmp_path / f"results-{job}")
        return found

    with ThreadPoolExecutor(2) as pool:
        found = [each for some_of_them in pool.map(some, range(2)) for each in some_of_them]
    assert [each for each in found if each.broken] == []
    assert sum(each.phase != AFTER for each in found) == kills
    assert len({each.phase for each in found}) > 1
    for job in range(2):
        records, problems = store.load_all(tmp_path / f"results-{job}")
        assert problems == []
        assert all(record.outcome.status == "failed" or record.seconds > 0 for record in records)


def test_a_command_that_ended_by_itself_was_not_killed(tmp_path: Path) -> None:
    lists = Command("results", ("results",), 1)
    assert kill_once(0, lists, "worker", random.Random(0), 0.1, start(lists, tmp_path / "results")) is None
    late = kill_once(1, lists, "parent", random.Random(0), 0.0, start(lists, tmp_path / "results"))
    assert late is not None
    assert (late.victim, late.phase, late.broken) == ("parent", "start", [])


def children(count: int) -> set[int]:
    """Return the ids of the spawned children as soon as so many live: a new or killed one takes a moment."""
    while True:
        found = {each.pid for each in alive("us") if "spawn_main" in _command_of(each)}
        if len(found) == count:
            return found
        time.sleep(0.01)


def _command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it ended in between
        return ""


def test_any_process_of_a_run_may_be_the_victim(tmp_path: Path) -> None:
    script = tmp_path / "family.py"
    script.write_text(FAMILY)
    with subprocess.Popen(
        [sys.executable, str(script)], env={**os.environ, MARKER: "us"}, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        assert len(children(3)) == 3
        draw, hit = random.Random(1), []
        for left in (2, 1, 0):
            before = children(left + 1)
            hit.append(_kill(process, "worker", "us", draw))
            assert children(left) < before
        assert hit == ["a worker's process"] * 3
        assert _kill(process, "worker", "us", draw) == ""
        assert process.pid in {each.pid for each in alive("us")}
        assert _kill(process, "group", "us", draw) == "group"
        assert _kill(process, "parent", "us", draw) == "parent"  # it is known how it ended, however often one asks


def test_what_was_finished_and_is_gone_is_told(tmp_path: Path) -> None:
    conversion = replace(samples.conversion(1), outcome=UNFINISHED)
    timing = replace(samples.timing(2), outcome=UNFINISHED)
    folders = [tmp_path / record.id for record in (conversion, timing)]
    broken: tuple[Record, ...] = (conversion, timing)
    for record, folder in zip(broken, folders, strict=True):
        folder.mkdir()
        for each in getattr(record, "variants", ()):
            (folder / each.path).mkdir(exist_ok=True)
        store.save(record, folder)
    known = known_of(tmp_path, (), "timing")
    assert (known.phase, known.variants[folders[0]], known.rounds[folders[1]] > 10) == ("between stages", 4, True)
    assert missing(known, tmp_path) == []
    store.save(replace(conversion, variants=conversion.variants[1:]), folders[0])
    store.save(replace(timing, measurements=timing.measurements[1:]), folders[1])
    first, second = missing(known, tmp_path)
    assert first == "4 variants were finished, and the record has 3"
    assert "rounds were finished, and the record has" in second
    (folders[0] / conversion.variants[1].path).rmdir()
    assert f"the record names {conversion.variants[1].path}, which is gone" in missing(known, tmp_path)


def test_the_end_of_a_run_is_told_from_its_work(tmp_path: Path) -> None:
    ended = samples.timing(1)
    (tmp_path / ended.id).mkdir()
    store.save(ended, tmp_path / ended.id)
    known = known_of(tmp_path, (), "timing")
    assert (known.phase, known.endings) == (AFTER, {tmp_path / ended.id: "timed"})
    assert known_of(tmp_path, (), "training").phase == "between runs"
    store.save(replace(ended, outcome=UNFINISHED), tmp_path / ended.id)
    assert missing(known, tmp_path) == ["the run had timed, and its record says failed"]
    assert known_of(tmp_path, {tmp_path / ended.id}, "timing") == Known("start")


def test_the_findings_are_counted() -> None:
    found = [
        Found(0, "train", "worker", "tensorflow_worker", 1.0, "data", phases_before=1),
        Found(
            1, "train", "parent", "parent", 1.0, "train", 1, 0, 3, broken=["3 epochs were finished, and None is kept"]
        ),
        Found(1, "train", "parent", "parent", 1.0, AFTER, phases_before=6),
        Found(
            2,
            "createml",
            "group",
            "group",
            1.0,
            "extract",
            2,
            10,
            broken=["2 processes outlived it", "left behind: x/work"],
        ),
    ]
    page = with_section("before\n<!-- kills -->\nold\n<!-- /kills -->\nafter\n", markdown(found, 7))
    assert page.startswith("before\n<!-- kills -->\n\n3 kills of running work with SIGKILL")
    assert page.endswith(".\n\n<!-- /kills -->\nafter\n")
    rows = [line for line in markdown(found, 7).splitlines() if line.startswith("| `")]
    assert rows == [
        "| `train` | 2 | 1 | 1 | 0 | 2, 3, 0, 0, 0 | 1 | 0 | 0 | 1 |",
        "| `createml` | 1 | 0 | 0 | 1 | 2, 0, 10, 0, 0 | 0 | 1 | 1 | 0 |",
    ]
    assert "What was hit: tensorflow_worker 1, parent 1, group 1." in page
