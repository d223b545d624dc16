"""The variants and the outcome of a conversion record, built from the result files of the workers."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from coremlbench.conversion.options import RequestedPackage
from coremlbench.conversion.package_results import CONVERSION_SUFFIX, PROOF_SUFFIX, read_result
from coremlbench.conversion.proof import with_caveats
from coremlbench.conversion.sources import ORIGINAL_MODEL_FILE, RANDOM_PREFIX
from coremlbench.conversion.variant_failures import variant_failure
from coremlbench.conversion.variants import OLDEST_SYSTEMS, neural_engine_note
from coremlbench.system import serialization
from coremlbench.system.files import hash_file, hash_folder
from coremlbench.types.conversion import UNFINISHED_NOTE, Caveat, ConversionRecord, Converted, Proof, Variant
from coremlbench.types.failure import Evidence, Failure

WEIGHT_COMPRESSIONS = ("int8", "palettized-6", "palettized-4")
NOTHING_TO_COMPRESS = Caveat(
    "not-compressed",
    "No weight was compressed: coremltools leaves those of up to 2,048 values as they are, and there are no others.",
)
NO_RESULT = Failure(
    kind="conversion",
    reason="It was not made, for an unknown reason.",
    hint="Run it again; the logs are in the run's folder.",
    evidence=Evidence(phase="convert"),
)
"""The failure of a package for which the worker left neither a file nor an error."""


def with_variants(
    record: ConversionRecord,
    packages: Sequence[RequestedPackage],
    model: Mapping[str, Any],
    restored: Collection[str],
    folder: Path,
) -> ConversionRecord:
    """Return the record with one variant for each package; the packages are moved into the run's folder.

    ``model`` is the result of the conversion worker, empty when it did not finish. ``restored`` are the keys of the
    packages that were restored from the cache.
    """
    source = record.source
    original = folder / ORIGINAL_MODEL_FILE
    if source is not None and source.path.startswith(RANDOM_PREFIX) and original.is_file():
        source = replace(source, path=str(original))
    if source is not None and (not source.classes or source.classes_from):
        names = tuple(model.get("classes", ()))
        source = replace(source, classes=names, classes_from=source.classes_from if names == source.classes else "")
    shared = [serialization.from_json(Caveat, caveat) for caveat in model.get("caveats", ())]
    variants = tuple(_with_caveats(_variant(package, package.key in restored, folder), shared) for package in packages)
    return replace(record, source=source, variants=variants)


def with_outcome(record: ConversionRecord) -> ConversionRecord:
    """Return the record of a complete conversion with its outcome: the numbers of verdicts and failures."""
    verdicts = [variant.proof.verdict for variant in record.variants if variant.proof and not variant.failure]
    return replace(
        record,
        outcome=Converted(
            proven=verdicts.count("proven"),
            degraded=verdicts.count("degraded"),
            wrong=verdicts.count("wrong"),
            failed=sum(1 for variant in record.variants if variant.failure),
            proven_with_caveats=verdicts.count("proven with caveats"),
            not_judged=verdicts.count("not judged"),
        ),
    )


def _variant(package: RequestedPackage, restored: bool, folder: Path) -> Variant:
    conversion = read_result(package.path, CONVERSION_SUFFIX) or {}
    proof = read_result(package.path, PROOF_SUFFIX) or {}
    variant = Variant(
        name=package.variant,  # type: ignore[arg-type]  # a row of VARIANTS, or as-is
        batch=package.batch or int(proof.get("batch", 1)),
        target=OLDEST_SYSTEMS.get(proof.get("specification", 0), package.target),
        seconds=conversion.get("seconds", 0.0),
        reused=restored,
        precision_note=_precision_note(package, proof),
        failure=variant_failure(package, conversion, proof),
        notes=(*conversion.get("notes", ()), *proof.get("notes", ())),
    )
    if not package.path.exists():
        return replace(variant, failure=variant.failure or NO_RESULT)
    return _with_saved_package(variant, package, proof, folder)


def _with_saved_package(variant: Variant, package: RequestedPackage, proof: Mapping[str, Any], folder: Path) -> Variant:
    """Move the package into the run's folder; return the variant with its path, hash, sizes and proof."""
    from coremlbench.conversion.op_statistics import weight_bytes

    saved = folder / package.path.name
    shutil.rmtree(saved, ignore_errors=True)
    shutil.move(package.path, saved)
    digest, size = hash_folder(saved) if saved.is_dir() else (hash_file(saved), saved.stat().st_size)
    onnx = f"{package.path.stem}.onnx"
    caveats = [NOTHING_TO_COMPRESS] if _is_uncompressed(package, proof) else []
    saved_variant = replace(
        variant,
        path=saved.name,
        sha256=digest,
        bytes=size,
        weight_bytes=weight_bytes(saved),
        arithmetic=proof.get("arithmetic"),
        ops=proof.get("ops", {}),
        known_deviations=tuple(proof.get("known_deviations", ())),
        proof=serialization.from_json(Proof, proof["proof"]) if proof.get("proof") else None,
        status="" if proof else "unfinished",
        onnx=onnx if (folder / onnx).is_file() else "",
        notes=(*variant.notes, *_proof_notes(proof), *(() if proof.get("proof") else (each.text for each in caveats))),
    )
    return _with_caveats(saved_variant, caveats)


def _is_uncompressed(package: RequestedPackage, proof: Mapping[str, Any]) -> bool:
    """Return whether a package's weights were to be compressed and none was."""
    ops = proof.get("ops", {})
    return package.variant in WEIGHT_COMPRESSIONS and bool(ops) and not any(op.startswith("constexpr_") for op in ops)


def _with_caveats(variant: Variant, caveats: Sequence[Caveat]) -> Variant:
    """Return the variant with more caveats in its proof; without a proof they become notes."""
    if variant.proof is None:
        return replace(variant, notes=(*variant.notes, *(caveat.text for caveat in caveats)))
    return replace(variant, proof=with_caveats(variant.proof, caveats))


def _proof_notes(proof: Mapping[str, Any]) -> list[str]:
    """Return notes on a package that was not compared."""
    notes = [] if proof else [UNFINISHED_NOTE]
    if proof.get("without_original"):
        accuracy = proof.get("accuracy")
        accuracy_note = "" if accuracy is None else f" Its accuracy on the data is {accuracy:.1%}."
        notes.append(f"There is no original to compare it with.{accuracy_note}")
    return notes


def _precision_note(package: RequestedPackage, proof: Mapping[str, Any]) -> str:
    """Return what the variant's precision means for the Neural Engine.

    For a ready package the note adds what was found in its program, if that could be read.
    """
    note = neural_engine_note(package.variant, proof.get("computes_in", "float16"))  # type: ignore[arg-type]  # as above
    if package.variant == "as-is" and "precision" in proof:
        return f"{note} {neural_engine_note(proof['precision'], proof['computes_in'])}"
    return note
