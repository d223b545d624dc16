"""The life of a run: its folder and its first record, the work itself, and the final record however the work ends."""

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
from coremlbench.failures.training_checks import check_training
from coremlbench.runs import resume_data, store
from coremlbench.runs.stages import StageFailedError, Stages
from coremlbench.supervision.supervisor import describe_error
from coremlbench.system.conditions import read_conditions
from coremlbench.system.machine import describe_machine
from coremlbench.system.resources import raise_open_file_limit, snapshot_resources
from coremlbench.system.signals import deferred_signals
from coremlbench.system.sleep import kept_awake
from coremlbench.types.conversion import ConversionRecord
from coremlbench.types.errors import InputError
from coremlbench.types.failure import Evidence, Failure
from coremlbench.types.process import Exit, Progress
from coremlbench.types.records import Record
from coremlbench.types.timing import TimingRecord
from coremlbench.types.training_records import TrainingRecord

FAILED, INTERRUPTED = 3, 130
"""The exit code of a command whose run failed, and of one that Ctrl-C stopped."""

UNFINISHED = Failure(
    kind=store.UNFINISHED_KIND,
    reason="The run did not come to its end: it is still running, or it was killed from outside.",
    hint="Run it again.",
    evidence=Evidence(),
)

R = TypeVar("R", TrainingRecord, ConversionRecord, TimingRecord)
Save = Callable[[R], None]
Work = Callable[[R, Path, Stages, Callable[[R], None]], R]


class RunLimits(Protocol):
    """The limits in the settings of every run; None for no limit, or for the default of each stage."""

    @property
    def timeout(self) -> float | None:
        """Return the time limit of the whole run in seconds."""

    @property
    def silence(self) -> float | None:
        """Return the seconds after which a stage without progress counts as hung."""

    @property
    def memory_limit(self) -> int | None:
        """Return the memory limit of each stage's processes together, in bytes."""


@dataclass(frozen=True)
class Run(Generic[R]):
    """The fields of a run's record that are known before the run starts.

    ``command`` is the command line. ``extra_fields`` are further fields of the record, such as ``attempt`` and
    ``resumed_from`` of a ``TrainingRecord``.
    """

    record_type: type[R]
    experiment: str
    engine: str
    options: dict[str, Any]
    deviations: tuple[str, ...]
    command: Sequence[str]
    limits: RunLimits
    extra_fields: Mapping[str, Any] = field(default_factory=dict)


def run_and_record(
    run: Run[R], work: Work[R], *, results: Path, on_progress: Callable[[Progress], None]
) -> tuple[R, Path]:
    """Run ``work`` in a new folder below ``results``; return the final record, of a failed run too, and its folder.

    ``work`` is called with the first record, the run's folder, the run's stages and a function that saves an
    intermediate record; it returns the finished record.

    Raises:
        InputError: the results folder or the data cannot be used; nothing was measured and no record is left.
    """
    store.check_results_folder(results)
    store.remove_stale(results)
    resume_data.prune(results)
    started = datetime.now(timezone.utc)
    try:
        folder = store.new_run_folder(results, run.experiment, started)
    except OSError as problem:
        raise InputError(
            f"No folder for the run can be made in {results} ({problem.strerror}); name another one with --results."
        ) from problem
    return _Lifecycle(run.limits, _first_record(run, folder, started), folder, on_progress).execute(work, new=True)


def continue_and_record(
    run: Run[R], record: R, folder: Path, work: Work[R], *, on_progress: Callable[[Progress], None]
) -> tuple[R, Path]:
    """Continue a run in its own folder, starting from its saved ``record``; return the final record and the folder.

    Raises:
        InputError: the results folder cannot be used.
    """
    store.check_results_folder(folder.parent)
    store.remove_stale(folder.parent)
    return _Lifecycle(run.limits, record, folder, on_progress).execute(work, new=False)


def exit_code_of(record: Record) -> int:
    """Return 0 for a run that finished, 3 for a failed one, 130 for one that Ctrl-C stopped."""
    if not isinstance(record.outcome, Failure):
        return 0
    return INTERRUPTED if record.outcome.kind == "interrupted" else FAILED


class _Lifecycle(Generic[R]):
    """One execution of a run's work: keeps the newest record on disk and turns every end into a final record."""

    def __init__(self, limits: RunLimits, record: R, folder: Path, on_progress: Callable[[Progress], None]) -> None:
        self.folder = folder
        self.newest: R = record
        self.clock, self.seconds_before = time.monotonic(), record.seconds
        self.stages = Stages(
            folder / "work",
            on_progress,
            timeout=limits.timeout,
            memory_bytes=limits.memory_limit,
            silence=limits.silence,
            results=folder.parent,
        )

    def execute(self, work: Work[R], *, new: bool) -> tuple[R, Path]:
        """Return the final record and the folder it was saved in; ``new`` says that this is the run's first process.

        Raises:
            InputError: the input of a new run cannot be used; its folder is removed.
        """
        raise_open_file_limit()
        with store.lock_run(self.folder), kept_awake():
            self.save(self.newest)
            try:
                record = check_training(work(self.newest, self.folder, self.stages, self.save))
            except StageFailedError as failed:
                if new:
                    self._raise_input_error(failed)
                record = self._with_stage_failure(failed)
            except (OSError, KeyboardInterrupt) as problem:
                record = replace(self.newest, outcome=_failure_of_this_process(problem, self.folder))
            finally:
                with deferred_signals():
                    store.collect_logs(self.stages.work, self.folder)
            return self._finish(record)

    def save(self, record: R) -> None:
        """Save an intermediate record; on disk it is marked as unfinished until the run ends."""
        self.newest = record
        store.save(replace(record, outcome=UNFINISHED, seconds=self._seconds()), self.folder)

    def _seconds(self) -> float:
        """Return the run's time so far, the processes before this one included."""
        return self.seconds_before + time.monotonic() - self.clock

    def _raise_input_error(self, failed: StageFailedError) -> None:
        """Raise the ``InputError`` that a worker reported, if it did, and remove the run's folder."""
        error = failed.ended.error or {}
        if error.get("type") == "InputError":
            shutil.rmtree(self.folder, ignore_errors=True)
            raise InputError(str(error["message"])) from failed

    def _with_stage_failure(self, failed: StageFailedError) -> R:
        peak_bytes = max(self.newest.peak_bytes, failed.ended.peak_bytes)
        return replace(self.newest, outcome=failed.failure, peak_bytes=peak_bytes)

    def _finish(self, record: R) -> tuple[R, Path]:
        """Return the record as saved at the run's end, and its folder; signals wait until it is saved."""
        with deferred_signals() as signals:
            if isinstance(record, TrainingRecord):
                record = resume_data.note_resume_data(record, self.folder)
                record = replace(record, conditions_after=read_conditions())
            record = replace(record, seconds=self._seconds(), ended=datetime.now(timezone.utc).isoformat())
            saved = store.save(record, self.folder)
            if exit_code_of(record) == INTERRUPTED:
                signals.clear()  # the run has ended as interrupted already; do not raise KeyboardInterrupt again
        return record, saved.parent


def _failure_of_this_process(problem: OSError | KeyboardInterrupt, folder: Path) -> Failure:
    """Return the failure of a run that an error or a signal ended in this process, between two child processes.

    It is classified by the same rules as the end of a child process.
    """
    interrupted = isinstance(problem, KeyboardInterrupt)
    failure = classify(
        Exit(
            returncode=None,
            seconds=0.0,
            stopped="interrupted" if interrupted else None,
            stop_signal="SIGINT" if interrupted else "",
            error=None if interrupted else describe_error(problem),
            log_tail=() if interrupted else tuple("".join(traceback.format_exception(problem)).splitlines()),
            pid=os.getpid(),
            surroundings=snapshot_resources(folder),
        ),
        folder.parent,
    )
    assert failure is not None  # an exit without a result is always a failure
    return failure


def _first_record(run: Run[R], folder: Path, started: datetime) -> R:
    return run.record_type(
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
        **run.extra_fields,
    )
