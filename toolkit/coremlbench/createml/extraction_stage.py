"""The feature extraction of a Create ML run: by the pipelined worker, or by Turi Create's own extractor.

The pipelined worker prepares the images in several processes, and ONNX Runtime or Core ML runs the extractor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from coremlbench.createml.augmentation import AUGMENTATION_RANGES, copies_per_image
from coremlbench.createml.engines.protocol import Setup
from coremlbench.createml.extractors import ObtainedExtractor
from coremlbench.createml.network import UnreadableNetworkError, read_network
from coremlbench.createml.run_context import Parts, RunContext
from coremlbench.createml.vision_feature_print import ALL_UNITS
from coremlbench.runs import resume_data
from coremlbench.runs.steps import result_of, with_phase
from coremlbench.types.training_records import TrainingRecord

Method = Literal["pipelined", "turicreate"]


@dataclass(frozen=True)
class Features:
    """A file of feature vectors, float32 (rows, ``length``), and the rows [first, last) of each part in it.

    ``size`` is the (height, width) of the images that the extractor saw. Turi Create's own features have no hash.
    """

    path: Path
    length: int
    parts: Mapping[str, tuple[int, int]]
    size: tuple[int, int]
    sha256: str | None = None


def extract_features(
    run: RunContext, record: TrainingRecord, setup: Setup, parts: Parts
) -> tuple[TrainingRecord, Features]:
    """Extract the features of all images; return the record with the phases of that, and the features.

    Features of a resumed run are reused.

    Raises:
        StageFailedError: a stage failed.
    """
    obtained = setup.obtained
    method, note = _choose_method(run, setup)
    by_core_ml = method == "pipelined" and obtained.weights is None
    ranges = _row_ranges(parts, run.options.augment)
    rows = max(last for _, last in ranges.values())
    ended = run.run_worker("extract", _extract_request(run, record, obtained, parts, method))
    result = result_of(ended)
    reused = result["reused_rows"]
    if reused:
        note = f"{reused:,} of {rows:,} feature vectors are those of the run {record.resumed_from}, and not timed here."
    record = with_phase(record, ended, "extract" if method == "pipelined" else "augment", rows - reused)
    path = run.folder / resume_data.RESUME_DIR / resume_data.FEATURES_FILE
    if method == "turicreate":
        path = run.work / "features.f32"
        record, extracted = _extract_with_turicreate(run, record, setup, path, rows)
        result = {**result, **extracted}
    is_fallback = method != run.options.extraction and obtained.weights is not None
    record = replace(
        record,
        options={
            **record.options,
            "extraction": method,
            **({"units": run.options.units or ALL_UNITS} if by_core_ml else {}),
            "extractions": rows,
            "augmentation ranges": AUGMENTATION_RANGES,
            "network": result.get("network"),
            "features sha256": result.get("features_sha256"),
        },
        notes=(*record.notes, *([note] if note else [])),
        deviations=(*record.deviations, *(["extraction turicreate"] if is_fallback else [])),
        versions={**record.versions, **result.get("versions", {})},
        stand_in=record.stand_in or result.get("stand_in", False),
    )
    return record, Features(path, result["length"], ranges, obtained.extractor.size, result.get("features_sha256"))


def _choose_method(run: RunContext, setup: Setup) -> tuple[Method, str]:
    """Return the method of extraction, and a note if it is not the requested one ("" if it is)."""
    obtained = setup.obtained
    if run.options.extraction == "turicreate":
        return "turicreate", ""
    if obtained.weights is None and setup.core_ml:
        return "pipelined", ""
    if obtained.weights is None:
        return "turicreate", f"{obtained.extractor.name} runs inside macOS only, so Turi Create extracted its features."
    try:
        read_network(obtained.weights)
    except UnreadableNetworkError as error:
        return "turicreate", f"Turi Create extracted the features: {error}"
    return "pipelined", ""


def _row_ranges(parts: Parts, augment: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return the rows [first, last) of each part; a training image has a row for each of its augmented copies."""
    ranges, first = {}, 0
    for name, images in parts.items():
        last = first + len(images) * (copies_per_image(augment) if name == "train" else 1)
        ranges[name], first = (first, last), last
    return ranges


def _extract_request(
    run: RunContext, record: TrainingRecord, obtained: ObtainedExtractor, parts: Parts, method: Method
) -> dict[str, Any]:
    """Return the request to the worker ``extract``, which extracts features or only writes the augmented pixels."""
    dataset_hash = record.dataset and record.dataset.provenance.sha256
    scene = obtained.extractor.scene
    return {
        "folder": str(run.work),
        "resume_folder": str(run.folder / resume_data.RESUME_DIR),
        "origin": [record.machine.id, record.coremlbench, dataset_hash],
        "processes": run.options.processes,
        "size": obtained.extractor.size,
        "network": str(obtained.weights) if method == "pipelined" and obtained.weights is not None else None,
        "core_ml": {"scene": scene, "units": run.options.units or ALL_UNITS}
        if method == "pipelined" and scene
        else None,
        "bgr": obtained.extractor.bgr,
        "parts": [
            {
                "name": name,
                "paths": [str(image.path) for image in images],
                "options": run.options.augment if name == "train" else (),
                "seed": run.options.seed,
            }
            for name, images in parts.items()
        ],
    }


def _extract_with_turicreate(
    run: RunContext, record: TrainingRecord, setup: Setup, path: Path, rows: int
) -> tuple[TrainingRecord, dict[str, Any]]:
    """Let Turi Create write the features of the prepared pixels to ``path``; return the record and its result."""
    obtained, pixels = setup.obtained, run.work / "pixels.u8"
    ended = run.run_turicreate(
        "turicreate-extract",
        setup.tools["turicreate"],
        {
            "task": "extract",
            "extractor": obtained.extractor.name,
            "size": obtained.extractor.size,
            "rows": rows,
            "pixels": str(pixels),
            "features": str(path),
            "scratch": str(_scratch_with_weights(run.work, obtained)),
        },
    )
    pixels.unlink()
    return with_phase(record, ended, "extract", rows), result_of(ended)


def _scratch_with_weights(work: Path, obtained: ObtainedExtractor) -> Path:
    """Create Turi Create's scratch folder, with the extractor's weights where it looks before a download."""
    scratch = work / "turicreate"
    models = scratch / "model_cache"
    models.mkdir(parents=True, exist_ok=True)
    if obtained.weights is not None:
        link = models / obtained.weights.name
        link.unlink(missing_ok=True)
        link.symlink_to(obtained.weights)
    return scratch
