"""Runs that are killed at random moments: a dozen in every suite, hundreds by ``benchmarks/kills.py``."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from benchmarks.kills import TARGETS, Found, commands, kill_once, markdown, prepare

from coremlbench import store

KILLS = 12
LATEST = 4.0
"""Seconds after which the last of the moments comes; the campaign's reach to the end of a run."""


@pytest.mark.usefixtures("turicreate", "squeezenet")
@pytest.mark.parametrize("kills", [KILLS, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(3000)])])
def test_nothing_finished_is_lost_and_nothing_is_left(kills: int, tmp_path: Path) -> None:
    prepare(tmp_path)
    table = [each for each in commands(tmp_path) if each.name in ("createml", "train")]

    def some(job: int) -> list[Found]:
        results = tmp_path / f"results-{job}"
        found = []
        for number in range(job, kills, 2):
            draw = random.Random(f"test {number}")
            latest = LATEST if kills == KILLS else 10 * LATEST
            command, target, moment = draw.choice(table), draw.choice(TARGETS), draw.uniform(0.0, latest)
            found.append(kill_once(number, command, target, moment, results))
        return found

    with ThreadPoolExecutor(2) as pool:
        found = [each for some_of_them in pool.map(some, range(2)) for each in some_of_them]
    assert [each for each in found if each.broken] == []
    assert len({each.phase for each in found}) > 1
    for job in range(2):
        records, problems = store.load_all(tmp_path / f"results-{job}")
        assert problems == []
        assert all(record.outcome.status == "failed" or record.seconds > 0 for record in records)


def test_the_findings_are_counted() -> None:
    found = [
        Found(0, "train", "worker", 1.0, "data", phases_before=1),
        Found(1, "train", "parent", 1.0, "train", 1, 0, 3, broken=["3 epochs were finished, and None is kept"]),
        Found(2, "createml", "group", 1.0, "extract", 2, 10, broken=["2 processes outlived it", "left behind: x/work"]),
    ]
    rows = [line for line in markdown(found, 7).splitlines() if line.startswith("| `")]
    assert rows == [
        "| `train` | 2 | 1 | 1 | 0 | 2, 3, 0 | 1 | 0 | 0 |",
        "| `createml` | 1 | 0 | 0 | 1 | 2, 0, 10 | 0 | 1 | 1 |",
    ]
