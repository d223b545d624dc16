"""Run one of the toolkit's workers for a check, and turn its failure into the check's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from coremlbench.diagnostics.selftest.checks import TEXTS, Context, DoesNotWorkError
from coremlbench.failures.classify import classify
from coremlbench.supervision.supervisor import supervise
from coremlbench.types.failure import Failure
from coremlbench.types.process import Limits

TIME_SHARE = 0.75
"""Share of a check's time that a worker gets, so that the check can say what its worker did."""
MEMORY_BYTES = 2 << 30
MESSAGE_CHARACTERS = 300
LIMIT_ADVICE = {
    "deadline": "Run it again when the machine has less to do. If it ends the same way, this part hangs: leave it out "
    "of your runs, and report it.",
    "memory-limit": "It takes a fraction of that elsewhere: report it.",
}
"""What to do about a check that was stopped at one of its limits, by the kind of failure."""


def run_worker(context: Context, name: str, request: Mapping[str, Any], task: str) -> dict[str, Any]:
    """Return the result of a worker; ``task`` says in words what it does, and names the result in the archive.

    Raises:
        DoesNotWorkError: the worker failed.
    """
    folder = context.folder / "workers" / re.sub(r"\W+", "-", task)
    folder.mkdir(parents=True, exist_ok=True)
    limits = Limits(deadline=TIME_SHARE * context.seconds, memory_bytes=MEMORY_BYTES)
    ended = supervise(context.worker(name), folder=folder, request=request, limits=limits)
    failure = classify(ended)
    if failure is not None:
        raise DoesNotWorkError(f"{task}: {reason_of(failure)}", advice_on(failure))
    assert ended.result is not None  # otherwise classify returns a failure
    save_text(context, f"{folder.name}.json", json.dumps(ended.result, indent=1))
    return ended.result


def reason_of(failure: Failure) -> str:
    """Return the reason of a failure on one line, with the message of the exception where there is one."""
    message = " ".join(failure.evidence.exception.split())[:MESSAGE_CHARACTERS]
    reason = failure.reason if message in failure.reason or not message else f"{failure.reason} ({message})"
    return " ".join(reason.split())


def advice_on(failure: Failure) -> str:
    """Return what to do about the failure of a check; the hints on limits are about the options of longer runs."""
    return LIMIT_ADVICE.get(failure.kind, failure.hint)


def save_text(context: Context, name: str, text: str) -> None:
    """Save a text for the archive of ``--bundle``."""
    folder = context.folder / TEXTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def stand_in_note(result: Mapping[str, Any]) -> str:
    """Return a note for a result of the tests' stand-in, "" for Core ML's own."""
    return " (the stand-in of the tests, not Core ML)" if result.get("stand_in") else ""
