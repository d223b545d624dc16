"""Keep the records of runs: one folder a run, written whole or not at all, and never lost once measured."""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any

from coremlbench.system.files import TEMPORARY, write_whole
from coremlbench.types.errors import CoremlbenchError, InputError
from coremlbench.types.failure import Failure
from coremlbench.types.records import Record
from coremlbench.types.training_records import SCHEMA, TrainingRecord

RECORD = "run.json"
LOCK = "run.lock"
RUN_ID = re.compile(r"\d{8}-\d{6}-.+-[0-9a-f]{4}")
SCRATCH_FOLDERS = ("work", "scratch")
KEPT = "kept"
LEAST_FREE_BYTES = 200_000_000
UNFINISHED = "unfinished"


class UnreadableRecordError(CoremlbenchError):
    """A record that this release cannot read."""


class RecordNotSavedError(CoremlbenchError):
    """A record that no place would take."""


# --- the folder of a run ------------------------------------------------------------------------------------


def check_results_folder(results: Path) -> None:
    """Make the results folder, and raise ``InputError`` when a record could not be saved there."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=results) as file:  # without a name, so that no kill can leave it there
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(results).free
    except OSError as problem:
        raise InputError(
            f"The results folder {results} cannot be written ({problem.strerror}); name another with --results."
        ) from problem
    if free < LEAST_FREE_BYTES:
        raise InputError(
            f"The disk of the results folder {results} has {free / 1e6:.0f} MB left, and a run needs "
            f"{LEAST_FREE_BYTES / 1e6:.0f} MB; free some space or name another folder with --results."
        )


def new_run_folder(results: Path, experiment: str, now: datetime) -> Path:
    """Return a new, empty folder whose name is the run's id: the UTC time, the experiment and four hex digits.

    No two processes get the same one, as the file system lets one of them make it. Raises ``OSError``.
    """
    stamp = now.astimezone(timezone.utc).strftime("%Y%m%d-%H%M%S")
    while True:
        folder = results / f"{stamp}-{experiment}-{secrets.token_hex(2)}"
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder


@contextmanager
def hold(folder: Path, *, timeout: float = 10) -> Iterator[None]:
    """Mark the run of ``folder`` as running meanwhile; the mark goes with this process, however it ends.

    Raises:
        filelock.Timeout: another process holds it, and still does after ``timeout`` seconds.
        OSError: the folder cannot be written; ``Timeout`` is one of these too.
    """
    from filelock import FileLock

    lock = FileLock(folder / LOCK, timeout=timeout)
    lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # the folder may have vanished, or be read-only by now
            (folder / LOCK).unlink(missing_ok=True)  # before the release: afterwards it may be another's
        with suppress(OSError):
            lock.release()


def is_running(folder: Path) -> bool:
    """Return whether a living process holds the run of ``folder``; nothing is made or changed by asking."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True  # held, or on a file system that cannot tell: then it is left alone
    finally:
        os.close(descriptor)
    return False


def sweep(results: Path) -> None:
    """Remove what killed runs left behind: temporary files, scratch space and locks, but not their logs."""
    with suppress(OSError):
        for folder in sorted(results.iterdir()):
            if (folder / RECORD).exists() or _never_began(folder):
                with suppress(OSError):
                    _tidy(folder)


def _never_began(folder: Path) -> bool:
    """Return whether a run was killed between making its folder and its first record; a new run has a minute."""
    marks = [folder / LOCK]
    if RUN_ID.fullmatch(folder.name) and not any(folder.iterdir()):
        marks.append(folder)
    return any(mark.exists() and time.time() - mark.stat().st_mtime > 60 for mark in marks)


def _tidy(folder: Path) -> None:
    """Remove what a killed run left in its folder, held meanwhile: nobody may go on with it in the midst of that."""
    scratch = [folder / name for name in SCRATCH_FOLDERS]
    began = (folder / RECORD).exists()
    if began and not any(path.exists() for path in (folder / LOCK, *scratch)) and not any(folder.glob(f"{TEMPORARY}*")):
        return
    with hold(folder, timeout=0):
        for leftover in folder.glob(f"{TEMPORARY}*"):
            leftover.unlink(missing_ok=True)
        for path in scratch:
            put_away(path, folder)
    if not began:
        folder.rmdir()  # works only when nothing is left in it


def put_away(work: Path, folder: Path) -> None:
    """Move each stage's log, progress and crash report from ``work`` to ``folder/logs``, and remove the rest of it."""
    for stage in sorted(work.glob("*/")):
        for name in ("log.txt", "progress.jsonl", "crash.ips"):
            with suppress(OSError):  # the disk may be full; room comes first
                if (stage / name).stat().st_size:
                    (folder / "logs").mkdir(exist_ok=True)
                    shutil.move(stage / name, folder / "logs" / f"{stage.name}-{name}")
    shutil.rmtree(work, ignore_errors=True)


# --- records ------------------------------------------------------------------------------------------------


def save(record: Record, folder: Path) -> Path:
    """Return the path of the saved record: ``run.json`` in ``folder``, replaced as a whole.

    When the folder cannot be written any more (vanished, read-only, full), the record of an ended run goes to the
    user's data folder instead, so that nothing measured is lost; one of a run that goes on is left for its next save.

    Raises:
        RecordNotSavedError: neither place takes the record. A caller who can give space back does so before.
    """
    data = to_bytes(record)
    path = folder / RECORD
    try:
        write_whole(path, data)
    except OSError as problem:
        if _is_unfinished(record):
            return path
        rescued = rescue_folder() / folder.name / RECORD
        try:
            rescued.parent.mkdir(parents=True, exist_ok=True)
            write_whole(rescued, data)
        except OSError as second:
            raise RecordNotSavedError(
                f"The record could be saved neither in {path.parent} ({problem.strerror}) nor in {rescued.parent} "
                f"({second.strerror}); free some space and run it again."
            ) from second
        return rescued
    return path


def rescue_folder() -> Path:
    """Return the folder where records go that their own folder would not take."""
    import platformdirs

    return Path(platformdirs.user_data_dir("coremlbench")) / "rescued"


def to_bytes(record: Record) -> bytes:
    """Return a record as JSON text; numbers that are not finite become null."""
    return json.dumps(_plain(asdict(record)), indent=2, default=str).encode() + b"\n"


def from_bytes(data: bytes) -> Record:
    """Return a record from JSON text; unknown keys are left out, and a null where a number belongs is not a number.

    Raises:
        UnreadableRecordError: the text is not JSON, not a record, or made by a newer release.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise UnreadableRecordError("it is not valid JSON") from problem
    if not isinstance(content, dict):
        raise UnreadableRecordError("it is not a JSON object")
    schema = content.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA:
        raise UnreadableRecordError(
            f"its schema is {schema!r} and this release reads up to {SCHEMA}; install a newer coremlbench"
        )
    return _validate(content)


def load(path: Path) -> Record:
    """Return the record at ``path`` (a ``run.json``, or the folder that holds it), as it is known today.

    A record that was written at the start of a run and never replaced says whether that run goes on.

    Raises:
        UnreadableRecordError: the record is broken, or made by a newer release; the message says which and why.
    """
    file = path / RECORD if path.is_dir() else path
    # The lock is asked for first: a run that ends in between is then read with its end, not as one that was killed.
    running = is_running(file.parent)
    try:
        record = from_bytes(file.read_bytes())
    except OSError as problem:
        raise UnreadableRecordError(f"The record {file} cannot be read: {problem.strerror}.") from problem
    except UnreadableRecordError as problem:
        raise UnreadableRecordError(f"The record {file} cannot be read: {problem}.") from problem
    return _as_of_now(record, running=running, kept=(file.parent / KEPT).is_dir())


def load_all(results: Path) -> tuple[list[Record], list[str]]:
    """Return all records below ``results``, oldest first, and a sentence for each that cannot be read."""
    records: list[Record] = []
    problems: list[str] = []
    try:
        folders = sorted(each for each in results.iterdir() if each.is_dir())
    except FileNotFoundError:
        return [], []
    except OSError as problem:
        return [], [f"The results folder {results} cannot be read: {problem.strerror}."]
    for folder in folders:
        if (folder / RECORD).exists():
            try:
                records.append(load(folder))
            except UnreadableRecordError as problem:
                problems.append(str(problem))
    return sorted(records, key=lambda record: (record.started, record.id)), problems


def load_trainings(results: Path) -> tuple[list[TrainingRecord], list[str]]:
    """Return the records of trainings below ``results``, as ``load_all`` has them."""
    records, problems = load_all(results)
    return [record for record in records if isinstance(record, TrainingRecord)], problems


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a record."""
    schema: dict[str, Any] = _adapter().json_schema(mode="serialization")
    return schema


def _as_of_now(record: Record, *, running: bool, kept: bool) -> Record:
    """Return the record with what the lock tells of a run that had not ended when it was written."""
    outcome = record.outcome
    if not isinstance(outcome, Failure) or outcome.kind != UNFINISHED:
        return record  # it ended, and its outcome stands
    after = f" after the phase {record.phases[-1].name}" if record.phases else ""
    if running:
        outcome = replace(
            outcome, kind="running", reason=f"The run has not ended yet{after}.", hint="Wait for it to end."
        )
    else:
        outcome = replace(
            outcome,
            reason=f"The run was killed from outside{after}: nothing was left to say how.",
            hint=f"Go on with what was done by `--resume {record.id}`, or run it again." if kept else "Run it again.",
        )
    return replace(record, outcome=outcome)


def _is_unfinished(record: Record) -> bool:
    return isinstance(record.outcome, Failure) and record.outcome.kind == UNFINISHED


@lru_cache(maxsize=1)
def _adapter() -> Any:
    from pydantic import Discriminator, TypeAdapter

    return TypeAdapter(Annotated[Record, Discriminator("kind")])


def _validate(content: dict[str, Any]) -> Record:
    """Return the record of valid content; a null in a number's place is a figure that was not a number."""
    from pydantic import ValidationError

    try:
        return _adapter().validate_python(content)  # type: ignore[no-any-return]  # pydantic returns its type
    except ValidationError as problem:
        nulls = [each["loc"] for each in problem.errors() if each["type"] == "float_type" and each["input"] is None]
    for location in nulls:
        _put_nan(content, location)
    try:
        return _adapter().validate_python(content)  # type: ignore[no-any-return]  # as above
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnreadableRecordError(f"{where}: {first['msg']}") from problem


def _put_nan(content: Any, location: tuple[int | str, ...]) -> None:
    """Put a NaN at a place that pydantic names; the names of union members in it are no keys and are passed over."""
    *way, last = location
    for part in way:
        with suppress(KeyError, TypeError):
            content = content[part]
    content[last] = math.nan


def _plain(value: Any) -> Any:
    """Return JSON values without the numbers that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
