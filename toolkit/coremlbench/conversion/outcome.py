"""What a conversion leaves: each package's figures and failures, read beside it, become the record's variants."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from coremlbench.conversion.options import Item
from coremlbench.conversion.package_results import MADE, PROVEN, read_told
from coremlbench.conversion.sources import RANDOM
from coremlbench.conversion.variant_failures import failure_of
from coremlbench.conversion.variants import SYSTEMS, note_of
from coremlbench.system import serialization
from coremlbench.system.files import hash_file, hash_folder
from coremlbench.types.conversion import ConversionRecord, Converted, Proof, Variant
from coremlbench.types.failure import Evidence, Failure

NOTHING_TO_COMPRESS = (
    "No weight was compressed: coremltools leaves those of up to 2,048 values as they are, and there are no others."
)

NOT_COMPARED = "Not compared: the conversion ended before its turn."
NOT_MADE = Failure(
    kind="conversion",
    reason="It was not made, and nothing says why.",
    hint="Run it again; the logs are in the run's folder.",
    evidence=Evidence(phase="convert"),
)


def with_variants(
    record: ConversionRecord,
    items: Sequence[Item],
    model: Mapping[str, Any],
    reused: Mapping[str, Any],
    folder: Path,
) -> ConversionRecord:
    """Return the record with what is known of each item; the packages move into the run's folder.

    ``model`` is what the converting child said of the model, nothing when it did not come to its end.
    """
    source = record.source
    if source is not None and source.path.startswith(RANDOM) and (folder / "original.keras").is_file():
        source = replace(source, path=str(folder / "original.keras"))
    if source is not None and not source.classes:
        source = replace(source, classes=tuple(model.get("classes", ())))
    return replace(record, source=source, variants=tuple(_variant(item, item.key in reused, folder) for item in items))


def finished(record: ConversionRecord) -> ConversionRecord:
    """Return the record of a conversion that came to its end: its variants, counted by what became of them."""
    verdicts = [variant.proof.verdict for variant in record.variants if variant.proof and not variant.failure]
    return replace(
        record,
        outcome=Converted(
            proven=verdicts.count("proven"),
            degraded=verdicts.count("degraded"),
            wrong=verdicts.count("wrong"),
            failed=sum(1 for variant in record.variants if variant.failure),
        ),
    )


def _variant(item: Item, reused: bool, folder: Path) -> Variant:
    from coremlbench.conversion.op_statistics import weight_bytes

    told, proven = read_told(item.package, MADE) or {}, read_told(item.package, PROVEN) or {}
    variant = Variant(
        name=item.variant,  # type: ignore[arg-type]  # a row of VARIANTS, or as-is
        batch=item.batch or int(proven.get("batch", 1)),
        target=SYSTEMS.get(proven.get("specification", 0), item.target),
        seconds=told.get("seconds", 0.0),
        reused=reused,
        precision_note=_precision_note(item, proven),
        failure=failure_of(item, told, proven),
        notes=(*told.get("notes", ()), *proven.get("notes", ())),
    )
    if not item.package.exists():
        return replace(variant, failure=variant.failure or NOT_MADE)
    if not proven:
        variant = replace(variant, notes=(*variant.notes, NOT_COMPARED))
    saved = folder / item.package.name
    shutil.rmtree(saved, ignore_errors=True)
    shutil.move(item.package, saved)
    digest, size = hash_folder(saved) if saved.is_dir() else (hash_file(saved), saved.stat().st_size)
    onnx = f"{item.package.stem}.onnx"
    if proven.get("alone"):
        right = proven.get("accuracy")
        said = "" if right is None else f" Its accuracy on the data is {right:.1%}."
        variant = replace(variant, notes=(*variant.notes, f"There is no original to compare it with.{said}"))
    ops = proven.get("ops", {})
    if item.variant in {"int8", "palettized-6", "palettized-4"} and ops and not any(map(_is_compressed, ops)):
        variant = replace(variant, notes=(*variant.notes, NOTHING_TO_COMPRESS))
    return replace(
        variant,
        path=saved.name,
        sha256=digest,
        bytes=size,
        weight_bytes=weight_bytes(saved),
        arithmetic=proven.get("arithmetic"),
        ops=ops,
        proof=serialization.from_json(Proof, proven["proof"]) if proven.get("proof") else None,
        onnx=onnx if (folder / onnx).is_file() else "",
    )


def _precision_note(item: Item, proven: Mapping[str, Any]) -> str:
    """Return what the precision means for the Neural Engine: that of the package itself, where it could be read."""
    note = note_of(item.variant, proven.get("computes_in", "float16"))  # type: ignore[arg-type]  # as above
    if item.variant == "as-is" and "precision" in proven:
        return f"{note} {note_of(proven['precision'], proven['computes_in'])}"
    return note


def _is_compressed(kind: str) -> bool:
    return kind.startswith("constexpr_")
