"""Classify how a child process ended: an ordered table of rules turns an ``Exit`` into a ``Failure`` or ``None``.

The rules are in ``failures.rules``, one module for each group of causes. The first rule that matches decides. Their
texts say "likely" where they infer. An end that no other rule matches is of the kind "unknown".
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from coremlbench.failures.log_noise import without_noise
from coremlbench.failures.rules import RULES, Rule
from coremlbench.failures.template_values import format_progress, signal_name, values_for
from coremlbench.types.failure import Evidence, Failure
from coremlbench.types.process import Exit

__all__ = ["RULES", "Rule", "classify", "invalidates_run"]

TAIL_LINES = 20
MATCHED_LINES = 5
MATCHED_CHARACTERS = 300
STACK_LINES = 30
STACK_BEGINNINGS = ("Current thread ", "Thread 0x")


def classify(ended: Exit, results: Path | None = None) -> Failure | None:
    """Return why the child failed, ``None`` if it succeeded: exit code 0, a valid result, no evidence against it.

    ``results`` is the folder of records of the run, for commands in the hint. What TensorFlow logs at every start is no
    evidence.
    """
    ended = replace(ended, log_tail=without_noise(ended.log_tail), retained_lines=without_noise(ended.retained_lines))
    succeeded = ended.stopped is None and ended.returncode == 0 and ended.result is not None and ended.error is None
    for rule in RULES:
        if succeeded and not rule.also_success:
            continue
        matched = rule.matches(ended)
        if matched is not None:
            values = values_for(ended, results)
            return Failure(
                kind=rule.kind,
                reason=rule.reason.format(**values),
                hint=rule.hint.format(**values),
                evidence=_evidence(ended, matched),
            )
    return None


def invalidates_run(line: str) -> bool:
    """Return whether a line of a log makes the run invalid even if its worker succeeds, such as a fault of a GPU.

    ``supervise`` keeps such lines, as hours of ordinary output may follow them in the log.
    """
    return any(pattern.search(line) for pattern in _invalidating_patterns())


@lru_cache(maxsize=1)
def _invalidating_patterns() -> tuple[re.Pattern[str], ...]:
    return tuple(pattern for rule in RULES if rule.also_success for pattern in rule.matches.patterns)


def _evidence(ended: Exit, matched: tuple[str, ...]) -> Evidence:
    """Return the evidence for a failure, cut to a size for records."""
    error = ended.error or {}
    return Evidence(
        phase=ended.phase,
        progress=format_progress(ended),
        returncode=ended.returncode,
        signal=signal_name(ended),
        exception=f"{error.get('type')}: {error.get('message')}"[:1000] if error else "",
        matched=tuple(line[:MATCHED_CHARACTERS] for line in matched[:MATCHED_LINES]),
        log_tail=ended.log_tail[-TAIL_LINES:],
        peak_bytes=ended.peak_bytes,
        memory=ended.memory,
        stack=_stack(ended.log_tail),
        oom_kills=ended.oom_kills,
        crash_report=ended.crash_report,
        surroundings=ended.surroundings,
        notes=ended.notes,
    )


def _stack(log: tuple[str, ...]) -> tuple[str, ...]:
    """Return the stack that Python's fault handler wrote of the thread that crashed, or else of the last thread.

    It writes "Fatal Python error: ...", then each thread under a heading; that of the crashed one is "Current thread".
    The log's tail has no empty lines, so a thread ends at the first line that is not part of a stack.
    """
    headings = [index for index, line in enumerate(log) if line.startswith(STACK_BEGINNINGS)]
    current = [index for index in headings if log[index].startswith("Current thread ")]
    if not headings:
        return ()
    first = (current or headings)[-1]
    lines = [log[first]]
    for line in log[first + 1 : first + STACK_LINES]:
        if not line.lstrip().startswith(("File ", "...", "<")):
            break
        lines.append(line)
    return tuple(lines)
