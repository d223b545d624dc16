"""Children that coremlbench stopped, or could not start: certain, whatever the log says."""

from __future__ import annotations

from coremlbench.failures.matchers import not_started, stopped
from coremlbench.failures.rules.rule import Retry, Rule

SUPERVISION: tuple[Rule, ...] = (
    Rule(
        "interrupted",
        stopped("interrupted"),
        "The run was interrupted{by_signal}{where}.",
        "Run it again.",
        "supervision",
        retry=Retry.NEVER,
    ),
    Rule(
        "memory-limit",
        stopped("memory-limit"),
        "The run took {peak} of memory, more than the limit of {limit_bytes}, and was stopped{where}.",
        "Raise --memory-limit, or use fewer images.",
        "supervision",
        retry=Retry.LESS_MEMORY,
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
        "Run `{doctor}`; it says what is missing and what to do.",
        "supervision",
        retry=Retry.NEVER,
    ),
)
