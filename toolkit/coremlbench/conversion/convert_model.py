"""The conversion of one model: take its data, convert it in a child, prove the packages in another, record it all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from coremlbench.conversion import cache as conversion_cache
from coremlbench.conversion.options import ConvertOptions, Item
from coremlbench.conversion.outcome import finished, with_variants
from coremlbench.conversion.package_results import MADE, PROVEN, read_told, tell
from coremlbench.conversion.requested_packages import CALIBRATION, asked_of, items_of, left_out, metadata_of
from coremlbench.conversion.sources import RANDOM
from coremlbench.conversion.variants import DEFAULT_TARGET
from coremlbench.experiments.catalogue import EXPERIMENTS
from coremlbench.runs import store
from coremlbench.runs.stages import StageFailedError, Stages
from coremlbench.runs.steps import result_of, worker
from coremlbench.system import serialization
from coremlbench.system.signals import held_back
from coremlbench.types.conversion import ConversionRecord, ModelSource
from coremlbench.types.data import Provenance
from coremlbench.types.process import Exit
from coremlbench.types.training_records import Phase, TrainingRecord

SILENCE = {"data": 300.0, "convert": 900.0, "prove": 900.0}
"""Seconds that a stage may say nothing: coremltools is silent while it optimises a large network."""

STOPPED = ("interrupted", "deadline")
"""Failures that end the whole model, not a variant."""

Save = Callable[[ConversionRecord], None]


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

    With ``keep_going`` a model that cannot be opened is a failed record too: other models follow.

    Raises:
        StageFailedError: a stage failed as a whole; what is known of each package was saved before.
    """
    record = replace(record, source=source)
    save(record)
    try:
        record, data = _with_data(source, options, record, cache, stages)
        items = items_of(source, options, data, cache, stages.work)
        record = replace(record, notes=(*record.notes, *left_out(source, options)))
        save(record)
        request = _request(source, options, data, items, cache, folder, stages.work)
        reused = {item.key: told for item in items if (told := _take(item)) is not None}
        return _made_and_proven(record, items, request, reused, options, folder, stages, save)
    except StageFailedError as failed:
        if keep_going and (failed.ended.error or {}).get("type") == "InputError":
            return replace(record, outcome=failed.failure)
        raise


def _made_and_proven(
    record: ConversionRecord,
    items: Sequence[Item],
    request: Mapping[str, Any],
    reused: Mapping[str, Any],
    options: ConvertOptions,
    folder: Path,
    stages: Stages,
    save: Save,
) -> ConversionRecord:
    """Return the record with all its variants; those that are known when a stage fails as a whole are saved then.

    Meanwhile a Ctrl-C, the second one perhaps, has to wait: it would cost what was measured.
    """
    model: dict[str, Any] = {}
    try:
        record, model = _convert(record, items, request, reused, stages)
        save(record)
        record = _prove(record, items, request, model, options, folder, stages)
    except (StageFailedError, OSError, KeyboardInterrupt):
        begun = [item for item in items if read_told(item.package, MADE) is not None]
        with held_back(), suppress(OSError):  # what ended it is told, not that the disk is full now
            save(with_variants(record, begun, model, reused, folder))
        raise
    with held_back():
        record = finished(with_variants(record, items, model, reused, folder))
        save(record)
    return record


# --- data ---------------------------------------------------------------------------------------------------


def _with_data(
    source: ModelSource, options: ConvertOptions, record: ConversionRecord, cache: Path, stages: Stages
) -> tuple[ConversionRecord, dict[str, Any]]:
    """Return the record with its data's provenance, and what the converting child needs to read them."""
    request = _data_request(source, options, cache)
    if request is None:
        return record, {"kind": "random"}
    try:
        ended = stages.run("data", worker("data"), request, silence=SILENCE["data"])
    except StageFailedError as failed:
        if options.data or failed.failure.kind in STOPPED:
            raise
        note = f"The data of the training are not here any more, so random inputs are compared: {failed.failure.reason}"
        return replace(record, notes=(*record.notes, note)), {"kind": "random"}
    found = result_of(ended)
    record = replace(
        record,
        data=serialization.from_json(Provenance, found["provenance"]),
        phases=(*record.phases, Phase("data", ended.seconds, 0, ended.peak_bytes)),
    )
    if "test_images" in found:
        return record, {"kind": "arrays", **found}
    images = {split: [[each["path"], each["label"]] for each in found[split]] for split in ("train", "test")}
    return record, {"kind": "images", **{name: found[name] for name in ("name", "classes", "provenance")}, **images}


def _data_request(source: ModelSource, options: ConvertOptions, cache: Path) -> dict[str, Any] | None:
    """Return what the data worker is asked: for the data that were named, or those of the training."""
    base = {"cache": str(cache / "datasets"), "seed": options.seed, "train": None, "test": None}
    if options.data:
        protocol = next((each for each in EXPERIMENTS if each.dataset == options.data), None)
        counts = {"train": protocol.train, "test": protocol.test} if protocol and protocol.takes == "arrays" else {}
        return {**base, **counts, "dataset": options.data, "source": options.sources.get(options.data)}
    if source.kind != "training-run":
        return None
    trained = store.load(Path(source.path).parent)
    assert isinstance(trained, TrainingRecord)
    told = trained.options
    return {
        "cache": base["cache"],
        "dataset": told["dataset"],
        "source": options.sources.get(told["dataset"]) or told.get("source"),
        "train": told["train"],
        "test": told["test"],
        "seed": told["seed"],
    }


# --- what is made -------------------------------------------------------------------------------------------


def _take(item: Item) -> dict[str, Any] | None:
    """Return what was told of a package that was made before, and put it where it is to go."""
    told = conversion_cache.take(item.kept, item.package) if item.kept else None
    if told is not None:
        tell(item.package, MADE, told)
    return told


def _request(
    source: ModelSource,
    options: ConvertOptions,
    data: Mapping[str, Any],
    items: Sequence[Item],
    cache: Path,
    folder: Path,
    work: Path,
) -> dict[str, Any]:
    model = work / "model"
    model.mkdir(parents=True, exist_ok=True)
    return {
        "source": serialization.to_json(source),
        "settings": {
            "allow_code": options.allow_code,
            "scale": options.scale,
            "input_shape": options.input_shape,
            "data": {"name": data["name"], "classes": data["classes"]} if "classes" in data else None,
            "cache": str(cache),
            "keep": str(folder / "original.keras") if source.path.startswith(RANDOM) else None,
        },
        "data": dict(data),
        "images": options.images,
        "calibration": CALIBRATION,
        "seed": options.seed,
        "folder": str(model),
        "metadata": metadata_of(source),
        "variants": asked_of(items),
    }


# --- stages -------------------------------------------------------------------------------------------------


def _convert(
    record: ConversionRecord,
    items: Sequence[Item],
    request: Mapping[str, Any],
    reused: Mapping[str, Any],
    stages: Stages,
) -> tuple[ConversionRecord, dict[str, Any]]:
    """Return the record with the phase, and what the child says of the model."""
    try:
        ended = _one_by_one("convert", items, MADE, request, stages, phases=("convert", "calibrate"))
    finally:  # what is finished is kept also when the rest was interrupted or failed
        _keep([item for item in items if item.key not in reused])
    model = result_of(ended)
    return replace(
        record,
        input_shape=tuple(model["shape"]),
        versions={**record.versions, **model["versions"]},
        notes=(*record.notes, *model["notes"]),
        phases=(*record.phases, Phase("convert", ended.seconds, len(items), ended.peak_bytes)),
        peak_bytes=max(record.peak_bytes, stages.peak_bytes),
    ), model


def _keep(made: Sequence[Item]) -> None:
    """Keep the packages that are whole; one that could not be taken is replaced, as it is damaged."""
    for item in made:
        told = read_told(item.package, MADE)
        if item.kept and told and "error" not in told and "failure" not in told:
            conversion_cache.keep(item.kept, item.package, told)


def _one_by_one(
    stage: str, items: Sequence[Item], told: str, request: Mapping[str, Any], stages: Stages, *, phases: Sequence[str]
) -> Exit:
    """Run a child that works through the items; a crash in one is that item's failure, and the rest is tried again.

    Returns the end of the last child, with the seconds of all of them together and the highest peak.

    Raises:
        StageFailedError: it failed outside the ``phases`` of an item, was stopped, or fails for every item.
    """
    seconds, peak_bytes = 0.0, 0
    for attempt in range(len(items) + 1):
        name = stage if attempt == 0 else f"{stage}-{attempt + 1}"
        try:
            ended = stages.run(name, worker("proof" if stage == "prove" else stage), request, silence=SILENCE[stage])
            return replace(ended, seconds=ended.seconds + seconds, peak_bytes=max(ended.peak_bytes, peak_bytes))
        except StageFailedError as failed:
            seconds, peak_bytes = seconds + failed.ended.seconds, max(peak_bytes, failed.ended.peak_bytes)
            left = [item for item in items if item.package.exists() or told == MADE]
            left = [item for item in left if not Path(f"{item.package}{told}").is_file()]
            if failed.ended.phase not in phases or failed.failure.kind in STOPPED or not left:
                raise
            failure = {"failure": serialization.to_json(failed.failure)}
            shutil.rmtree(left[0].package, ignore_errors=True) if told == MADE else None
            tell(left[0].package, told, failure)
    raise AssertionError("every attempt either returns, raises, or leaves one item less")


def _prove(
    record: ConversionRecord,
    items: Sequence[Item],
    request: Mapping[str, Any],
    model: Mapping[str, Any],
    options: ConvertOptions,
    folder: Path,
    stages: Stages,
) -> ConversionRecord:
    """Return the record with the phase; each package's proof lies beside it then."""
    made = [item for item in items if item.package.exists()]
    if not made:
        return record
    asked = {
        "folder": request["folder"],
        "scale": model["scale"],
        "original": model["description"],
        "data": model["data"],
        "labels": request["source"]["classes"],  # not those that are only taken to be the data's
        "classes": len(model["classes"] or request["data"].get("classes") or ()) or None,
        "packages": [
            {
                "key": item.key,
                "package": str(item.package),
                "precision": None if item.variant == "as-is" else item.variant,
                "alone": item.alone,
                "onnx": str(folder / f"{item.package.stem}.onnx") if options.save_onnx else None,
            }
            for item in made
        ],
    }
    ended = _one_by_one("prove", made, PROVEN, asked, stages, phases=("prove",))
    seconds = ended.seconds
    wrong = [
        item for item in made if (read_told(item.package, PROVEN) or {}).get("proof", {}).get("verdict") == "wrong"
    ]
    if wrong:
        seconds += _bisect(wrong, request, stages)
    return replace(
        record,
        versions={**record.versions, **result_of(ended)["versions"]},
        phases=(*record.phases, Phase("prove", seconds, int(model["images"]) * len(made), ended.peak_bytes)),
        peak_bytes=max(record.peak_bytes, stages.peak_bytes),
    )


def _bisect(wrong: Sequence[Item], request: Mapping[str, Any], stages: Stages) -> float:
    """Note the first op where each wrong package parts from its original; return the seconds it took.

    A failure on the way leaves the verdicts as they are, and says so.
    """
    proofs = {item.key: read_told(item.package, PROVEN) or {} for item in wrong}
    packages = [{"key": item.key, "package": str(item.package), "batch": proofs[item.key]["batch"]} for item in wrong]
    asked = {
        **{name: request[name] for name in ("source", "settings", "folder")},
        "target": request["variants"][0]["target"] or DEFAULT_TARGET,
        "packages": packages,
    }
    seconds, found = 0.0, {}
    try:
        ended = stages.run("bisect", worker("bisect"), asked, silence=SILENCE["prove"])
        seconds, found = ended.seconds, result_of(ended)
    except StageFailedError as failed:
        if failed.failure.kind in STOPPED:
            raise
        seconds = failed.ended.seconds
        found = {item.key: {"note": f"No op can be named: {failed.failure.reason}"} for item in wrong}
    for item in wrong:
        told, parts = proofs[item.key], found[item.key]
        told["proof"]["divergence"] = parts.get("divergence")
        told["notes"] = [*told.get("notes", ()), *([parts["note"]] if "note" in parts else ())]
        tell(item.package, PROVEN, told)
    return seconds
