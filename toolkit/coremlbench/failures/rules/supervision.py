"""Ends that coremlbench brought about itself: certain, whatever else the log says."""

from __future__ import annotations

from coremlbench.failures.matchers import not_started, stopped
from coremlbench.failures.rules.rule import Rule

SUPERVISION: tuple[Rule, ...] = (
    Rule(
        "interrupted",
        stopped("interrupted"),
        "The run was interrupted{by_signal}{where}.",
        "Run it again.",
        "supervision",
    ),
    Rule(
        "memory-limit",
        stopped("memory-limit"),
        "The run took {peak} of memory, more than the limit of {limit_bytes}, and was stopped{where}.",
        "Raise --memory-limit, or use fewer images.",
        "supervision",
    ),
    Rule(
        "deadline",
        stopped("deadline"),
        "The run was not done after {limit_seconds} and was stopped{where}.",
        "Raise --timeout, or use fewer images or iterations.",
        "supervision",
    ),
    Rule(
        "not-started",
        not_started,
        "The worker could not be started: {message}.",
        "Run `coremlbench doctor`; it says what is missing and what to do.",
        "supervision",
    ),
)
