"""Obtains the ImageNet weights of Keras's EfficientNetB0; must run before Keras is imported."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

from coremlbench.system.files import atomic_writer, remove_temporary_files
from coremlbench.system.locks import locked
from coremlbench.types.data import Provenance
from coremlbench.types.errors import DownloadError, InputError
from coremlbench.types.process import ReportProgress

FILE = "efficientnetb0_notop.h5"
URL = f"https://storage.googleapis.com/keras-applications/{FILE}"
MD5 = "50bc09e76180e00e4465e1a485ddc09d"
"""The hash that Keras itself checks (keras/src/applications/efficientnet.py)."""
CONNECT_SECONDS = 4.0
RANDOM = Provenance(
    "random",
    "random numbers",
    note="The ImageNet weights are not available: the extractor has random weights, calibrated on random images, "
    "and the accuracy is that of random features.",
)


def obtain_weights(source: str | None, cache: Path, report: ReportProgress) -> tuple[str | None, Provenance | None]:
    """Return the ``weights`` argument for the network's ``build``, and the origin of the weights.

    ``source`` is ``None`` for a network without published weights, ``"random"``, ``"imagenet"``, or the path of Keras's
    file. For ``"imagenet"``, coremlbench's cache is tried first, then the user's Keras cache, then a download; if all
    fail, the weights are random, and the origin says so. The environment variable ``KERAS_HOME`` is set to
    coremlbench's cache, so that the user's Keras settings do not change what is measured.

    Raises:
        InputError: ``source`` is the path of another file, or of none.
    """
    user_home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    home = cache / "keras"
    home.mkdir(parents=True, exist_ok=True)
    os.environ["KERAS_HOME"] = str(home)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if source is None:
        return None, None
    if source == "random":
        return None, replace(
            RANDOM, note="The extractor has random weights, as requested, and the accuracy is that of random features."
        )
    target = home / "models" / FILE
    if source != "imagenet":
        _copy_checked(Path(source), target, report)
        return "imagenet", Provenance("imagenet", f"the file {Path(source).name}", sha256=_hash(target, "sha256"))
    users_copy = user_home / "models" / FILE
    if not _is_intact(target):
        if _is_intact(users_copy):
            _copy_checked(users_copy, target, report)
        elif not _download(target, report):
            return None, RANDOM
    return "imagenet", Provenance("imagenet", "Keras's copy", sha256=_hash(target, "sha256"), licence="Apache-2.0")


def _copy_checked(source: Path, target: Path, report: ReportProgress) -> None:
    """Copy Keras's file to ``target``.

    Raises:
        InputError: the file does not exist, or has another hash.
    """
    if not source.is_file():
        raise InputError(f"There is no weights file {source}; --weights takes imagenet, random or the path of {FILE}.")
    if not _is_intact(source):
        raise InputError(f"{source} is not Keras's {FILE}: its md5 is {_hash(source, 'md5')}, not {MD5}.")
    copy_whole(source, target, report)


def copy_whole(source: Path, target: Path, report: ReportProgress) -> None:
    """Copy a file to ``target`` atomically, under a lock; remove temporary files of killed runs from its folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.with_name(f"{target.name}.lock"), lambda message: report("weights", 0, 1, message)):
        remove_temporary_files(target.parent)
        with source.open("rb") as content, atomic_writer(target) as file:
            shutil.copyfileobj(content, file)


def _download(target: Path, report: ReportProgress) -> bool:
    """Download the file and return whether that worked; a server that does not answer within seconds is given up."""
    from coremlbench.system.connections import open_url
    from coremlbench.system.downloads import download

    try:
        open_url(URL, CONNECT_SECONDS).close()
        target.parent.mkdir(parents=True, exist_ok=True)
        download(URL, target, md5=MD5, report=report)
    except (OSError, DownloadError):
        return False
    return True


def _is_intact(path: Path) -> bool:
    return path.is_file() and _hash(path, "md5") == MD5


def _hash(path: Path, name: str) -> str:
    return hashlib.new(name, path.read_bytes(), usedforsecurity=False).hexdigest()
