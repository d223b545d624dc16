"""Run again what failed, in fresh processes, with the remedy that the failure names: each attempt its own record."""

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
    """The settings of a run that can be tried again."""

    def remedied(self: Options, kind: str) -> tuple[Options, str]:  # noqa: PYI019 - Self came with Python 3.11
        """Return the settings of the next attempt after a failure of a kind, and in words what is different."""


Options = TypeVar("Options", bound=Remediable)
Attempt = Callable[[Options, Mapping[str, Any]], tuple[TrainingRecord, Path]]

MEMORY = frozenset({"memory-limit", "out-of-memory", "gpu-memory", "killed"})
"""After these, less at a time is worth a try."""
GPU = frozenset(
    {
        *("gpu-fault", "gpu-hang", "gpu-preempted", "gpu-assertion", "gpu-compiler", "gpu-driver", "gpu-library"),
        *("metal-plugin", "optimizer-platform", "untrusted-device", "loss-nan", "loss-exploded", "at-chance"),
    }
)
"""After these, the CPU is worth a try."""
SEED = frozenset({"at-chance"})
"""After these, another seed is worth a try too: the network may have died of its first weights."""
FINAL = frozenset(
    {
        *("interrupted", "input", "unusable-data", "missing-data", "missing-weights", "environment", "not-started"),
        *("turicreate-platform", "turicreate-environment", "disk-full", "permission", "file-size-limit"),
        *("module-missing", "library-missing", "wrong-architecture", "system-too-old", "illegal-instruction"),
        *("code-signature", "numpy-version", "protobuf-twice", "openmp-twice", "developer-tools", "certificate"),
        *("forbidden-call", "unreadable-model"),
    }
)
"""What a second attempt would meet again: it is for the person at the keyboard to mend, or was their wish."""
FILES = 4096
UNCHANGED = "with the same settings"


def attempts(once: Attempt[Options], options: Options, retries: int) -> list[tuple[TrainingRecord, Path]]:
    """Return the attempts at a run, oldest first: the last one trained, or is the last that may be made.

    ``once`` runs it with some options and with further fields for its record. Nothing is retried that would fail
    again or that was stopped on purpose. What the broken attempts keep stays until one of them trained.

    Raises:
        InputError: the first attempt cannot be made; that a later one cannot is a note of the one before.
    """
    runs = [once(options, {})]
    for number in range(2, retries + 2):
        record, folder = runs[-1]
        if not isinstance(record.outcome, Failure) or record.outcome.kind in FINAL:
            break
        options, change = remedy(record.outcome.kind, options)
        note = f"Attempt {number} of at most {retries + 1}, after {record.outcome.kind} in {record.id}; {change}."
        try:
            runs.append(once(options, {"attempt": number, "retry_of": runs[0][0].id, "notes": (note,)}))
        except InputError as problem:
            said = f"Attempt {number} of at most {retries + 1} could not be made: {problem}"
            record = replace(record, notes=(*record.notes, said))
            with suppress(store.RecordNotSavedError):  # without the note it is saved already
                store.save(record, folder)
            runs[-1] = record, folder
            break
    *broken, (last, folder) = runs
    if isinstance(last.outcome, Failure):
        return runs
    return [*((resume_data.superseded(record, place, last.id), place) for record, place in broken), (last, folder)]


def remedy(kind: str, options: Options) -> tuple[Options, str]:
    """Return the options of the next attempt, and in words what is different from the last."""
    if kind == "too-many-files":
        return options, _raise_descriptor_limit()
    return options.remedied(kind)


def _raise_descriptor_limit() -> str:
    """Raise this process's limit of open files, which its children inherit; return in words what came of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    with suppress(ValueError, OSError):
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return f"with {wanted:,} open files allowed in place of {soft:,}"
    return f"{UNCHANGED}, as the system allows no more than {soft:,} open files"
