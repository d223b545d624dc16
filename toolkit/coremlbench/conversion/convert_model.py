"""The conversion of one model: load its data, convert it, compare the packages with it, record the results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coremlbench.conversion import cache as conversion_cache
from coremlbench.conversion.core_ml_models import copy_model, is_only_for_core_ml
from coremlbench.conversion.crash_isolation import (
    CONVERT,
    PROVE,
    SILENCE_LIMITS,
    STOPPED_KINDS,
    run_isolating_crashes,
)
from coremlbench.conversion.options import ConvertOptions, RequestedPackage
from coremlbench.conversion.outcome import with_outcome, with_variants
from coremlbench.conversion.package_results import CONVERSION_SUFFIX, PROOF_SUFFIX, read_result, write_result
from coremlbench.conversion.proof import InputKind
from coremlbench.conversion.requested_packages import (
    CALIBRATION_IMAGES,
    package_metadata,
    packages_to_make,
    skipped_notes,
    worker_requests,
)
from coremlbench.conversion.sources import ORIGINAL_MODEL_FILE, RANDOM_PREFIX
from coremlbench.conversion.variants import DEFAULT_TARGET, find_variants
from coremlbench.experiments.catalogue import EXPERIMENTS
from coremlbench.runs import store
from coremlbench.runs.stages import StageFailedError, Stages
from coremlbench.runs.steps import result_of, worker
from coremlbench.system import serialization
from coremlbench.system.signals import deferred_signals
from coremlbench.types.conversion import ConversionRecord, ModelSource
from coremlbench.types.data import Provenance
from coremlbench.types.training_records import Phase, TrainingRecord

Save = Callable[[ConversionRecord], None]


@dataclass(frozen=True)
class _Conversion:
    """What all steps of one conversion share. ``folder`` is the run's; ``save`` writes its record."""

    source: ModelSource
    options: ConvertOptions
    folder: Path
    cache: Path
    stages: Stages
    save: Save


def convert_one(
    source: ModelSource,
    options: ConvertOptions,
    record: ConversionRecord,
    folder: Path,
    cache: Path,
    stages: Stages,
    save: Save,
    *,
    keep_going: bool,
) -> ConversionRecord:
    """Return the record of one model; its packages are left in ``folder``.

    With ``keep_going`` a model that cannot be opened gives a failed record instead of an exception, so that other
    models can follow.

    Raises:
        StageFailedError: a stage failed as a whole; the results of single packages were saved before.
    """
    if is_only_for_core_ml(source, options):
        return copy_model(source, options, record, folder, stages)
    conversion = _Conversion(source, options, folder, cache, stages, save)
    record = replace(record, source=source)
    save(record)
    try:
        record, data = _load_data(conversion, record)
        packages = packages_to_make(source, options, data, cache, stages.work)
        record = replace(record, notes=(*record.notes, *skipped_notes(source, options)))
        save(record)
        request = _conversion_request(conversion, data, packages)
        restored = {package.key for package in packages if _restore_from_cache(package)}
        return _convert_and_prove(conversion, record, packages, request, restored)
    except StageFailedError as failed:
        if keep_going and (failed.ended.error or {}).get("type") == "InputError":
            return replace(record, outcome=failed.failure)
        raise


def _convert_and_prove(
    conversion: _Conversion,
    record: ConversionRecord,
    packages: Sequence[RequestedPackage],
    request: Mapping[str, Any],
    restored: Collection[str],
) -> ConversionRecord:
    """Return the record with all variants; when a stage fails as a whole, the variants made so far are saved.

    Signals are deferred while results are saved: a second Ctrl-C would lose them.
    """
    model: dict[str, Any] = {}
    try:
        record, model = _convert(conversion, record, packages, request, restored)
        conversion.save(record)
        record = _prove(conversion, record, packages, request, model)
    except (StageFailedError, OSError, KeyboardInterrupt):
        made = [package for package in packages if read_result(package.path, CONVERSION_SUFFIX) is not None]
        with deferred_signals(), suppress(OSError):  # report the first error, not a disk that is full as well
            conversion.save(with_variants(record, made, model, restored, conversion.folder))
        raise
    with deferred_signals():
        record = with_outcome(with_variants(record, packages, model, restored, conversion.folder))
        conversion.save(record)
    return record


# --- data ---------------------------------------------------------------------------------------------------


def _load_data(conversion: _Conversion, record: ConversionRecord) -> tuple[ConversionRecord, dict[str, Any]]:
    """Return the record with the provenance of the data, and the data's part of the worker request.

    Without data, or when the training's data are gone, random inputs are used.
    """
    if conversion.source.format == "npz":
        return record, {"kind": "recorded"}
    request = _data_request(conversion)
    if request is None:
        return record, {"kind": "random"}
    request["needed"] = needed_images(conversion.options)
    try:
        ended = conversion.stages.run("data", worker("data"), request, silence=SILENCE_LIMITS["data"])
    except StageFailedError as failed:
        if conversion.options.data or failed.failure.kind in STOPPED_KINDS:
            raise
        note = f"The training data are not available any more, so random inputs are compared: {failed.failure.reason}"
        return replace(record, notes=(*record.notes, note)), {"kind": "random"}
    result = result_of(ended)
    record = replace(
        record,
        data=serialization.from_json(Provenance, result["provenance"]),
        phases=(*record.phases, Phase("data", ended.seconds, 0, ended.peak_bytes)),
    )
    if "test_images" in result:
        return record, {"kind": "arrays", **result}
    images = {split: [[image["path"], image["label"]] for image in result[split]] for split in ("train", "test")}
    return record, {"kind": "images", **{name: result[name] for name in ("name", "classes", "provenance")}, **images}


def _data_request(conversion: _Conversion) -> dict[str, Any] | None:
    """Return the request to the data worker for ``--data`` or the training's data; ``None`` where there are none."""
    source, options = conversion.source, conversion.options
    if options.data:
        return _named_data_request(options.data, options, conversion.cache)
    if source.kind != "training-run":
        return None
    training = store.load(Path(source.path).parent)
    assert isinstance(training, TrainingRecord)
    dataset = training.options["dataset"]
    return {
        "cache": str(conversion.cache / "datasets"),
        "dataset": dataset,
        "source": options.sources.get(dataset) or training.options.get("source"),
        "train": training.options["train"],
        "test": training.options["test"],
        "seed": training.options["seed"],
    }


def needed_images(options: ConvertOptions) -> tuple[int, int]:
    """Return how many training images a conversion reads, for the ranges of activations, and how many test images."""
    calibrated = any(variant.compression == "int8-activations" for variant in find_variants(options.variants))
    return (CALIBRATION_IMAGES if calibrated else 0), options.images


def _named_data_request(dataset: str, options: ConvertOptions, cache: Path) -> dict[str, Any]:
    """Return the request for the data named by ``--data``; datasets of arrays are read as their experiment does."""
    experiment = next((experiment for experiment in EXPERIMENTS if experiment.dataset == dataset), None)
    arrays = experiment is not None and experiment.takes == "arrays"
    return {
        "cache": str(cache / "datasets"),
        "dataset": dataset,
        "source": options.sources.get(dataset),
        "train": experiment.train if experiment and arrays else None,
        "test": experiment.test if experiment and arrays else None,
        "seed": options.seed,
    }


# --- conversion ---------------------------------------------------------------------------------------------


def _conversion_request(
    conversion: _Conversion, data: Mapping[str, Any], packages: Sequence[RequestedPackage]
) -> dict[str, Any]:
    """Return the request to the conversion worker; the folder for its files is created."""
    source, options = conversion.source, conversion.options
    model = conversion.stages.work / "model"
    model.mkdir(parents=True, exist_ok=True)
    random_weights = source.path.startswith(RANDOM_PREFIX)
    return {
        "source": serialization.to_json(source),
        "settings": {
            "allow_code": options.allow_code,
            "scale": options.scale,
            "input_shape": options.input_shape,
            "signature": options.signature,
            "custom_objects": options.custom_objects,
            "data": {"name": data["name"], "classes": data["classes"]} if "classes" in data else None,
            "cache": str(conversion.cache),
            "save_model": str(conversion.folder / ORIGINAL_MODEL_FILE) if random_weights else None,
            "package": options.check,
        },
        "data": dict(data),
        "images": options.images,
        "calibration": CALIBRATION_IMAGES,
        "seed": options.seed,
        "folder": str(model),
        "metadata": package_metadata(source),
        "variants": worker_requests(packages),
    }


def _restore_from_cache(package: RequestedPackage) -> bool:
    """Copy a package and its result from the cache; return whether it was there."""
    result = conversion_cache.restore(package.cache_entry, package.path) if package.cache_entry else None
    if result is None:
        return False
    write_result(package.path, CONVERSION_SUFFIX, result)
    return True


def _convert(
    conversion: _Conversion,
    record: ConversionRecord,
    packages: Sequence[RequestedPackage],
    request: Mapping[str, Any],
    restored: Collection[str],
) -> tuple[ConversionRecord, dict[str, Any]]:
    """Run the conversion worker; return the record with this phase, and the worker's result on the model."""
    stages = conversion.stages
    try:
        ended = run_isolating_crashes(CONVERT, packages, request, stages)
    finally:  # finished packages are cached also when the rest was interrupted or failed
        _add_to_cache([package for package in packages if package.key not in restored])
    model = result_of(ended)
    return replace(
        record,
        input_shape=tuple(model["shape"]),
        versions={**record.versions, **model["versions"]},
        notes=(*record.notes, *model["notes"]),
        phases=(*record.phases, Phase("convert", ended.seconds, len(packages), ended.peak_bytes)),
        peak_bytes=max(record.peak_bytes, stages.peak_bytes),
    ), model


def _add_to_cache(packages: Sequence[RequestedPackage]) -> None:
    """Add the packages that were converted without an error to the cache; a damaged entry is replaced."""
    for package in packages:
        result = read_result(package.path, CONVERSION_SUFFIX)
        if package.cache_entry and result and "error" not in result and "failure" not in result:
            conversion_cache.add(package.cache_entry, package.path, result)


# --- proof --------------------------------------------------------------------------------------------------


def _prove(
    conversion: _Conversion,
    record: ConversionRecord,
    packages: Sequence[RequestedPackage],
    request: Mapping[str, Any],
    model: Mapping[str, Any],
) -> ConversionRecord:
    """Run the proof worker, and the bisection for wrong packages; return the record with this phase."""
    made = [package for package in packages if package.path.exists()]
    if not made:
        return record
    stages = conversion.stages
    ended = run_isolating_crashes(PROVE, made, _proof_request(conversion, made, request, model), stages)
    seconds = ended.seconds
    wrong = [package for package in made if _values_wrong(package)]
    if wrong:
        seconds += _bisect(wrong, request, stages)
    return replace(
        record,
        versions={**record.versions, **result_of(ended)["versions"]},
        phases=(*record.phases, Phase("prove", seconds, int(model["images"]) * len(made), ended.peak_bytes)),
        peak_bytes=max(record.peak_bytes, stages.peak_bytes),
    )


def _proof_request(
    conversion: _Conversion, made: Sequence[RequestedPackage], request: Mapping[str, Any], model: Mapping[str, Any]
) -> dict[str, Any]:
    onnx = {
        package.key: str(conversion.folder / f"{package.path.stem}.onnx") if conversion.options.save_onnx else None
        for package in made
    }
    return {
        "folder": request["folder"],
        "scale": model["scale"],
        "original": model["description"],
        "batchless": model["batchless"],
        "data": model["data"],
        "inputs": _input_kind(request["data"], model["shape"]),
        "labels": model["classes"],
        "class_origin": model["class_origin"],
        "classes": len(model["classes"] or request["data"].get("classes") or ()) or None,
        "packages": [
            {
                "key": package.key,
                "package": str(package.path),
                "precision": None if package.variant == "as-is" else package.variant,
                "without_original": package.without_original,
                "onnx": onnx[package.key],
            }
            for package in made
        ],
    }


def _values_wrong(package: RequestedPackage) -> bool:
    """Return whether a package is wrong by its values; one that is wrong by its labels has no op that diverges."""
    result = read_result(package.path, PROOF_SUFFIX) or {}
    return result.get("proof", {}).get("verdict") == "wrong" and not result.get("only_labels_wrong")


def _input_kind(data: Mapping[str, Any], shape: Sequence[int]) -> InputKind:
    """Return what the packages are compared on; inputs of a picture's shape could be pictures, with --data."""
    if data["kind"] != "random":
        return "data"
    return "random pictures" if len(shape) == 3 and shape[2] in {1, 3} else "random numbers"


def _bisect(wrong: Sequence[RequestedPackage], request: Mapping[str, Any], stages: Stages) -> float:
    """Add the first diverging op to the proof of each wrong package; return the seconds it took.

    If the bisection fails, the verdicts stay, and a note on each package gives the reason.
    """
    results = {package.key: read_result(package.path, PROOF_SUFFIX) or {} for package in wrong}
    bisect_request = {
        **{name: request[name] for name in ("source", "settings", "folder")},
        "target": request["variants"][0]["target"] or DEFAULT_TARGET,
        "packages": [
            {
                "key": package.key,
                "package": str(package.path),
                "batch": results[package.key]["batch"],
                "first_sample": results[package.key].get("first_sample", 0),
            }
            for package in wrong
        ],
    }
    try:
        ended = stages.run("bisect", worker("bisect"), bisect_request, silence=SILENCE_LIMITS["prove"])
        divergences = result_of(ended)
    except StageFailedError as failed:
        if failed.failure.kind in STOPPED_KINDS:
            raise
        ended = failed.ended
        divergences = {package.key: {"note": f"No op can be named: {failed.failure.reason}"} for package in wrong}
    for package in wrong:
        result, divergence = results[package.key], divergences[package.key]
        result["proof"]["divergence"] = divergence.get("divergence")
        result["notes"] = [*result.get("notes", ()), *([divergence["note"]] if "note" in divergence else ())]
        write_result(package.path, PROOF_SUFFIX, result)
    return ended.seconds
