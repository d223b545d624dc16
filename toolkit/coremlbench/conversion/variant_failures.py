"""The failure of a variant that could not be converted or compared, with a hint chosen by the error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coremlbench.conversion.options import RequestedPackage
from coremlbench.system import serialization
from coremlbench.types.failure import Evidence, Failure

Hints = tuple[tuple[str, str], ...]
"""Rows of a regular expression and a hint; the first row that matches ``Type: message`` of an error is used."""

CONVERSION_HINTS: Hints = (
    ("--batch", "Leave the other batches out."),
    (r"takes batches of (\d+) only", r"Convert it with --batch \1."),
    (r"--target (macOS\d+)", r"Convert it with --target \1."),
    (r"^InputError: ", "Another variant or target does not help."),
    (r"^ConversionError: ", "Leave this variant out."),
    ("", "No remedy is known; report it to coremltools with the model."),
)
"""Hints for errors of the conversion. Messages of this toolkit name the next step; the hint does not repeat it."""

PROOF_HINTS: Hints = (
    ("not the same model", "Compare it with the model that it was made from."),
    ("gives no number", "Correct the model, or compare it on other data: --data."),
    (r"^CoremlbenchError: ", "Compare it with the model that it was made from, on data that it is made for: --data."),
    (r"^InputError: ", "Its outputs are not known."),
    (r"on a Mac", "Core ML itself may execute it: no error was found in it."),
    ("", "Run it on a Mac: Core ML itself may execute it."),
)
"""Hints for errors of executing a package on the reference runtime and comparing it with its original."""


def variant_failure(
    package: RequestedPackage, conversion: Mapping[str, Any], proof: Mapping[str, Any]
) -> Failure | None:
    """Return the failure of a variant, ``None`` when there is none.

    ``conversion`` and ``proof`` are the contents of the package's result files: ``failure`` is that of a crashed
    worker, ``error`` an exception that the worker caught.
    """
    for result in (conversion, proof):
        if "failure" in result:
            return serialization.from_json(Failure, result["failure"])
    if "error" in conversion:
        error = conversion["error"]
        return _failure("conversion", "convert", "It could not be made", error, CONVERSION_HINTS, package)
    if "error" in proof:
        compared = proof["error"]["type"] == "CoremlbenchError"
        what = f"could not be {'compared' if compared else 'executed here'}"
        summary = f"It {what}" if package.ready_package else f"It was saved, but {what}"
        return _failure("proof", "prove", summary, proof["error"], PROOF_HINTS, package)
    return None


def _failure(
    kind: str, phase: str, summary: str, error: Mapping[str, str], hints: Hints, package: RequestedPackage
) -> Failure:
    """Return the failure; a ready package is called by its own file name, not by that of its copy."""
    message = error["message"]
    if package.ready_package:
        message = message.replace(package.path.name, Path(package.ready_package).name)
    exception = f"{error['type']}: {message}"
    stop = "" if message.endswith((".", "!", "?")) else "."  # before the hint
    return Failure(
        kind=kind,
        reason=f"{summary}: {message}{stop}",
        hint=_hint(exception, hints),
        evidence=Evidence(phase, exception=exception),
    )


def _hint(exception: str, hints: Hints) -> str:
    """Return the hint of the first row that matches; the last row of each table matches everything."""
    matches = ((re.search(pattern, exception), hint) for pattern, hint in hints)
    return next(match.expand(hint) for match, hint in matches if match is not None)
