"""Keep the machine awake while a run works."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from coremlbench.system import macos

CAFFEINATE = ("caffeinate", "-i", "-m", "-s", "-w")
"""No idle sleep of the system (-i) or its disks (-m), on mains none at all (-s), until the process that -w names ends.

A closed lid still puts a notebook to sleep on battery.
"""


@contextmanager
def kept_awake() -> Iterator[None]:
    """Keep a Mac from sleeping within the block; on other systems nothing is done.

    ``caffeinate`` also ends by itself when this process is killed. It has a session of its own: Ctrl-C must not end it
    before the run. A run goes on without it where it cannot be started.
    """
    process = _start_caffeinate()
    try:
        yield
    finally:
        if process is not None:
            process.terminate()
            process.wait()


def _start_caffeinate() -> subprocess.Popen[bytes] | None:
    path = macos.system_tool(CAFFEINATE[0])
    if path is None:
        return None
    with suppress(OSError):
        return subprocess.Popen(
            [path, *CAFFEINATE[1:], str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    return None
