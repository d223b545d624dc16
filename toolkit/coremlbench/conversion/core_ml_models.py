"""Core ML models that only Core ML executes, such as neural networks: copied for timing, and compared with nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from coremlbench.conversion.options import ConvertOptions
from coremlbench.conversion.sources import PACKAGE_FORMATS
from coremlbench.conversion.variants import AS_IS_NOTE
from coremlbench.model_files.core_ml_kinds import ML_PROGRAM, core_ml_kind, describe_kind
from coremlbench.system.files import hash_path, slug
from coremlbench.types.conversion import ConversionRecord, Converted, ModelSource, Variant


def is_only_for_core_ml(source: ModelSource, options: ConvertOptions) -> bool:
    """Return whether a model was admitted that only Core ML executes, so that it is neither converted nor proven."""
    if not options.only_core_ml or source.format not in PACKAGE_FORMATS:
        return False
    return core_ml_kind(Path(source.path)) not in {"", ML_PROGRAM}


def copy_model(source: ModelSource, record: ConversionRecord, folder: Path) -> ConversionRecord:
    """Return the record of a model that is only copied into the run's folder, marked as not compared."""
    original = Path(source.path)
    copy = folder / f"{slug(source.name)}-as-is{original.suffix}"
    if original.is_dir():
        shutil.copytree(original, copy)
        size = sum(file.stat().st_size for file in copy.rglob("*") if file.is_file())
    else:
        shutil.copyfile(original, copy)
        size = copy.stat().st_size
    kind = describe_kind(core_ml_kind(original))
    note = f"Not compared: {original.name} {kind}, and only Core ML executes it."
    variant = Variant(
        name="as-is",
        batch=1,
        path=copy.name,
        sha256=hash_path(copy),
        bytes=size,
        precision_note=AS_IS_NOTE,
        notes=(note,),
        only_core_ml=True,
    )
    outcome = Converted(proven=0, degraded=0, wrong=0, failed=0)
    return replace(record, source=source, variants=(variant,), notes=(*record.notes, note), outcome=outcome)
