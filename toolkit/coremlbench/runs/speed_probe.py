"""A short probe of what the machine can compute at this moment, and its past results.

The results are kept in the cache, so that a past run's times can be related to how busy the machine was then.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from coremlbench.system.files import atomic_write
from coremlbench.types.records import Record

PROBE_SECONDS = 0.4
PROBE_SIZE = 768
MAX_NOTED = 200
MAX_AGE = 120.0
"""Seconds between a probe and the start of a run, at most, for the probe to tell of that run."""


def probe() -> float:
    """Return the throughput of a matrix product on all cores at this moment, in gigaflops."""
    import numpy as np

    matrix = np.ones((PROBE_SIZE, PROBE_SIZE), np.float32)
    matrix @ matrix  # starts the threads
    started, products = time.perf_counter(), 0
    while time.perf_counter() - started < PROBE_SECONDS:
        matrix @ matrix
        products += 1
    return 2e-9 * PROBE_SIZE**3 * products / (time.perf_counter() - started)


def note_probe(file: Path, gigaflops: float, moment: float) -> None:
    """Add a result of the probe at a moment, in seconds since 1970, to a file if it can be written."""
    noted = [*_noted(file), (moment, gigaflops)][-MAX_NOTED:]
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(file, json.dumps(noted).encode())


def probes_before(file: Path, records: Iterable[Record]) -> dict[str, float]:
    """Return what the probe gave just before runs of this machine, by the ids of those runs that have one."""
    noted = _noted(file)
    found: dict[str, float] = {}
    for record in records:
        with suppress(ValueError):
            started = datetime.fromisoformat(record.started).timestamp()
            near = [gigaflops for moment, gigaflops in noted if 0 <= started - moment <= MAX_AGE]
            if near:
                found[record.id] = near[-1]
    return found


def _noted(file: Path) -> list[tuple[float, float]]:
    """Return the noted results, oldest first; none if the file is missing or damaged."""
    try:
        rows = json.loads(file.read_bytes())
        return [(float(moment), float(gigaflops)) for moment, gigaflops in rows if float(gigaflops) > 0]
    except (OSError, ValueError, TypeError):
        return []
