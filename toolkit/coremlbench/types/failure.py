"""Why a run did not finish, and what that judgement rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coremlbench.types.process import CrashReport, MemorySample, ProcessResources


@dataclass(frozen=True)
class Evidence:
    """What a failure's judgement rests on; ``stack`` is what Python's fault handler showed of the crashed thread.

    ``notes`` say what the supervision could not do, and so what may be missing here: "log.txt ends early".
    """

    phase: str = ""
    progress: str = ""
    returncode: int | None = None
    signal: str = ""
    exception: str = ""
    matched: tuple[str, ...] = ()
    log_tail: tuple[str, ...] = ()
    peak_bytes: int = 0
    memory: tuple[MemorySample, ...] = ()
    stack: tuple[str, ...] = ()
    oom_kills: int | None = None
    crash_report: CrashReport | None = None
    surroundings: ProcessResources | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A run that did not finish: a result like any other."""

    kind: str
    reason: str
    hint: str
    evidence: Evidence = Evidence()
    status: Literal["failed"] = "failed"
