"""The words for what records name by codes, for the page and the terminal alike, and what may be said of a unit."""

from __future__ import annotations

import math

from coremlbench.report.types import FigureKind

KIND_WORDS: dict[FigureKind, str] = {
    "core-ml": "Core ML",
    "host": "host",
    "stand-in": "stand-in, not Core ML",
}
UNIT_WORDS = {
    "CPU_AND_NE": "Neural Engine",
    "CPU_AND_GPU": "GPU",
    "CPU_ONLY": "CPU",
    "ALL": "all units",
    "host-cpu": "host CPU",
    "host-gpu": "host GPU",
}
"""What was asked for."""
RUNTIME_WORDS = {
    "coreml": "Core ML",
    "reference": "ONNX Runtime",
    "tensorflow": "TensorFlow",
}
RATIO = "Neural Engine / GPU"
"""The ratio of two times that all forms tell: below 1 the Neural Engine is the faster one."""
_COREML_UNITS = ("CPU_AND_NE", "CPU_AND_GPU", "CPU_ONLY")


MAX_OUTPUT_ERROR = 0.05
"""The share of the outputs' range that a timed package may miss its expected outputs by, and still be that model.

The expected outputs are the same package's on the reference runtime, so that only arithmetic can differ: float16
there and here is within half a percent in the networks of the catalogue (docs/example-report), a tenth of this. The
thresholds of a proof do not fit: they are decibels over all outputs, and of a timed cell the largest error is known.
"""


def outputs_are_wrong(output_error: float | None) -> bool:
    """Return whether what was timed computed something else than the model; not when its outputs were not compared."""
    return output_error is not None and not output_error <= MAX_OUTPUT_ERROR  # not a number is no small error


def output_error_phrase(output_error: float | None) -> str:
    """Return by how much outputs are wrong: "outputs up to 60% of their range from the expected ones"."""
    if output_error is None or not math.isfinite(output_error):
        return "outputs that are not numbers"
    return f"outputs up to {output_error:.0%} of their range from the expected ones"


def failed_after(rounds: int) -> str:
    """Return "failed", or how far it had come: "failed after 3 rounds"."""
    return "failed" + (f" after {rounds} round{'' if rounds == 1 else 's'}" if rounds else "")


def fallback_note(unit: str, ran_on: str) -> str:
    """Return what is known of where a row ran when it is not plainly the unit asked for; nothing when it is.

    ``ran_on`` is what the compute plan allows to say (``compute_plan.ran_on``). All units ask for none, so there any
    one of them will do.
    """
    if unit.startswith("host-"):
        return ""
    wanted = [UNIT_WORDS[each] for each in _COREML_UNITS if unit in ("ALL", each)]
    return "" if ran_on in wanted else ran_on or "not known"


def unit_label(unit: str, ran_on: str) -> str:
    """Return the unit's name when the row ran there; else what was asked for, and where it was planned, if known.

    Only a plan tells where a row ran: a row without one bears no unit's name.
    """
    name = UNIT_WORDS.get(unit, unit)
    told = fallback_note(unit, ran_on)
    if unit == "ALL" or not told:
        return name
    return ran_on if told.startswith("asked for") else f"asked for the {name} (where it ran is not known)"


def where(unit: str, ran_on: str) -> str:
    """Return the same for the middle of a sentence: "the GPU", "what was asked for the GPU, planned on CPU"."""
    told = unit_label(unit, ran_on)
    if told.startswith("asked for"):
        return f"what was {told}"
    return told if unit == "ALL" else f"the {told}"
