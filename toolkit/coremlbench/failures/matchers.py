"""Matchers, by which the rules of ``failures.rules`` recognise an ``Exit``: each returns its evidence, or ``None``.

A matcher has a description in words, from which ``docs/failures.md`` is generated.
"""

from __future__ import annotations

import errno
import math
import os
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass

from coremlbench.failures.template_values import signal_number
from coremlbench.types.process import Exit

Match = tuple[str, ...] | None
"""The lines that matched, empty if the match rests on the exit itself; ``None`` for no match."""


@dataclass(frozen=True)
class Matcher:
    """A test of an ``Exit`` and its description in words; ``patterns`` are those it searches for in single lines."""

    description: str
    test: Callable[[Exit], Match]
    patterns: tuple[re.Pattern[str], ...] = ()

    def __call__(self, ended: Exit) -> Match:
        """Return the evidence in ``ended``, ``None`` if it does not match."""
        return self.test(ended)


# --- what was logged or raised ------------------------------------------------------------------------------


def logged(*patterns: str) -> Matcher:
    """Match if each pattern is found in a line of the log or of the error; these lines are the evidence.

    Searched are the last lines of the log, and of the earlier ones those that ``invalidates_run`` had retained.
    """
    compiled = tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)

    def test(ended: Exit) -> Match:
        lines = list(dict.fromkeys((*ended.retained_lines, *ended.log_tail, *_error_lines(ended))))
        evidence: list[str] = []
        for pattern in compiled:
            hits = [line for line in lines if pattern.search(line)]
            if not hits:
                return None
            evidence += [line for line in hits if line not in evidence]
        return tuple(evidence)

    return Matcher("in the log: " + " and ".join(f"`{pattern}`" for pattern in patterns), test, compiled)


def raised(*types: str) -> Matcher:
    """Match an exception of one of these types, as the worker reported it."""
    return Matcher(
        "the worker raised " + " or ".join(types),
        lambda ended: () if ended.pid is not None and (ended.error or {}).get("type") in types else None,
    )


def system_error(*numbers: int) -> Matcher:
    """Match an operating system error that the worker reported, or that prevented its start."""
    return Matcher(
        "an operating system error " + " or ".join(errno.errorcode[number] for number in numbers),
        lambda ended: () if (ended.error or {}).get("errno") in numbers else None,
    )


def _error_lines(ended: Exit) -> list[str]:
    error = ended.error or {}
    return [*str(error.get("message", "")).splitlines(), *str(error.get("traceback", "")).splitlines()]


# --- how it ended -------------------------------------------------------------------------------------------


def stopped(reason: str) -> Matcher:
    """Match a child that the supervisor stopped for ``reason``."""
    return Matcher(
        f"coremlbench stopped the worker itself ({reason})", lambda ended: () if ended.stopped == reason else None
    )


def killed_by(*numbers: signal.Signals) -> Matcher:
    """Match a child that a signal ended, also through a shell (128 + number)."""
    return Matcher(
        "ended by " + " or ".join(number.name for number in numbers),
        lambda ended: () if ended.stopped is None and signal_number(ended) in numbers else None,
    )


def crash_reported(what: str, pattern: str) -> Matcher:
    """Match a macOS crash report with a line that has the pattern; ``what`` says in words what that means."""
    compiled = re.compile(pattern)

    def test(ended: Exit) -> Match:
        report = ended.crash_report
        if report is None:
            return None
        hits = [line for line in (report.termination, *report.messages, *report.frames) if compiled.search(line)]
        return tuple(hits) or None

    return Matcher(f"in the crash report: {what}", test)


# --- of several ---------------------------------------------------------------------------------------------


def either(*matchers: Matcher) -> Matcher:
    """Match if any of the matchers does; the evidence is that of all that do."""

    def test(ended: Exit) -> Match:
        matches = [match for match in (matcher(ended) for matcher in matchers) if match is not None]
        return tuple(dict.fromkeys(line for match in matches for line in match)) if matches else None

    return Matcher("; or ".join(matcher.description for matcher in matchers), test, _patterns(matchers))


def both(*matchers: Matcher) -> Matcher:
    """Match if all of the matchers do; the evidence is theirs together."""

    def test(ended: Exit) -> Match:
        lines: list[str] = []
        for matcher in matchers:
            matched = matcher(ended)
            if matched is None:
                return None
            lines += matched
        return tuple(dict.fromkeys(lines))

    return Matcher(", and ".join(matcher.description for matcher in matchers), test, _patterns(matchers))


def _patterns(matchers: tuple[Matcher, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(pattern for matcher in matchers for pattern in matcher.patterns)


# --- single ones --------------------------------------------------------------------------------------------


def _loss_is_nan(ended: Exit) -> Match:
    figures = ended.last_progress.figures if ended.last_progress else {}
    bad = [
        f"{name} {value}"
        for name, value in figures.items()
        if name in ("loss", "val_loss", "validation_loss") and isinstance(value, float) and not math.isfinite(value)
    ]
    return tuple(bad) if bad else None


NUMBER = r"[-+]?(?:nan|inf(?:inity)?|\d[\d.,]*(?:e[-+]?\d+)?)"
ARROW = r"\s*(?:->|→|=>|\bto\b)\s*"
LOSS_NAME = rf"(?<!best )(?<!lowest )\b(?P<name>(?:val_|validation_)?loss)['\"]?\s*[:=]\s*(?:{NUMBER}{ARROW})*"
LOSS = re.compile(rf"{LOSS_NAME}(?P<value>{NUMBER})\b", re.IGNORECASE)
"""A loss in a line of a log: its name, and its value, the last one where it is told how it changed."""
LOSS_NOT_FINITE = re.compile(rf"{LOSS_NAME}[-+]?(?:nan|inf(?:inity)?)\b(?!{ARROW}[-+]?\d)", re.IGNORECASE)


def _loss_was_logged_nan(ended: Exit) -> Match:
    """Return the lines with a loss that is not a number, or infinite.

    A validation loss that was infinite and is a number later is none: a few images of which the network was sure and
    wrong give that, and the training goes on. After a loss that is not a number the weights are lost.
    """
    bad: list[str] = []
    infinite: dict[str, list[str]] = {}
    for line in (*ended.retained_lines, *ended.log_tail, *_error_lines(ended)):
        for match in LOSS.finditer(line):
            name, value = match["name"].lower(), match["value"].lower().lstrip("+-")
            if value == "nan" or (name == "loss" and value.startswith("inf")):
                bad.append(line)
            elif value.startswith("inf"):
                infinite.setdefault(name, []).append(line)
            else:
                infinite.pop(name, None)
    figures = ended.last_progress.figures if ended.last_progress else {}
    finite = {name for name, value in figures.items() if isinstance(value, float) and math.isfinite(value)}
    bad += [line for name, lines in infinite.items() if name not in finite for line in lines]
    return tuple(dict.fromkeys(bad)) or None


def _not_started(ended: Exit) -> Match:
    missing = (errno.ENOENT, errno.ENOTDIR, errno.ENOEXEC, errno.EACCES)
    return () if ended.pid is None and (ended.error or {}).get("errno") in missing else None


def _vanished(ended: Exit) -> Match:
    missing = (errno.ENOENT, errno.ENOTDIR)
    return () if ended.pid == os.getpid() and (ended.error or {}).get("errno") in missing else None


def _oom_killed(ended: Exit) -> Match:
    return () if ended.oom_kills and killed_by(signal.SIGKILL)(ended) is not None else None


loss_is_nan = Matcher("the last reported loss is not a number, or infinite", _loss_is_nan)
loss_was_logged_nan = Matcher(
    "in the log: a loss that is not a number, or infinite; an infinite validation loss that is a number later is none",
    _loss_was_logged_nan,
    (LOSS_NOT_FINITE,),
)
not_started = Matcher("the system could not start the command", _not_started)
vanished = Matcher("coremlbench itself no longer found a file or a folder of the run", _vanished)
oom_killed = Matcher("ended by SIGKILL while the control group's count of kills for memory grew", _oom_killed)
any_signal = Matcher(
    "ended by any other signal",
    lambda ended: () if ended.stopped is None and signal_number(ended) is not None else None,
)
any_error = Matcher("the worker raised anything else", lambda ended: () if ended.error else None)
no_result = Matcher(
    "exit code 0 without a valid `result.json`",
    lambda ended: () if ended.returncode == 0 and ended.result is None else None,
)
nothing_known = Matcher("nobody saw the end", lambda ended: () if ended.returncode is None else None)
always = Matcher("whatever is left", lambda _: ())
