"""One row of the table of failures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from coremlbench.failures.matchers import Matcher


class Retry(Enum):
    """What the next attempt at a run changes after a failure."""

    NEVER = "there is none: it would fail again, or the user stopped the run"
    UNCHANGED = "the same settings"
    LESS_MEMORY = "a smaller batch or fewer processes"
    ON_CPU = "the CPU in place of the GPU"
    ON_CPU_WITH_NEW_SEED = "the CPU and another seed"
    MORE_OPEN_FILES = "a higher limit of open files"


@dataclass(frozen=True)
class Rule:
    """One row: the kind of failure, how it is recognised, its texts, its source, and what a retry changes.

    ``reason`` and ``hint`` are templates with the fields of ``template_values.values_for``; the reason says "likely"
    where it infers. ``source`` names public issues as "tensorflow 58339", several with semicolons, or says in words
    where the fact is from. ``also_success`` marks evidence that makes a run invalid even when the worker succeeded.
    All rules of one kind have the same ``retry``.
    """

    kind: str
    matches: Matcher
    reason: str
    hint: str
    source: str
    also_success: bool = False
    retry: Retry = Retry.UNCHANGED
