"""Errors that the worker reported itself, with a message for the user."""

from __future__ import annotations

from coremlbench.failures.matchers import raised
from coremlbench.failures.rules.rule import Retry, Rule

WORKER: tuple[Rule, ...] = (
    Rule(
        "unusable-data",
        raised("UnusableDataError"),
        "{message}",
        "Mend or remove the files that the record names, or use another dataset.",
        "worker",
        retry=Retry.NEVER,
    ),
    Rule(
        "missing-weights",
        raised("MissingWeightsError", "UnreadableNetworkError"),
        "{message}",
        "Run `{doctor}`; it says which weights are here and how to get others.",
        "worker",
        retry=Retry.NEVER,
    ),
    Rule(
        "missing-data",
        raised("DownloadError", "UnavailableError"),
        "{message}",
        "Run `coremlbench datasets`; it says what is here, what to fetch and where to put it.",
        "worker",
        retry=Retry.NEVER,
    ),
    Rule(
        "wrong-output",
        raised("WrongOutputError"),
        "{message}",
        "Its times mean nothing: time it on another compute unit, and convert the model again.",
        "worker",
    ),
    Rule(
        "no-such-unit",
        raised("NoSuchUnitError"),
        "{message}",
        "Time the units that this machine has; a kit takes the model to another.",
        "worker",
    ),
    Rule(
        "input",
        raised("InputError"),
        "{message}",
        "Correct the option or the input and run it again.",
        "worker",
        retry=Retry.NEVER,
    ),
)
