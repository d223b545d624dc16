"""Why a variant could not be made or not be proven, and what to do about it: the advice follows from the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coremlbench.conversion.options import Item
from coremlbench.system import serialization
from coremlbench.types.failure import Evidence, Failure

HINTS_OF_MAKING: tuple[tuple[str, str], ...] = (
    ("--batch", "Leave the other batches out."),
    (r"takes batches of (\d+) only", r"Convert it with --batch \1."),
    (r"^InputError: ", "Another variant or target does not help."),
    (r"^ConversionError: ", "Leave this variant out."),
    ("", "Leave this variant out, or convert to another target."),
)
"""What is found in an error (its type, a colon, what it says) of making a package, and the advice: the first row
that is found. A sentence of our own says the next step itself, and the advice does not repeat it."""

HINTS_OF_EXECUTING: tuple[tuple[str, str], ...] = (
    ("not the same model", "Compare it with the model that it was made from."),
    ("gives no number", "Mend the model, or compare it on other data: --data."),
    (r"^CoremlbenchError: ", "Compare it with the model that it was made from, on data that it is made for: --data."),
    (r"^InputError: ", "Nothing is known of what it computes."),
    (r"on a Mac", "Core ML itself may well execute it: nothing was found against it."),
    ("", "Run it on a Mac: Core ML itself may well execute it."),
)
"""The same for executing a package and comparing it with its original."""


def failure_of(item: Item, told: Mapping[str, Any], proven: Mapping[str, Any]) -> Failure | None:
    """Return why a variant could not be made or not be proven, by what the children told of it."""
    for content in (told, proven):
        if "failure" in content:
            return serialization.from_json(Failure, content["failure"])
    if "error" in told:
        return _failure("conversion", "convert", "It could not be made", told["error"], HINTS_OF_MAKING, item)
    if "error" in proven:
        compared = proven["error"]["type"] == "CoremlbenchError"
        what = f"could not be {'compared' if compared else 'executed here'}"
        reason = f"It {what}" if item.copy else f"It was saved, but {what}"
        return _failure("proof", "prove", reason, proven["error"], HINTS_OF_EXECUTING, item)
    return None


def _failure(
    kind: str, phase: str, what: str, error: Mapping[str, str], hints: tuple[tuple[str, str], ...], item: Item
) -> Failure:
    """Return the failure; a package of the user's is called by its own name, not by that of its copy."""
    message = error["message"].replace(item.package.name, Path(item.copy).name) if item.copy else error["message"]
    exception = f"{error['type']}: {message}"
    pattern, hint = next(row for row in hints if re.search(row[0], exception))
    found = re.search(pattern, exception)
    assert found is not None
    return Failure(
        kind=kind, reason=f"{what}: {message}", hint=found.expand(hint), evidence=Evidence(phase, exception=exception)
    )
