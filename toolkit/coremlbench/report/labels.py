"""Words for codes in records, for the report and the terminal, and the rule when a row is named after a unit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from coremlbench.report.types import FigureKind
from coremlbench.system.formatting import format_count
from coremlbench.timing.statistics import CONFIDENCE_LEVEL
from coremlbench.types.conversion import MIN_SNR_DB, ConversionRecord, Converted
from coremlbench.types.failure import Failure
from coremlbench.types.records import Record
from coremlbench.types.timing import Timed
from coremlbench.types.training_records import Trained

KIND_LABELS: dict[FigureKind, str] = {
    "core-ml": "Core ML",
    "host": "host",
    "stand-in": "stand-in, not Core ML",
}
UNIT_LABELS = {
    "CPU_AND_NE": "Neural Engine",
    "CPU_AND_GPU": "GPU",
    "CPU_ONLY": "CPU",
    "ALL": "all units",
    "host-cpu": "host CPU",
    "host-gpu": "host GPU",
}
"""The names of requested compute units."""
RUNTIME_LABELS = {
    "coreml": "Core ML",
    "reference": "ONNX Runtime",
    "tensorflow": "TensorFlow",
}
NO_VERDICT = ""
"""The verdict in a row of a package without a proof; it is shown as a dash."""
CAVEAT_LABELS = {"few-images": "few samples"}
"""Words for caveats that say more than their code: samples need not be images."""
LEVEL_LABEL = f"{CONFIDENCE_LEVEL:.0%} interval"
"""The interval of times and ratios, by the level at which it is computed."""
RATIO_LABEL = "Neural Engine / GPU"
"""The ratio of two times in all reports: below 1 the Neural Engine is faster."""
_COREML_UNITS = ("CPU_AND_NE", "CPU_AND_GPU", "CPU_ONLY")


MAX_OUTPUT_ERROR = 0.05
"""The largest error of a timed package's outputs, as a share of their range, at which its times count.

The expected outputs are those of the same package on the reference runtime, so that only the arithmetic differs. For
the networks of the catalogue float16 on both sides is within half a percent (docs/example-report), a tenth of this.
The thresholds of a proof do not apply: they are decibels over all outputs, and a timed cell has only the largest error.
"""


def outputs_are_wrong(output_error: float | None) -> bool:
    """Return whether the error exceeds ``MAX_OUTPUT_ERROR`` or is NaN; ``None`` means not compared and gives False."""
    return output_error is not None and not output_error <= MAX_OUTPUT_ERROR  # NaN compares as False


def output_error_phrase(output_error: float | None) -> str:
    """Return, for instance, "outputs up to 60% of their range from the expected ones"."""
    if output_error is None or not math.isfinite(output_error):
        return "outputs that are not numbers"
    return f"outputs up to {output_error:.0%} of their range from the expected ones"


def failed_after(rounds: int) -> str:
    """Return "failed", or "failed after 3 rounds" if there were successful rounds before."""
    return "failed" + (f" after {format_count(rounds, 'round')}" if rounds else "")


def conversion_label(record: ConversionRecord) -> str:
    """Return the numbers of a conversion's packages by verdict, or by status where there is none."""
    counts = dict(record.outcome.counts) if isinstance(record.outcome, Converted) else {}
    without_verdict = Counter(
        variant.status for variant in record.variants if variant.proof is None and variant.failure is None
    )
    return ", ".join(f"{count} {label}" for label, count in (counts | without_verdict).items()) or "no variant"


def outcome_label(record: Record) -> str:
    """Return a run's outcome: "trained", "failed: memory-limit", "3 cells timed, 0 failed"."""
    outcome = record.outcome
    if isinstance(outcome, Failure):
        return "not ended yet" if outcome.kind == "running" else f"failed: {outcome.kind}"
    if isinstance(outcome, Trained):
        return "trained"
    if isinstance(record, ConversionRecord):
        return conversion_label(record)
    assert isinstance(outcome, Timed)
    return f"{format_count(outcome.cells, 'cell')} timed, {outcome.failed} failed"


def signal_to_noise_label(ratio: float | None, images: int) -> str:
    """Return a proof's signal-to-noise ratio, "∞ dB" without any noise, "none" without any signal.

    It is a dash where no image was compared.
    """
    if not images:
        return "–"
    if ratio is None:
        return "∞ dB"
    return "none" if ratio <= MIN_SNR_DB else f"{ratio:.0f} dB"


def verdict_with_caveats(verdict: str, caveat_codes: Sequence[str]) -> str:
    """Return a verdict and a few words on each caveat: "proven with caveats (few samples, random inputs)"."""
    names = ", ".join(dict.fromkeys(CAVEAT_LABELS.get(code, code.replace("-", " ")) for code in caveat_codes))
    return f"{verdict} ({names})" if names else verdict


def fallback_note(unit: str, ran_on: str) -> str:
    """Return where a row ran if that is not the requested unit, "not known" without a compute plan, else "".

    ``ran_on`` is the text of ``compute_plan.ran_on``. For ``ALL`` any single unit is as requested.
    """
    if unit.startswith("host-"):
        return ""
    expected = [UNIT_LABELS[name] for name in _COREML_UNITS if unit in ("ALL", name)]
    return "" if ran_on in expected else ran_on or "not known"


def unit_label(unit: str, ran_on: str) -> str:
    """Return the unit's name if the row ran there, else the requested unit and where it was planned, if known.

    Only a compute plan shows where a row ran: a row without one is not named after a unit.
    """
    name = UNIT_LABELS.get(unit, unit)
    note = fallback_note(unit, ran_on)
    if unit == "ALL" or not note:
        return name
    return ran_on if _names_request(note) else f"asked for the {name} (where it ran is not known)"


def unit_phrase(unit: str, ran_on: str) -> str:
    """Return ``unit_label`` for the middle of a sentence: "the GPU", "what was asked for the GPU, planned on CPU"."""
    label = unit_label(unit, ran_on)
    if _names_request(label):
        return f"what was {label}"
    return label if unit == "ALL" else f"the {label}"


def _names_request(label: str) -> bool:
    """Return whether a text of ``compute_plan.ran_on`` or ``unit_label`` says that another unit was requested.

    Records hold where a row ran as this text only.
    """
    return label.startswith("asked for")
