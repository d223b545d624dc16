"""What all runs have in common: a folder and a record before the work starts, kept up to date to its end."""

from __future__ import annotations

import os
import shutil
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from coremlbench import __version__
from coremlbench.failures.classify import classify
from coremlbench.failures.training_checks import judged
from coremlbench.runs import resume_data, store
from coremlbench.runs.stages import StageFailedError, Stages
from coremlbench.supervision.supervisor import describe
from coremlbench.system.machine import describe_machine
from coremlbench.system.resources import look_around
from coremlbench.system.signals import held_back
from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Evidence, Failure
from coremlbench.types.process import Exit, Progress
from coremlbench.types.records import Record
from coremlbench.types.timing import TimingRecord
from coremlbench.types.training_records import TrainingRecord

FAILED, INTERRUPTED = 3, 130
"""The exit codes of a command whose run failed, and of one that Ctrl-C ended."""

UNFINISHED = Failure(
    kind="unfinished",
    reason="The run did not come to its end: it is still running, or it was killed from outside.",
    hint="Run it again.",
    evidence=Evidence(),
)

R = TypeVar("R", TrainingRecord, ConversionRecord, TimingRecord)
Save = Callable[[R], None]
Work = Callable[[R, Path, Stages, Callable[[R], None]], R]


class Limited(Protocol):
    """The settings of any run: what it may take of time (seconds), silence (seconds) and memory (bytes)."""

    @property
    def timeout(self) -> float | None: ...  # noqa: D102 - the class says it
    @property
    def silence(self) -> float | None: ...  # noqa: D102 - as above
    @property
    def memory_limit(self) -> int | None: ...  # noqa: D102 - as above


@dataclass(frozen=True)
class Run(Generic[R]):
    """What a run is known to be before it starts; ``command`` is the command line it came from.

    ``also`` holds further fields of the record: which attempt it is, which run it goes on with.
    """

    record: type[R]
    experiment: str
    engine: str
    options: dict[str, Any]
    deviations: tuple[str, ...]
    command: Sequence[str]
    limits: Limited
    also: Mapping[str, Any] = field(default_factory=dict)


def recorded(run: Run[R], work: Work[R], *, results: Path, on_progress: Callable[[Progress], None]) -> tuple[R, Path]:
    """Return the record of a run and the folder that holds it; a failed run has a record too.

    ``work`` gets the record as far as it is known, the run's folder, the stages to run and the function to save
    with; it returns the finished record.

    Raises:
        InputError: the results folder or the data cannot be used; nothing was measured and no record is left.
    """
    store.check_results_folder(results)
    store.sweep(results)
    resume_data.limit(results)
    started = datetime.now(timezone.utc)
    try:
        folder = store.new_run_folder(results, run.experiment, started)
    except OSError as problem:
        raise InputError(
            f"No folder for the run can be made in {results} ({problem.strerror}); name another one with --results."
        ) from problem
    return _record(run, _begin(run, folder, started), folder, work, on_progress, fresh=True)


def continued(
    run: Run[R], record: R, folder: Path, work: Work[R], *, on_progress: Callable[[Progress], None]
) -> tuple[R, Path]:
    """Return the record of a run that goes on in its own folder, from what its record holds.

    Raises:
        InputError: the results folder cannot be used.
    """
    store.check_results_folder(folder.parent)
    store.sweep(folder.parent)
    return _record(run, record, folder, work, on_progress, fresh=False)


def exit_code_of(record: Record) -> int:
    """Return 0 for a run that came to its end, 3 for a failed one, 130 for one that Ctrl-C ended."""
    if not isinstance(record.outcome, Failure):
        return 0
    return INTERRUPTED if record.outcome.kind == "interrupted" else FAILED


def _record(
    run: Run[R], record: R, folder: Path, work: Work[R], on_progress: Callable[[Progress], None], *, fresh: bool
) -> tuple[R, Path]:
    """Return the record as the work leaves it; a fresh run that never got its input leaves none."""
    clock, before = time.monotonic(), record.seconds
    limits = run.limits
    stages = Stages(
        folder / "work", on_progress, timeout=limits.timeout, memory_bytes=limits.memory_limit, silence=limits.silence
    )
    known = [record]

    def save(each: R) -> None:
        """Keep what is known so far; the run stays marked as unfinished until its end."""
        known.append(each)
        so_far = before + time.monotonic() - clock
        store.save(replace(each, outcome=UNFINISHED, seconds=so_far), folder)

    with store.hold(folder):
        save(record)
        try:
            record = judged(work(record, folder, stages, save))
        except StageFailedError as failed:
            if fresh and (failed.ended.error or {}).get("type") == "InputError":
                shutil.rmtree(folder, ignore_errors=True)
                raise InputError(str((failed.ended.error or {})["message"])) from failed
            record = replace(
                known[-1], outcome=failed.failure, peak_bytes=max(known[-1].peak_bytes, failed.ended.peak_bytes)
            )
        except (OSError, KeyboardInterrupt) as problem:
            record = replace(known[-1], outcome=_own_failure(problem, folder))
        finally:
            with held_back():
                store.put_away(stages.work, folder)
        with held_back() as signals:  # Ctrl-C at the last moment does not cost what is known of the run
            if isinstance(record, TrainingRecord):
                record = resume_data.told(record, folder)
            seconds = before + time.monotonic() - clock
            record = replace(record, seconds=seconds, ended=datetime.now(timezone.utc).isoformat())
            saved = store.save(record, folder)
            if exit_code_of(record) == INTERRUPTED:
                signals.clear()  # the person was heard already
    return record, saved.parent


def _own_failure(problem: OSError | KeyboardInterrupt, folder: Path) -> Failure:
    """Return what ended a run in this process itself, between two children, judged as a child's end would be."""
    interrupted = isinstance(problem, KeyboardInterrupt)
    failure = classify(
        Exit(
            returncode=None,
            seconds=0.0,
            stopped="interrupted" if interrupted else None,
            stop_signal="SIGINT" if interrupted else "",
            error=None if interrupted else describe(problem),
            log_tail=() if interrupted else tuple("".join(traceback.format_exception(problem)).splitlines()),
            pid=os.getpid(),
            surroundings=look_around(folder),
        )
    )
    assert failure is not None  # nothing that ended without a result is a success
    return failure


def _begin(run: Run[R], folder: Path, started: datetime) -> R:
    return run.record(
        id=folder.name,
        experiment=run.experiment,
        started=started.isoformat(),
        command=("coremlbench", *run.command[1:]),
        coremlbench=__version__,
        machine=describe_machine(),
        engine=run.engine,
        options=run.options,
        outcome=UNFINISHED,
        deviations=run.deviations,
        **run.also,
    )
