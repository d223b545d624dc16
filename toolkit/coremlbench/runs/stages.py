"""The stages of a run: supervised child processes, run one after the other, each with its own folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from coremlbench.failures.classify import classify, invalidates_run
from coremlbench.supervision.supervisor import supervise
from coremlbench.types.failure import Failure
from coremlbench.types.process import Exit, Limits, Progress


class StageFailedError(Exception):
    """A stage failed. ``failure`` is what the run's record stores, ``ended`` how the child process ended."""

    def __init__(self, stage: str, failure: Failure, ended: Exit) -> None:
        super().__init__(failure.reason)
        self.stage, self.failure, self.ended = stage, failure, ended


@dataclass
class Stages:
    """Runs the stages of a run in folders below ``work``, under the limits of the whole run.

    ``timeout`` is for all stages together, in seconds. ``memory_bytes`` is for the process tree of each stage.
    ``silence`` overrides after how many seconds without progress a stage counts as hung. Times are read from
    ``clock``, in seconds. ``results`` is the folder of records, for commands in hints. ``peak_bytes`` is the largest
    memory of any stage so far.
    """

    work: Path
    on_progress: Callable[[Progress], None]
    timeout: float | None = None
    memory_bytes: int | None = None
    silence: float | None = None
    results: Path | None = None
    peak_bytes: int = 0
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def run(
        self,
        stage: str,
        command: Sequence[str],
        request: Mapping[str, Any],
        *,
        silence: float,
        on_progress: Callable[[Progress], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Exit:
        """Run a worker and return how it ended, with its result.

        ``on_progress`` replaces the run's own callback; ``environment`` are variables in addition to this process's.

        Raises:
            StageFailedError: the worker failed; the exception holds the failure and how the child process ended.
        """
        folder = self.work / stage
        folder.mkdir(parents=True, exist_ok=True)
        remaining = None
        if self.timeout is not None:
            remaining = max(0.1, self.timeout - (self.clock() - self.started))
        ended = supervise(
            command,
            folder=folder,
            request=request,
            limits=Limits(deadline=remaining, silence=self.silence or silence, memory_bytes=self.memory_bytes),
            on_progress=on_progress or self.on_progress,
            environment=environment,
            keep=invalidates_run,
            clock=self.clock,
        )
        if ended.stopped == "deadline":
            ended = replace(ended, limit=self.timeout)  # report the limit of the whole run, not this stage's remainder
        self.peak_bytes = max(self.peak_bytes, ended.peak_bytes)
        failure = classify(ended, self.results)
        if failure is not None:
            raise StageFailedError(stage, failure, ended)
        return ended
