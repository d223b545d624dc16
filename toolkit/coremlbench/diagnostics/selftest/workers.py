"""Run one of the toolkit's workers for a check, and turn its failure into the check's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from coremlbench.diagnostics.selftest.checks import TEXTS, Context, DoesNotWorkError
from coremlbench.failures.classify import classify
from coremlbench.supervision.supervisor import supervise
from coremlbench.types.process import Limits

WORKER_LIMITS = Limits(deadline=15.0, memory_bytes=3 << 30)
"""Shorter than a check's own, so that the check can say what its worker did."""


def run_worker(
    context: Context, name: str, request: Mapping[str, Any], task: str, limits: Limits = WORKER_LIMITS
) -> dict[str, Any]:
    """Return the result of a worker; ``task`` says in words what it does, and names the result in the archive.

    Raises:
        DoesNotWorkError: the worker failed.
    """
    folder = context.folder / "workers" / re.sub(r"\W+", "-", task)
    folder.mkdir(parents=True, exist_ok=True)
    ended = supervise(context.worker(name), folder=folder, request=request, limits=limits)
    failure = classify(ended)
    if failure is not None:
        raise DoesNotWorkError(f"{task}: {failure.reason}", failure.hint)
    assert ended.result is not None  # otherwise classify returns a failure
    save_text(context, f"{folder.name}.json", json.dumps(ended.result, indent=1))
    return ended.result


def save_text(context: Context, name: str, text: str) -> None:
    """Save a text for the archive of ``--bundle``."""
    folder = context.folder / TEXTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def stand_in_note(result: Mapping[str, Any]) -> str:
    """Return a note for a result of the tests' stand-in, "" for Core ML's own."""
    return " (the stand-in of the tests, not Core ML)" if result.get("stand_in") else ""
