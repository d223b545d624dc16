"""The packages that a conversion makes: their paths, their cache entries, and the requests to the worker."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coremlbench.conversion import cache as conversion_cache
from coremlbench.conversion.options import ConvertOptions, RequestedPackage
from coremlbench.conversion.sources import PACKAGE_FORMATS
from coremlbench.conversion.variants import VariantDefinition, deployment_target, find_variants
from coremlbench.system.files import hash_file, slug
from coremlbench.types.conversion import ModelSource
from coremlbench_datasets.selection import evenly_spaced

CALIBRATION_IMAGES = 64
"""Number of training images that the ranges of activations are measured on."""


def packages_to_make(
    source: ModelSource, options: ConvertOptions, data: Mapping[str, Any], cache: Path, work: Path
) -> tuple[RequestedPackage, ...]:
    """Return one package for each variant and batch; they are made in ``work/packages``.

    For a source that is a package already: a copy of it, and its compressed variants. With ``options.check``: only
    the package that is checked.
    """
    stem, folder = slug(source.experiment or source.name), work / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    if options.check:
        return (_ready_package(options.check, stem, folder, without_original=False),)
    is_package = source.format in PACKAGE_FORMATS
    packages = [_ready_package(source.path, stem, folder, without_original=True)] if is_package else []
    for variant in find_variants(options.variants):
        if variant.compression or not is_package:
            for batch in options.batches:
                key, target = f"{variant.name}-b{batch}", deployment_target(variant, options.target)
                entry = _cache_entry(variant, batch, source, options, data, cache)
                path = folder / f"{stem}-{key}.mlpackage"
                packages.append(RequestedPackage(key, variant.name, batch, target, options.target, path, entry))
    return tuple(packages)


def _ready_package(ready_package: str, stem: str, folder: Path, *, without_original: bool) -> RequestedPackage:
    suffix = Path(ready_package).suffix or ".mlpackage"
    return RequestedPackage(
        key="as-is",
        variant="as-is",
        batch=0,
        target="",
        base_target="",
        path=folder / f"{stem}-as-is{suffix}",
        cache_entry=None,
        ready_package=ready_package,
        without_original=without_original,
    )


def _cache_entry(
    variant: VariantDefinition,
    batch: int,
    source: ModelSource,
    options: ConvertOptions,
    data: Mapping[str, Any],
    cache: Path,
) -> Path:
    """Return the cache folder of a package, named by everything that decides its content."""
    calibrated = variant.compression == "int8-activations"
    settings = {
        "variant": variant.name,
        "batch": batch,
        "target": deployment_target(variant, options.target),
        "base": options.target,
        "scale": options.scale,
        "shape": options.input_shape,
        "signature": options.signature,
        "custom objects": source.file_options.custom_objects_sha256,
        "classes": source.classes or _assumed_classes(source, options, data),
        "calibration": _calibration_fingerprint(data, options.seed) if calibrated else None,
        "metadata": package_metadata(source),
    }
    return conversion_cache.entry_folder(cache, source.sha256, settings)


def _assumed_classes(source: ModelSource, options: ConvertOptions, data: Mapping[str, Any]) -> list[Any]:
    """Return what labels depend on that are taken from the data: the names, and the images that they are tested on."""
    if source.format in PACKAGE_FORMATS or not data.get("classes"):
        return []
    names = [*data["classes"], options.images, (data.get("provenance") or {}).get("sha256")]
    if data["kind"] != "images":
        return names
    rows = data["test"]
    return [*names, _content_digest([rows[row] for row in evenly_spaced(len(rows), options.images)])]


def _content_digest(images: Sequence[Sequence[Any]]) -> str:
    """Return a hash of the contents and the labels of images, given as [path, label]."""
    digest = hashlib.sha256()
    for path, label in images:
        digest.update(f"{hash_file(Path(path))} {label}\n".encode())
    return digest.hexdigest()


def _calibration_fingerprint(data: Mapping[str, Any], seed: int) -> list[Any]:
    """Return what the ranges of activations depend on.

    It contains the name of the data, which a note on the package mentions. For image files it contains a hash of their
    contents, because the hash of an image folder covers names and sizes only.
    """
    fingerprint = [data.get("name", data["kind"]), seed, CALIBRATION_IMAGES]
    if data["kind"] != "images":
        return [*fingerprint, (data.get("provenance") or {}).get("sha256")]
    return [*fingerprint, _content_digest(calibration_images(data))]


def calibration_images(data: Mapping[str, Any]) -> list[list[Any]]:
    """Return [path, label] of the calibration images: training images, or test images where there are none."""
    images = data["train"] or data["test"]
    return [images[row] for row in evenly_spaced(len(images), CALIBRATION_IMAGES)]


def package_metadata(source: ModelSource) -> dict[str, str]:
    """Return the metadata of the packages made from a source; none for a package, which keeps its own."""
    if source.format in PACKAGE_FORMATS:
        return {}
    description = f"{source.name}, converted by coremlbench." + (f" {source.note}" if source.note else "")
    return {
        "description": description,
        "source sha256": source.sha256,
        **({"signature": source.file_options.signature} if source.file_options.signature else {}),
        **({"training run": source.training_run} if source.training_run else {}),
        **({"experiment": source.experiment} if source.experiment else {}),
    }


def skipped_notes(source: ModelSource, options: ConvertOptions) -> list[str]:
    """Return a note on the requested variants that cannot be made from a ready package; an empty list if none."""
    names = [variant.name for variant in find_variants(options.variants) if not variant.compression]
    if source.format not in PACKAGE_FORMATS or options.check or not names:
        return []
    reason = "A ready package keeps the precision that it has, and only compressed variants are made from it."
    return [f"Not made: {' and '.join(names)}. {reason}"]


def worker_requests(packages: Sequence[RequestedPackage]) -> list[dict[str, Any]]:
    """Return the packages as JSON for the conversion worker."""
    return [
        {
            "key": package.key,
            "variant": package.variant,
            "batch": package.batch,
            "target": package.target,
            "base_target": package.base_target,
            "package": str(package.path),
            "ready_package": package.ready_package,
            "without_original": package.without_original,
        }
        for package in packages
    ]
