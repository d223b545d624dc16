"""Select the packages of conversions that a matrix times, each with the network it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from coremlbench.timing.plan import TimedPackage, TimingInput
from coremlbench.types.conversion import ConversionRecord, Variant
from coremlbench.types.failure import Failure
from coremlbench.types.timing import TimedModel

TENSORFLOW_FORMATS = ("keras", "h5", "keras-2", "saved-model")
"""The formats of originals that TensorFlow loads."""

ORIGINAL_MODEL_FILE = "original.keras"
"""The file in a conversion's folder that holds a network with random weights."""


def select_packages(conversions: Sequence[tuple[ConversionRecord, Path]]) -> TimingInput:
    """Return the packages of conversions (record and folder) that can be timed; notes name those that cannot.

    Packages that failed are left out, and so are packages with wrong outputs: they compute something else than their
    model, so their times would be meaningless.
    """
    models, packages, notes = [], [], []
    uses: Counter[str] = Counter()
    for record, folder in conversions:
        if isinstance(record.outcome, Failure) and not record.variants:
            notes.append(f"{record.options.get('model', record.experiment)} was not timed: {record.outcome.reason}")
        if record.source is None:
            continue
        uses[record.source.name] += 1
        count = uses[record.source.name]
        name = record.source.name if count == 1 else f"{record.source.name} ({count})"
        reasons = [_exclusion_reason(variant) for variant in record.variants]
        notes += [
            f"{name} {variant.name} was not timed: {reason}"
            for variant, reason in zip(record.variants, reasons, strict=True)
            if reason
        ]
        usable = [variant for variant, reason in zip(record.variants, reasons, strict=True) if not reason]
        if not usable:
            continue
        models.append(
            TimedModel(
                name=name,
                source=record.source,
                variants=tuple(usable),
                conversion_run=record.id,
                note=record.source.note,
            )
        )
        original = _find_original(record, folder)
        packages += [
            TimedPackage(name, variant, folder / variant.path, original, file_options=record.source.file_options)
            for variant in usable
        ]
    return TimingInput(tuple(models), tuple(packages), notes=tuple(notes))


def _exclusion_reason(variant: Variant) -> str:
    """Return why a package is not timed, "" when it is."""
    if variant.failure is not None:
        return variant.failure.reason
    if not variant.path:
        return "there is no package."
    if variant.status == "unfinished":
        return "the conversion ended before it was compared with its original."
    if variant.proof is not None and variant.proof.verdict == "wrong":
        return f"its outputs are wrong ({variant.proof.reason})."
    return ""


def _find_original(record: ConversionRecord, folder: Path) -> Path | None:
    """Return the file or folder that TensorFlow can load, ``None`` when there is none."""
    source = record.source
    if source is None or source.format not in TENSORFLOW_FORMATS:
        return None
    path = folder / ORIGINAL_MODEL_FILE if source.kind == "random-weights" else Path(source.path)
    return path if path.exists() else None
