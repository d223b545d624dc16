"""Judge how a child ended: an ordered table of rules turns an ``Exit`` into a ``Failure``, or into nothing.

The rules stand in ``failures.rules``, a module for each kind of cause. The first that matches decides. Rules say
"likely" where they infer; what no rule knows is called unknown.
"""

from __future__ import annotations

import re
from functools import lru_cache

from coremlbench.failures.rules import RULES, Rule
from coremlbench.failures.template_values import describe_where, name_of_signal, values_for
from coremlbench.types.failure import Evidence, Failure
from coremlbench.types.process import Exit

__all__ = ["RULES", "Rule", "classify", "invalidates_run"]

TAIL_LINES = 20
MATCHED_LINES = 5
MATCHED_CHARACTERS = 300
STACK_LINES = 30
STACK_BEGINNINGS = ("Current thread ", "Thread 0x")


def classify(ended: Exit) -> Failure | None:
    """Return why the child failed, ``None`` when it ended by itself, well, and with a valid result."""
    succeeded = ended.stopped is None and ended.returncode == 0 and ended.result is not None and ended.error is None
    for rule in RULES:
        if succeeded and not rule.also_success:
            continue
        matched = rule.matches(ended)
        if matched is not None:
            values = values_for(ended)
            return Failure(
                kind=rule.kind,
                reason=rule.reason.format(**values),
                hint=rule.hint.format(**values),
                evidence=_evidence(ended, matched),
            )
    return None


def invalidates_run(line: str) -> bool:
    """Return whether a line of a log spoils the run, even one that goes on and says that all went well.

    ``supervise`` keeps such lines wherever in the log they stand: after an early fault of a GPU, hours of ordinary
    output may follow.
    """
    return any(pattern.search(line) for pattern in _spoiling())


@lru_cache(maxsize=1)
def _spoiling() -> tuple[re.Pattern[str], ...]:
    return tuple(pattern for rule in RULES if rule.also_success for pattern in rule.matches.patterns)


def _evidence(ended: Exit, matched: tuple[str, ...]) -> Evidence:
    """Return what the judgement rests on, small enough to stand in a record."""
    error = ended.error or {}
    return Evidence(
        phase=ended.phase,
        progress=describe_where(ended),
        returncode=ended.returncode,
        signal=name_of_signal(ended),
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
    """Return what Python's fault handler showed of the thread that crashed, or of the first it showed.

    It writes "Fatal Python error: ...", then each thread under a heading, the one that crashed as "Current thread".
    The empty lines between them are not in the log's tail, so that the next heading ends a thread.
    """
    headings = [at for at, line in enumerate(log) if line.startswith(STACK_BEGINNINGS)]
    current = [at for at in headings if log[at].startswith("Current thread ")]
    if not headings:
        return ()
    first = (current or headings)[-1]
    lines = [log[first]]
    for line in log[first + 1 : first + STACK_LINES]:
        if not line.lstrip().startswith(("File ", "...", "<")):
            break
        lines.append(line)
    return tuple(lines)
