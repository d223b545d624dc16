"""What a row of the table of failures holds."""

from __future__ import annotations

from dataclasses import dataclass

from coremlbench.failures.matchers import Matcher


@dataclass(frozen=True)
class Rule:
    """One row: what it is called, how it is recognised, what is said of it, and where that is known from.

    ``reason`` and ``hint`` are sentences with the fields of ``template_values.values_for``; the reason says "likely"
    where it infers. ``source`` names public issues as "tensorflow 58339", several with semicolons, or says in words
    where the fact is from. ``also_success`` marks what spoils a run even when the worker says that all went well.
    """

    kind: str
    matches: Matcher
    reason: str
    hint: str
    source: str
    also_success: bool = False
