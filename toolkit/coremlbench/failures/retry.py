"""Whether and how a run is tried again after a failure, by the failure's kind."""

from __future__ import annotations

from coremlbench.failures.rules import RULES
from coremlbench.failures.rules.rule import Retry
from coremlbench.failures.training_checks import CHECKS

__all__ = ["RETRY_BY_KIND", "Retry", "retry_after"]

RETRY_BY_KIND: dict[str, Retry] = {
    **{rule.kind: rule.retry for rule in RULES},
    **{check.kind: check.retry for check in CHECKS},
}


def retry_after(kind: str) -> Retry:
    """Return how to try again after a failure of a kind; with the same settings for a kind without a rule."""
    return RETRY_BY_KIND.get(kind, Retry.UNCHANGED)
