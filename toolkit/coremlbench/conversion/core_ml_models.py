"""Core ML models that only Core ML executes, such as neural networks: copied for timing, and compared with nothing.

Of a model that begins with an extractor that is part of macOS, the rest may be compared; see ``feature_prints``.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from coremlbench.conversion.feature_prints import begins_with_feature_print, judge_feature_print, notes_of_training
from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.outcome import with_outcome
from coremlbench.conversion.sources import PACKAGE_FORMATS
from coremlbench.conversion.variants import AS_IS_NOTE
from coremlbench.model_files.core_ml_kinds import ML_PROGRAM, core_ml_kind, describe_kind
from coremlbench.runs.stages import Stages
from coremlbench.system.files import hash_path, slug
from coremlbench.types.conversion import ConversionRecord, ModelSource, Variant


def is_only_for_core_ml(source: ModelSource, options: ConvertOptions) -> bool:
    """Return whether only Core ML executes a model, so that it is neither converted nor proven."""
    if begins_with_feature_print(source, options):
        return True
    if not options.only_core_ml or source.format not in PACKAGE_FORMATS:
        return False
    return core_ml_kind(Path(source.path)) not in {"", ML_PROGRAM}


def copy_model(
    source: ModelSource, options: ConvertOptions, record: ConversionRecord, folder: Path, stages: Stages
) -> ConversionRecord:
    """Return the record of a model that is only copied into the run's folder, marked as not compared or not judged.

    With ``options.check`` it is that package which is copied.

    Raises:
        StageFailedError: the comparison of a part of it failed.
    """
    original = Path(options.check or source.path)
    proof = judge_feature_print(source, options, stages) if begins_with_feature_print(source, options) else None
    copy = folder / f"{slug(source.name)}-as-is{original.suffix}"
    if original.is_dir():
        shutil.copytree(original, copy)
        size = sum(file.stat().st_size for file in copy.rglob("*") if file.is_file())
    else:
        shutil.copyfile(original, copy)
        size = copy.stat().st_size
    kind = describe_kind(core_ml_kind(original))
    notes: tuple[str, ...] = (f"{original.name} {kind}, and only Core ML executes it.",)
    if proof:
        notes = notes_of_training(source, options)
    variant = Variant(
        name="as-is",
        batch=1,
        path=copy.name,
        sha256=hash_path(copy),
        bytes=size,
        precision_note=AS_IS_NOTE,
        notes=notes,
        proof=proof,
        only_core_ml=True,
    )
    record_notes = record.notes if proof else (*record.notes, *notes)
    return with_outcome(replace(record, source=source, variants=(variant,), notes=record_notes))
