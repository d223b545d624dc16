"""A supervised child process: its limits, its progress, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


class ReportProgress(Protocol):
    """What long work tells its progress to; the figures are its newest numbers, by name."""

    def __call__(self, phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
        """Take note that ``done`` of ``total`` items of ``phase`` are ready; ``total`` 0 means unknown."""


@dataclass(frozen=True)
class Limits:
    """What a supervised child may use; ``None`` is no limit.

    ``deadline`` is for the whole child, ``silence`` for the time without a progress line or log output, both in
    seconds. ``memory_bytes`` is for the resident memory of its process tree.
    """

    deadline: float | None = None
    silence: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Progress:
    """One line of a worker's progress: how far which phase is, and its newest figures."""

    phase: str
    done: int
    total: int
    message: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MemorySample:
    """Resident bytes of a child's whole process tree, ``seconds`` after its start."""

    seconds: float
    bytes: int


@dataclass(frozen=True)
class CrashReport:
    """What macOS noted of a process that crashed, from its ``.ips`` file; empty where the file does not say.

    ``exception`` is Mach's (``EXC_BAD_ACCESS``) with its subtype, ``termination`` the namespace, code and indicator
    of what ended it, ``messages`` what libraries left for the report. ``frames`` are the topmost of the faulting
    thread, the innermost first, as "library symbol + offset". ``translated`` says that it ran under Rosetta.
    """

    file: str
    process: str
    pid: int
    captured: str
    exception: str = ""
    signal: str = ""
    termination: str = ""
    messages: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    thread: str = ""
    translated: bool = False
    cpu: str = ""
    model: str = ""
    system: str = ""


@dataclass(frozen=True)
class ProcessResources:
    """What a child had around it at its end; ``None`` where the system does not tell.

    ``free_disk_bytes`` is what its folder's disk had left, ``open_files`` the limit of open files, ``rosetta`` whether
    it ran translated, ``avx`` whether the processor has those instructions.
    """

    free_disk_bytes: int | None = None
    open_files: int | None = None
    free_memory_bytes: int | None = None
    rosetta: bool | None = None
    avx: bool | None = None


StopReason = Literal["deadline", "silence", "memory-limit", "interrupted"]


@dataclass(frozen=True)
class Exit:
    """How a supervised child ended, before anyone has judged it.

    ``returncode`` is as ``subprocess`` has it: negative for a signal, ``None`` when it could not be learnt.
    ``stopped`` says why the supervisor itself stopped the child, if it did. ``error`` is the exception that the
    worker reported: ``type``, ``message``, ``errno`` and ``traceback``, and the ``signal`` that ended one of the
    processes it shared its work with. ``result`` is the content of its ``result.json``, or ``None`` when there was no
    valid one: that is a failure whatever the exit code.
    ``limit`` is the limit that was reached (seconds or bytes), ``stop_signal`` the name of the signal that asked
    the supervisor itself to stop. ``oom_kills`` counts what the system killed for memory in the child's control
    group meanwhile, ``None`` where that cannot be read. ``notes`` are sentences on what the supervision could not do.
    ``pid`` is the child's, or this process's own when that is what could not go on.
    ``retained_lines`` are lines from anywhere in the log that the caller wanted kept, however long it became.
    """

    returncode: int | None
    seconds: float
    phase: str = ""
    last_progress: Progress | None = None
    stopped: StopReason | None = None
    limit: float | None = None
    error: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    log_tail: tuple[str, ...] = ()
    peak_bytes: int = 0
    memory: tuple[MemorySample, ...] = ()
    oom_kills: int | None = None
    stop_signal: str = ""
    pid: int | None = None
    user_seconds: float = 0.0
    system_seconds: float = 0.0
    notes: tuple[str, ...] = ()
    retained_lines: tuple[str, ...] = ()
    crash_report: CrashReport | None = None
    surroundings: ProcessResources | None = None
