"""Repeat a failed run in new processes with the remedy that its failure kind suggests; each attempt has a record."""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from coremlbench.failures.retry import Retry, retry_after
from coremlbench.runs import resume_data, store
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import TrainingRecord


class Remediable(Protocol):
    """The settings of a run that can be repeated after a failure."""

    def remedied(self: Options, retry: Retry) -> tuple[Options, str]:  # noqa: PYI019 - Self came with Python 3.11
        """Return the settings for the next attempt, and a description of the change."""


Options = TypeVar("Options", bound=Remediable)
Attempt = Callable[[Options, Mapping[str, Any]], tuple[TrainingRecord, Path]]

FILE_LIMIT = 4096
"""The limit of open files that is set after a failure for too many of them."""
UNCHANGED = "with the same settings"


def run_with_retries(once: Attempt[Options], options: Options, retries: int) -> list[tuple[TrainingRecord, Path]]:
    """Call ``once`` until a run trains, at most ``retries`` times after the first; return all attempts, oldest first.

    ``once`` runs with some options and adds some fields to its record. A failure kind that is never tried again ends
    the attempts. Resume data of failed attempts is removed when a later one trained.

    Raises:
        InputError: the first attempt cannot start. If a later one cannot, the record of the one before says so.
    """
    runs = [once(options, {})]
    for number in range(2, retries + 2):
        record, folder = runs[-1]
        if not isinstance(record.outcome, Failure) or retry_after(record.outcome.kind) is Retry.NEVER:
            break
        options, change = apply_remedy(record.outcome.kind, options)
        note = f"Attempt {number} of at most {retries + 1}, after {record.outcome.kind} in {record.id}; {change}."
        try:
            runs.append(once(options, {"attempt": number, "retry_of": runs[0][0].id, "notes": (note,)}))
        except InputError as problem:
            note = f"Attempt {number} of at most {retries + 1} could not be made: {problem}"
            runs[-1] = _save_with_note(record, folder, note), folder
            break
    *failed, (last, folder) = runs
    if isinstance(last.outcome, Failure):
        return runs
    superseded = [
        (resume_data.discard_superseded(record, failed_folder, last.id), failed_folder)
        for record, failed_folder in failed
    ]
    return [*superseded, (last, folder)]


def apply_remedy(kind: str, options: Options) -> tuple[Options, str]:
    """Return the options for the next attempt after a failure of this kind, and a description of the change."""
    retry = retry_after(kind)
    if retry is Retry.MORE_OPEN_FILES:
        return options, _raise_file_limit()
    return options.remedied(retry)


def _save_with_note(record: TrainingRecord, folder: Path, note: str) -> TrainingRecord:
    record = replace(record, notes=(*record.notes, note))
    with suppress(store.RecordNotSavedError):  # the record without the note is on disk already
        store.save(record, folder)
    return record


def _raise_file_limit() -> str:
    """Raise this process's limit of open files, which child processes inherit; return a description of the change."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = FILE_LIMIT if hard == resource.RLIM_INFINITY else min(FILE_LIMIT, hard)
    with suppress(ValueError, OSError):
        if soft != resource.RLIM_INFINITY and soft < target:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
            return f"with {target:,} open files allowed in place of {soft:,}"
    return f"{UNCHANGED}, as the system allows no more than {soft:,} open files"
