"""From conversions to what a matrix times: proven packages, each with the network it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from coremlbench.conversion.outcome import NOT_COMPARED
from coremlbench.timing.plan import Package, Subject
from coremlbench.types.conversion import ConversionRecord, Variant
from coremlbench.types.failure import Failure
from coremlbench.types.timing import TimedModel

ORIGINALS = ("keras", "h5", "saved-model")
"""The formats that TensorFlow loads."""

KEPT = "original.keras"
"""Where a conversion keeps a network with random weights."""


def subject_of(conversions: Sequence[tuple[ConversionRecord, Path]]) -> Subject:
    """Return the packages of conversions, without those that failed or whose outputs are wrong; notes say which.

    A wrong package computes something else than its model, so its times would be those of something else.
    """
    models, packages, notes = [], [], []
    taken: Counter[str] = Counter()
    for record, folder in conversions:
        if isinstance(record.outcome, Failure) and not record.variants:
            notes.append(f"{record.options.get('model', record.experiment)} was not timed: {record.outcome.reason}")
        if record.source is None:
            continue
        taken[record.source.name] += 1
        number = taken[record.source.name]
        name = record.source.name if number == 1 else f"{record.source.name} ({number})"
        usable = []
        for variant in record.variants:
            reason = _why_not(variant)
            if reason:
                notes.append(f"{name} {variant.name} was not timed: {reason}")
            else:
                usable.append(variant)
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
        original = _original(record, folder)
        packages += [Package(name, variant, folder / variant.path, original) for variant in usable]
    return Subject(tuple(models), tuple(packages), notes=tuple(notes))


def _why_not(variant: Variant) -> str:
    if variant.failure is not None:
        return variant.failure.reason
    if not variant.path:
        return "there is no package."
    if NOT_COMPARED in variant.notes:
        return "the conversion ended before it was compared with its original."
    if variant.proof is not None and variant.proof.verdict == "wrong":
        return f"its outputs are wrong ({variant.proof.reason})."
    return ""


def _original(record: ConversionRecord, folder: Path) -> Path | None:
    """Return the network that TensorFlow can load; one with random weights was kept by the conversion."""
    source = record.source
    if source is None or source.format not in ORIGINALS:
        return None
    path = folder / KEPT if source.kind == "random-weights" else Path(source.path)
    return path if path.exists() else None
