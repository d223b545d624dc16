"""Save and load the records of runs: one folder for each run, each record written atomically.

Layout below the results folder: ``<run id>/run.json`` is the record, ``run.lock`` is locked while the run works,
``work`` holds temporary files, ``logs`` the logs of ended stages, and ``kept`` the data for ``--resume``.
"""

from __future__ import annotations

import fcntl
import json
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

from coremlbench.runs import record_paths
from coremlbench.system import serialization
from coremlbench.system.advised_commands import advised_command
from coremlbench.system.files import TEMPORARY_PREFIX, atomic_write
from coremlbench.types.errors import CoremlbenchError, InputError
from coremlbench.types.failure import Failure
from coremlbench.types.records import Record
from coremlbench.types.timing import TimingRecord
from coremlbench.types.training_records import SCHEMA, TrainingRecord

RECORD_FILE = record_paths.RECORD_FILE
LOCK_FILE = "run.lock"
RUN_ID = re.compile(r"\d{8}-\d{6}-.+-[0-9a-f]{4}")
SCRATCH_FOLDERS = ("work", "scratch")
RESUME_DIR = "kept"
MIN_FREE_BYTES = 200_000_000
NEW_FOLDER_SECONDS = 60
"""Younger folders without a record may belong to a run that is just starting."""
UNFINISHED_KIND = "unfinished"


class UnreadableRecordError(CoremlbenchError):
    """The file is not a record that this release can read."""


class RecordNotSavedError(CoremlbenchError):
    """A record could be saved neither in its own folder nor in the rescue folder."""


# --- the folder of a run ------------------------------------------------------------------------------------


def check_results_folder(results: Path) -> None:
    """Create the results folder if needed, and check that a run can save its record there.

    Raises:
        InputError: the folder cannot be written, or its disk has less than ``MIN_FREE_BYTES`` left.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=results) as file:  # has no name, so that a killed process leaves nothing behind
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(results).free
    except OSError as problem:
        raise InputError(
            f"The results folder {results} cannot be written ({problem.strerror}); name another with --results."
        ) from problem
    if free < MIN_FREE_BYTES:
        raise InputError(
            f"The disk of the results folder {results} has {free / 1e6:.0f} MB left, and a run needs "
            f"{MIN_FREE_BYTES / 1e6:.0f} MB; free some space or name another folder with --results."
        )


def new_run_folder(results: Path, experiment: str, now: datetime) -> Path:
    """Create and return an empty folder named after the run's id: the UTC time, the experiment, four hex digits.

    Two processes never get the same folder, because ``mkdir`` fails for all but one.

    Raises:
        OSError: the folder cannot be created.
    """
    stamp = now.astimezone(timezone.utc).strftime("%Y%m%d-%H%M%S")
    while True:
        folder = results / f"{stamp}-{experiment}-{secrets.token_hex(2)}"
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder


@contextmanager
def lock_run(folder: Path, *, timeout: float = 10) -> Iterator[None]:
    """Hold the lock that marks the run in ``folder`` as running; the system releases it if this process dies.

    Raises:
        filelock.Timeout: another process still holds the lock after ``timeout`` seconds.
        OSError: the folder cannot be written; ``Timeout`` is a subclass.
    """
    from filelock import FileLock

    lock = FileLock(folder / LOCK_FILE, timeout=timeout)
    lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # the folder may have been removed or made read-only meanwhile
            (folder / LOCK_FILE).unlink(missing_ok=True)  # before the release: afterwards another process may hold it
        with suppress(OSError):
            lock.release()


def is_running(folder: Path) -> bool:
    """Return whether a process holds the lock of the run in ``folder``; no file is created or changed."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True  # locked, or a file system without locks: treat the run as running, so that it is left alone
    finally:
        os.close(descriptor)
    return False


def remove_stale(results: Path) -> None:
    """Remove the temporary files, working folders and locks of killed runs; their logs are moved to ``logs``."""
    with suppress(OSError):
        for folder in sorted(results.iterdir()):
            if (folder / RECORD_FILE).exists() or _is_stale_without_record(folder):
                with suppress(OSError):
                    _clean_run_folder(folder)


def _is_stale_without_record(folder: Path) -> bool:
    """Return whether a run was killed after it created its folder and before it saved its first record."""
    signs = [folder / LOCK_FILE]
    if RUN_ID.fullmatch(folder.name) and not any(folder.iterdir()):
        signs.append(folder)
    return any(path.exists() and time.time() - path.stat().st_mtime > NEW_FOLDER_SECONDS for path in signs)


def _clean_run_folder(folder: Path) -> None:
    """Clean up one killed run's folder, under its lock, so that no process resumes the run meanwhile."""
    scratch = [folder / name for name in SCRATCH_FOLDERS]
    has_record = (folder / RECORD_FILE).exists()
    has_leftovers = any(path.exists() for path in (folder / LOCK_FILE, *scratch)) or any(
        folder.glob(f"{TEMPORARY_PREFIX}*")
    )
    if has_record and not has_leftovers:
        return
    with lock_run(folder, timeout=0):
        for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
            leftover.unlink(missing_ok=True)
        for path in scratch:
            collect_logs(path, folder)
    if not has_record:
        folder.rmdir()  # fails unless the folder is empty


def collect_logs(work: Path, folder: Path) -> None:
    """Move each stage's log, progress and crash report from ``work`` to ``folder/logs``, then remove ``work``."""
    for stage in sorted(work.glob("*/")):
        for name in ("log.txt", "progress.jsonl", "crash.ips"):
            with suppress(OSError):  # on a full disk, freeing space matters more than the logs
                if (stage / name).stat().st_size:
                    (folder / "logs").mkdir(exist_ok=True)
                    shutil.move(stage / name, folder / "logs" / f"{stage.name}-{name}")
    shutil.rmtree(work, ignore_errors=True)


# --- records ------------------------------------------------------------------------------------------------


def save(record: Record, folder: Path) -> Path:
    """Write the record to ``run.json`` in ``folder`` atomically, and return the path it was written to.

    If the folder cannot be written (removed, read-only, disk full), the record of an ended run is written to
    ``rescue_folder()`` instead, so that no measurement is lost. The record of an unfinished run is then not written:
    its next save may succeed.

    Raises:
        RecordNotSavedError: neither place can be written. Callers that can free disk space do so before the call.
    """
    data = to_bytes(record)
    path = folder / RECORD_FILE
    try:
        atomic_write(path, data)
    except OSError as problem:
        if _is_unfinished(record):
            return path
        rescued = rescue_folder() / folder.name / RECORD_FILE
        try:
            rescued.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(rescued, data)
        except OSError as second:
            raise RecordNotSavedError(
                f"The record could be saved neither in {path.parent} ({problem.strerror}) nor in {rescued.parent} "
                f"({second.strerror}); free some space and run it again."
            ) from second
        return rescued
    return path


def rescue_folder() -> Path:
    """Return the folder for the records of ended runs whose own folder cannot be written, in the user's data folder."""
    import platformdirs

    return Path(platformdirs.user_data_dir("coremlbench")) / "rescued"


def to_bytes(record: Record) -> bytes:
    """Return a record as JSON text; NaN and infinite numbers become null."""
    return json.dumps(serialization.finite_or_none(asdict(record)), indent=2, default=str).encode() + b"\n"


def from_bytes(data: bytes) -> Record:
    """Return a record from JSON text; unknown keys are ignored, and null in place of a number is read as NaN.

    Raises:
        UnreadableRecordError: the text is not JSON, is not a record, or was written by a newer release.
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
    """Return the record at ``path``, a ``run.json`` or the folder that holds it.

    If the record on disk is that of an unfinished run, its outcome says whether the run is still running or was
    killed.

    Raises:
        UnreadableRecordError: the record is broken, or was written by a newer release; the message names the file.
    """
    file = path / RECORD_FILE if path.is_dir() else path
    # Check the lock before reading: a run that ends in between is then read with its final record.
    running = is_running(file.parent)
    try:
        record = from_bytes(file.read_bytes())
    except OSError as problem:
        raise UnreadableRecordError(f"The record {file} cannot be read: {problem.strerror}.") from problem
    except UnreadableRecordError as problem:
        raise UnreadableRecordError(f"The record {file} cannot be read: {problem}.") from problem
    return _with_current_status(record, running=running, folder=file.parent)


def load_all(*places: Path) -> tuple[list[Record], list[str]]:
    """Return all records at any depth below folders, oldest first, and an error message for each that cannot be read.

    A place can be a record itself too. One that does not exist has none.
    """
    records: dict[Path, Record] = {}
    problems: list[str] = []
    for place in places:
        try:
            paths = [place] if place.is_file() else list(record_paths.record_paths(place))
        except FileNotFoundError:
            continue
        except OSError as problem:
            problems.append(f"The results folder {place} cannot be read: {problem.strerror}.")
            continue
        for path in paths:
            if path in records:
                continue
            try:
                records[path] = load(path)
            except UnreadableRecordError as problem:
                problems.append(str(problem))
    return sorted(records.values(), key=lambda record: (record.started, record.id)), list(dict.fromkeys(problems))


def load_trainings(*places: Path) -> tuple[list[TrainingRecord], list[str]]:
    """Return the training records below folders, oldest first, and the error messages of ``load_all``."""
    records, problems = load_all(*places)
    return [record for record in records if isinstance(record, TrainingRecord)], problems


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a record."""
    schema: dict[str, Any] = _adapter().json_schema(mode="serialization")
    return schema


def resume_command(record: Record, results: Path) -> str:
    """Return the command that resumes a failed training or matrix; ``results`` is the folder of its folder."""
    if isinstance(record, TimingRecord):
        command = "convert-and-time"
    else:
        command = "createml" if record.experiment == "createml" else "train"
    return advised_command(command, "--resume", record.id, results=results)


def _is_resumable(record: Record, folder: Path) -> bool:
    """Return whether a killed run can be resumed: it has data for that, or is a matrix whose rounds were planned."""
    return bool(record.orders) if isinstance(record, TimingRecord) else (folder / RESUME_DIR).is_dir()


def _with_current_status(record: Record, *, running: bool, folder: Path) -> Record:
    """Return the record of an unfinished run with an outcome that says whether it is running or was killed."""
    outcome = record.outcome
    if not isinstance(outcome, Failure) or outcome.kind != UNFINISHED_KIND:
        return record
    after = f" after the phase {record.phases[-1].name}" if record.phases else ""
    if running:
        outcome = replace(
            outcome, kind="running", reason=f"The run has not ended yet{after}.", hint="Wait for it to end."
        )
    else:
        outcome = replace(
            outcome,
            reason=f"The run was killed from outside{after}: nothing was left to say how.",
            hint=f"Resume it with `{resume_command(record, folder.parent)}`, or run it again."
            if _is_resumable(record, folder)
            else "Run it again.",
        )
    return replace(record, outcome=outcome)


def _is_unfinished(record: Record) -> bool:
    return isinstance(record.outcome, Failure) and record.outcome.kind == UNFINISHED_KIND


@lru_cache(maxsize=1)
def _adapter() -> Any:
    from pydantic import Discriminator, TypeAdapter

    return TypeAdapter(Annotated[Record, Discriminator("kind")])


def _validate(content: dict[str, Any]) -> Record:
    """Return the record for the parsed JSON; null in place of a number becomes NaN.

    Raises:
        UnreadableRecordError: the content does not have a record's fields and types.
    """
    from pydantic import ValidationError

    try:
        return serialization.validate(_adapter(), content)  # type: ignore[no-any-return]  # pydantic returns its type
    except ValidationError as problem:
        first = problem.errors()[0]
        field_path = ".".join(str(part) for part in first["loc"])
        raise UnreadableRecordError(f"{field_path}: {first['msg']}") from problem
