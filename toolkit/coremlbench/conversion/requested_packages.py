"""What a conversion is to make: its packages, where each goes, and all that decides what is in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coremlbench.conversion import cache as conversion_cache
from coremlbench.conversion.options import ConvertOptions, Item
from coremlbench.conversion.sample_rows import spread
from coremlbench.conversion.sources import READY
from coremlbench.conversion.variants import find_variants, target_of
from coremlbench.system.files import hash_file, slug
from coremlbench.types.conversion import ModelSource

CALIBRATION = 64
"""Training images that the ranges of activations are taken from."""


def items_of(
    source: ModelSource, options: ConvertOptions, data: Mapping[str, Any], cache: Path, work: Path
) -> tuple[Item, ...]:
    """Return the packages to make: for a ready package itself and what can be compressed from it."""
    stem, packages = slug(source.experiment or source.name), work / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    ready = source.format in READY
    if options.check or ready:
        path = options.check or source.path
        suffix = Path(path).suffix or ".mlpackage"
        as_is = Item("as-is", "as-is", 0, "", "", packages / f"{stem}-as-is{suffix}", None, path, not options.check)
        if options.check:
            return (as_is,)
    items = [as_is] if ready else []
    for plan in find_variants(options.variants):
        for batch in options.batches:
            if ready and not plan.compression:
                continue
            target, key = target_of(plan, options.target), f"{plan.name}-b{batch}"
            particulars = {
                "variant": plan.name,
                "batch": batch,
                "target": target,
                "base": options.target,
                "scale": options.scale,
                "shape": options.input_shape,
                "classes": source.classes or data.get("classes", ()),
                "calibration": _calibrated_on(data, options.seed) if plan.compression == "int8-activations" else None,
                "metadata": metadata_of(source),
            }
            kept = conversion_cache.folder_of(cache, source.sha256, particulars)
            package = packages / f"{stem}-{key}.mlpackage"
            items.append(Item(key, plan.name, batch, target, options.target, package, kept))
    return tuple(items)


def calibration_rows(data: Mapping[str, Any]) -> list[list[Any]]:
    """Return the pictures, [path, label] each, that ranges are taken from: of the training, or of the test without."""
    found = data["train"] or data["test"]
    return [found[row] for row in spread(len(found), CALIBRATION)]


def metadata_of(source: ModelSource) -> dict[str, str]:
    """Return what a package says of its model; nothing for one made of a package, which keeps what it says."""
    if source.format in READY:
        return {}
    said = f"{source.name}, converted by coremlbench." + (f" {source.note}" if source.note else "")
    return {
        "description": said,
        "source sha256": source.sha256,
        **({"training run": source.training_run} if source.training_run else {}),
        **({"experiment": source.experiment} if source.experiment else {}),
    }


def left_out(source: ModelSource, options: ConvertOptions) -> list[str]:
    """Return a note on the variants that were asked for and cannot be made of a ready package."""
    names = [plan.name for plan in find_variants(options.variants) if not plan.compression]
    if source.format not in READY or options.check or not names:
        return []
    said = "A ready package keeps the precision that it has, and only compressed variants are made from it."
    return [f"Not made: {' and '.join(names)}. {said}"]


def asked_of(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Return the packages as the converting child is asked for them."""
    return [
        {
            "key": item.key,
            "variant": item.variant,
            "batch": item.batch,
            "target": item.target,
            "base_target": item.base_target,
            "package": str(item.package),
            "copy": item.copy,
            "alone": item.alone,
        }
        for item in items
    ]


def _calibrated_on(data: Mapping[str, Any], seed: int) -> list[Any]:
    """Return what the ranges of activations follow from: the pictures' own bytes, as a folder's may be replaced.

    The name is among it because the package's notes tell it. A folder's own hash is one of names and sizes.
    """
    told = [data.get("name", data["kind"]), seed, CALIBRATION, (data.get("provenance") or {}).get("sha256")]
    if data["kind"] != "images":
        return told
    digest = hashlib.sha256()
    for path, _ in calibration_rows(data):
        digest.update(hash_file(Path(path)).encode())
    return [*told, digest.hexdigest()]
