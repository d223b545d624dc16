"""How the rules of ``failures`` recognise an end: each matcher returns its evidence, or ``None``."""

from __future__ import annotations

import errno
import math
import re
import signal
from collections.abc import Callable

from coremlbench.failure_texts import signal_number
from coremlbench.types import Exit

Match = tuple[str, ...] | None
"""The lines that a rule matched, none where it judges by the exit itself; ``None`` when it does not match."""


def stopped(reason: str) -> Callable[[Exit], Match]:
    """Match a child that the supervisor stopped for ``reason``."""
    return lambda ended: () if ended.stopped == reason else None


def logged(*patterns: str) -> Callable[[Exit], Match]:
    """Match when each pattern is found in a line of the log's tail or of the error; the lines found are evidence."""
    compiled = [re.compile(pattern, re.IGNORECASE) for pattern in patterns]

    def match(ended: Exit) -> Match:
        lines = [*ended.log_tail, *_error_lines(ended)]
        found: list[str] = []
        for pattern in compiled:
            hits = [line for line in lines if pattern.search(line)]
            if not hits:
                return None
            found += [line for line in hits if line not in found]
        return tuple(found)

    return match


def raised(*types: str) -> Callable[[Exit], Match]:
    """Match an exception of one of these types, as the worker reported it."""
    return lambda ended: () if ended.pid is not None and (ended.error or {}).get("type") in types else None


def system_error(*numbers: int) -> Callable[[Exit], Match]:
    """Match an operating system error, as the worker reported it, or as the start of the worker ended."""
    return lambda ended: () if (ended.error or {}).get("errno") in numbers else None


def killed_by(*numbers: signal.Signals) -> Callable[[Exit], Match]:
    """Match a child that a signal ended, also through a shell (128 + number)."""
    return lambda ended: () if ended.stopped is None and signal_number(ended) in numbers else None


def either(*matchers: Callable[[Exit], Match]) -> Callable[[Exit], Match]:
    """Match what any of the matchers does."""

    def match(ended: Exit) -> Match:
        found = [matched for matched in (matcher(ended) for matcher in matchers) if matched is not None]
        return tuple(dict.fromkeys(line for matched in found for line in matched)) if found else None

    return match


def _error_lines(ended: Exit) -> list[str]:
    error = ended.error or {}
    return [*str(error.get("message", "")).splitlines(), *str(error.get("traceback", "")).splitlines()]


def loss_is_nan(ended: Exit) -> Match:
    """Match a last loss that is not a number, or infinite."""
    figures = ended.last_progress.figures if ended.last_progress else {}
    bad = [
        f"{name} {value}"
        for name, value in figures.items()
        if name in ("loss", "val_loss", "validation_loss") and isinstance(value, float) and not math.isfinite(value)
    ]
    return tuple(bad) if bad else None


def not_started(ended: Exit) -> Match:
    """Match a command that the system could not start."""
    missing = (errno.ENOENT, errno.ENOTDIR, errno.ENOEXEC, errno.EACCES)
    return () if ended.pid is None and (ended.error or {}).get("errno") in missing else None


def oom_killed(ended: Exit) -> Match:
    """Match a kill while the count of kills for memory grew."""
    return () if ended.oom_kills and killed_by(signal.SIGKILL)(ended) is not None else None


def any_signal(ended: Exit) -> Match:
    """Match a child that any signal ended."""
    return () if ended.stopped is None and signal_number(ended) is not None else None


def any_error(ended: Exit) -> Match:
    """Match any error that was reported."""
    return () if ended.error else None


def no_result(ended: Exit) -> Match:
    """Match an exit code of 0 without a valid result."""
    return () if ended.returncode == 0 and ended.result is None else None


def nothing_known(ended: Exit) -> Match:
    """Match an end that nobody saw."""
    return () if ended.returncode is None else None


def always(_: Exit) -> Match:
    """Match whatever is left."""
    return ()
