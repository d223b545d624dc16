"""A supervised child process: its limits, its progress, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


class ReportProgress(Protocol):
    """A function that long work calls to report progress; ``figures`` are its newest numbers, by name."""

    def __call__(self, phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
        """Report that ``done`` of ``total`` items of ``phase`` are finished; ``total`` 0 means unknown."""


@dataclass(frozen=True)
class Limits:
    """Limits of a supervised child; ``None`` is no limit.

    ``deadline`` is the longest run time, ``silence`` the longest time without a progress line or log output, both in
    seconds. ``memory_bytes`` is the most resident memory of its process tree.
    """

    deadline: float | None = None
    silence: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Progress:
    """One line of a worker's progress: phase, finished and total items, and its newest figures by name."""

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
    """macOS's report of a crashed process, from its ``.ips`` file; fields that the file lacks are empty.

    ``exception`` is the Mach exception (``EXC_BAD_ACCESS``) with its subtype. ``termination`` is the namespace, code
    and indicator of the termination, ``messages`` are those that libraries added. ``frames`` are the topmost of the
    faulting thread, the innermost first, as "library symbol + offset". ``translated`` says that it ran under Rosetta.
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
    """The system's resources at the end of a child; ``None`` if unknown.

    ``free_disk_bytes`` is that of the disk of its folder, ``open_files`` the limit of open files, ``rosetta`` whether
    it ran under Rosetta, ``avx`` whether it could use AVX instructions.
    """

    free_disk_bytes: int | None = None
    open_files: int | None = None
    free_memory_bytes: int | None = None
    rosetta: bool | None = None
    avx: bool | None = None


StopReason = Literal["deadline", "silence", "memory-limit", "interrupted"]


@dataclass(frozen=True)
class Exit:
    """How a supervised child ended; ``failures.classify`` makes a ``Failure`` of it, or none.

    Attributes:
        returncode: As in ``subprocess``: negative for a signal; ``None`` if it is unknown.
        stopped: Why the supervisor stopped the child, if it did.
        limit: The limit that was reached, in seconds or bytes.
        error: The exception that the worker reported: ``type``, ``message``, ``errno``, ``traceback``, and the
            ``signal`` that ended a process of its pool.
        result: The content of its ``result.json``; ``None`` without a valid one, which is a failure.
        retained_lines: Log lines that the caller asked to retain, wherever they were in the log.
        oom_kills: Kills for memory in the child's control group meanwhile, ``None`` if they are not counted.
        stop_signal: The name of the signal that asked the supervisor to stop.
        pid: The child's; this process's own if the failure is one of this process.
        notes: Sentences on what the supervisor could not do.
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
