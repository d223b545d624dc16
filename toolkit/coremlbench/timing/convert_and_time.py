"""Convert models and time the packages, or time those of a kit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coremlbench.runs.lifecycle import INTERRUPTED
from coremlbench.types.process import Progress

if TYPE_CHECKING:
    from coremlbench.conversion.options import ConvertOptions
    from coremlbench.timing.kit import Kit
    from coremlbench.timing.matrix import OnRound
    from coremlbench.timing.plan import Subject, TimingOptions
    from coremlbench.types.timing import TimingRecord


@dataclass(frozen=True)
class ConvertedAndTimed:
    """What came of it: the packages, the exit code of the conversions, and the matrix unless there was none to time."""

    subject: Subject
    exit_code: int
    timing: tuple[TimingRecord, Path] | None


def convert_and_time(
    models: Sequence[str],
    conversion: ConvertOptions,
    timing: TimingOptions,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    on_round: OnRound | None = None,
    kit: Path | None = None,
) -> ConvertedAndTimed:
    """Return the matrix of what the models were converted to; packages that failed or are wrong are not timed.

    Raises:
        InputError: a model cannot be used, nothing can run here, or a folder cannot be used.
    """
    from coremlbench.conversion import job, sources
    from coremlbench.timing.matrix import check_here, this_machine, time_models
    from coremlbench.timing.packages import subject_of

    here = this_machine()
    check_here(timing, kit, here)
    found = sources.resolve_all(models, results=results, allow_code=conversion.allow_code)
    conversions = job.convert_models(
        found or sources.default_sources(results, timing.seed),
        conversion,
        results=results,
        command=command,
        on_progress=on_progress,
    )
    subject, code = subject_of(conversions), job.exit_code([record for record, _ in conversions])
    if not subject.packages or code == INTERRUPTED:
        return ConvertedAndTimed(subject, code, None)
    timed = time_models(
        subject,
        timing,
        results=results,
        command=command,
        on_progress=on_progress,
        here=here,
        on_round=on_round,
        kit=kit,
    )
    return ConvertedAndTimed(subject, code, timed)


def time_kit(
    kit: Kit,
    timing: TimingOptions,
    *,
    results: Path,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    on_round: OnRound | None = None,
) -> tuple[TimingRecord, Path]:
    """Return the matrix of a kit's packages on this machine.

    Raises:
        InputError: nothing of it can run here, or the results folder cannot be used.
    """
    from coremlbench.timing.matrix import this_machine, time_models

    return time_models(
        kit.subject,
        timing,
        results=results,
        command=command,
        on_progress=on_progress,
        here=this_machine(),
        on_round=on_round,
    )
