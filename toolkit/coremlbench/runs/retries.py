"""Repeat a failed run in new processes with the remedy that its failure kind suggests; each attempt has a record."""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from coremlbench.runs import resume_data, store
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Failure
from coremlbench.types.training_records import TrainingRecord


class Remediable(Protocol):
    """The settings of a run that can be repeated after a failure."""

    def remedied(self: Options, kind: str) -> tuple[Options, str]:  # noqa: PYI019 - Self came with Python 3.11
        """Return the settings for the next attempt after a failure of this kind, and a description of the change."""


Options = TypeVar("Options", bound=Remediable)
Attempt = Callable[[Options, Mapping[str, Any]], tuple[TrainingRecord, Path]]

MEMORY = frozenset({"memory-limit", "out-of-memory", "gpu-memory", "killed"})
"""Failure kinds that using less memory may avoid."""
GPU = frozenset(
    {
        *("gpu-fault", "gpu-hang", "gpu-preempted", "gpu-assertion", "gpu-compiler", "gpu-driver", "gpu-library"),
        *("metal-plugin", "optimizer-platform", "untrusted-device", "loss-nan", "loss-exploded", "at-chance"),
    }
)
"""Failure kinds that training on the CPU may avoid."""
SEED = frozenset({"at-chance"})
"""Failure kinds that another seed may avoid: with bad initial weights a network learns nothing."""
NOT_RETRYABLE = frozenset(
    {
        *("interrupted", "input", "unusable-data", "missing-data", "missing-weights", "environment", "not-started"),
        *("turicreate-platform", "turicreate-environment", "disk-full", "permission", "file-size-limit"),
        *("module-missing", "library-missing", "wrong-architecture", "system-too-old", "illegal-instruction"),
        *("code-signature", "numpy-version", "protobuf-twice", "openmp-twice", "developer-tools", "certificate"),
        *("forbidden-call", "unreadable-model"),
    }
)
"""Failure kinds that a second attempt would meet again, or that the user asked for (Ctrl-C)."""
FILE_LIMIT = 4096
"""The limit of open files that is set after a failure for too many of them."""
UNCHANGED = "with the same settings"


def run_with_retries(once: Attempt[Options], options: Options, retries: int) -> list[tuple[TrainingRecord, Path]]:
    """Call ``once`` until a run trains, at most ``retries`` times after the first; return all attempts, oldest first.

    ``once`` runs with some options and adds some fields to its record. A failure kind in ``NOT_RETRYABLE`` ends the
    attempts. Resume data of failed attempts is removed when a later one trained.

    Raises:
        InputError: the first attempt cannot start. If a later one cannot, the record of the one before says so.
    """
    runs = [once(options, {})]
    for number in range(2, retries + 2):
        record, folder = runs[-1]
        if not isinstance(record.outcome, Failure) or record.outcome.kind in NOT_RETRYABLE:
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
    if kind == "too-many-files":
        return options, _raise_file_limit()
    return options.remedied(kind)


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
