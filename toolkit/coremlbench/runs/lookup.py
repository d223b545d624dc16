"""Find saved runs by the beginning of their ids, or by their paths."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from coremlbench.runs import store
from coremlbench.system import serialization
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.formatting import format_count
from coremlbench.types.errors import InputError
from coremlbench.types.records import Record

MAX_NAMED = 5
"""Ids that a message lists."""


def run_ids(results: Path) -> list[str]:
    """Return the ids of the runs below ``results``, oldest first: the names of their folders, which begin with a time.

    No record is read. A folder that does not exist or cannot be read has none.
    """
    try:
        return sorted(path.name for path in results.iterdir() if (path / store.RECORD_FILE).is_file())
    except OSError:
        return []


def find_run(name: str, results: Path) -> tuple[Record, Path]:
    """Return the record and the folder of one run.

    ``name`` is the beginning of an id under ``results``, or the path of a run's folder or of its ``run.json``. An empty
    name is the newest run.

    Raises:
        InputError: there is no such run, or several.
        UnreadableRecordError: its record cannot be read.
    """
    if name and name not in run_ids(results):
        path = Path(name).expanduser()
        folder = path.parent if path.name == store.RECORD_FILE else path
        if (folder / store.RECORD_FILE).is_file():
            return store.load(folder), folder.absolute()
    ids = find_ids((name,), results)
    if name and len(ids) > 1 and name not in ids:
        names = f"{', '.join(ids[:MAX_NAMED])}{', …' if len(ids) > MAX_NAMED else ''}"
        runs = format_count(len(ids), "run")
        raise InputError(f"{runs} under {results} begin with {name}: {names}; give more of the id.")
    folder = results / (name if name in ids else ids[-1])
    return store.load(folder), folder


def written_record(record: Record, folder: Path) -> Any:
    """Return a record's JSON values as its file has them, also if an older release wrote it with other fields.

    ``record`` is the one that was loaded from ``folder``. That of a run which is in progress or was killed has its
    present outcome; numbers that JSON has not, such as infinity, are ``None``.
    """
    current = serialization.to_json(record)
    with suppress(OSError, store.UnreadableRecordError):  # deleted or replaced since it was loaded
        content = (folder / store.RECORD_FILE).read_bytes()
        if serialization.to_json(store.from_bytes(content)) == current:
            return json.loads(content, parse_constant=lambda _: None)
    return current


def find_ids(prefixes: Sequence[str], results: Path) -> list[str]:
    """Return the ids under ``results`` that begin with one of the prefixes, oldest first.

    Raises:
        InputError: a prefix is that of no run; the message names the command that lists the runs.
    """
    ids = run_ids(results)
    for prefix in prefixes:
        if not any(run_id.startswith(prefix) for run_id in ids):
            raise InputError(_no_run(prefix, results, some=bool(ids)))
    return [run_id for run_id in ids if run_id.startswith(tuple(prefixes))]


def _no_run(prefix: str, results: Path, *, some: bool) -> str:
    if some:
        return f"There is no run {prefix} under {results}; `{advised_command('results', results=results)}` lists them."
    command = advised_command("createml", "--scale", "0.1", results=results)
    return f"There are no runs under {results} yet; `{command}` makes one."
