"""Checks of the results folder: file locks and durable writes."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coremlbench.diagnostics.selftest.checks import Context, DoesNotWorkError
from coremlbench.diagnostics.selftest.tools import run_tool
from coremlbench.system.files import TEMPORARY_PREFIX, atomic_write, nearest_existing, write_new
from coremlbench.system.formatting import format_bytes
from coremlbench.system.resources import snapshot_resources

ELSEWHERE = "Choose a folder on another disk with --results: network file systems often lack it."

TRY_LOCK = """
import sys
from filelock import FileLock, Timeout
try:
    FileLock(sys.argv[1]).acquire(timeout=0)
except Timeout:
    print("held")
else:
    print("free")
"""


def check_file_locks(context: Context) -> str:
    """Return that a lock in the results folder keeps another process out.

    Raises:
        DoesNotWorkError: it does not, or the folder cannot be written.
    """
    from filelock import FileLock

    with _folder_in(context.results) as folder:
        path = folder / "lock"
        with FileLock(path, timeout=1):
            while_held = _try_lock(path)
        after = _try_lock(path)
    if (while_held, after) != ("held", "free"):
        raise DoesNotWorkError(
            f"another process finds a lock {while_held or 'unusable'} that is held, and {after or 'unusable'} when it "
            "was released",
            ELSEWHERE,
        )
    return "one process at a time holds a lock in the results folder"


def check_durable_writes(context: Context) -> str:
    """Return that files in the results folder are replaced in one step, and flushed to the disk.

    Raises:
        DoesNotWorkError: they are not, or the folder cannot be written.
    """
    with _folder_in(context.results) as folder:
        path = folder / "record.json"
        write_new(path, b"first")
        try:
            write_new(path, b"second")
        except FileExistsError:
            replaced = False
        else:
            replaced = True
        atomic_write(path, b"third")
        content, left = path.read_bytes(), list(folder.glob(f"{TEMPORARY_PREFIX}*"))
        free = snapshot_resources(folder).free_disk_bytes
    if replaced or content != b"third" or left:
        raise DoesNotWorkError("a file in the results folder was not replaced as a whole", ELSEWHERE)
    return "files are replaced as a whole and flushed" + (f"; {format_bytes(free)} free" if free else "")


def _try_lock(path: Path) -> str:
    """Return whether another process finds the lock ``held`` or ``free``; "" when it cannot try."""
    return run_tool(sys.executable, "-I", "-c", TRY_LOCK, str(path)).output.strip()


@contextmanager
def _folder_in(results: Path) -> Iterator[Path]:
    """Make a temporary folder on the disk of the results folder, which need not exist.

    Raises:
        DoesNotWorkError: nothing can be written there.
    """
    existing = nearest_existing(results)
    try:
        with tempfile.TemporaryDirectory(prefix=".coremlbench-selftest-", dir=existing) as folder:
            yield Path(folder)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise DoesNotWorkError(
            f"nothing can be written in {existing} ({reason})", "Choose another folder with --results."
        ) from error
