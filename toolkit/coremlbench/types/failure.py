"""Why a run failed, and the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coremlbench.types.process import CrashReport, MemorySample, ProcessResources


@dataclass(frozen=True)
class Evidence:
    """The evidence for a failure. ``stack`` is the stack of the crashed thread by Python's fault handler.

    ``matched`` are the log lines that decided. ``memory`` and ``peak_bytes`` are those of the process tree.
    ``oom_kills`` counts kills for memory by the system. ``notes`` say what the supervisor could not record, as
    "log.txt ends early".
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
    """The outcome of a run that failed.

    ``kind`` names the rule of ``failures.rules`` or another cause; ``reason`` and ``hint`` are sentences to show.
    """

    kind: str
    reason: str
    hint: str
    evidence: Evidence = Evidence()
    status: Literal["failed"] = "failed"
