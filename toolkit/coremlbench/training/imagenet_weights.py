"""ImageNet weights for the networks of Keras: from where they can be had, before Keras is imported."""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.request
from dataclasses import replace
from pathlib import Path

from coremlbench.system.files import sweep_temporary, written_whole
from coremlbench.system.locks import locked
from coremlbench.types.data import Provenance
from coremlbench.types.errors import DownloadError, InputError
from coremlbench.types.process import ReportProgress

FILE = "efficientnetb0_notop.h5"
URL = f"https://storage.googleapis.com/keras-applications/{FILE}"
MD5 = "50bc09e76180e00e4465e1a485ddc09d"
"""As Keras itself checks it (keras/src/applications/efficientnet.py)."""
REACH_SECONDS = 4.0
RANDOM = Provenance(
    "random",
    "random numbers",
    note="The ImageNet weights could not be had: the extractor is random, with statistics taken from random pictures, "
    "and the accuracy is that of random features.",
)


def obtain(wanted: str | None, cache: Path, report: ReportProgress) -> tuple[str | None, Provenance | None]:
    """Return what to pass to the network's ``build`` as weights, and where they come from.

    ``wanted`` is ``None`` for a network without published weights, ``"random"``, ``"imagenet"``, or the path of
    Keras's file. For ``"imagenet"`` the user's own Keras cache comes first, then ours, then a download; a machine
    that reaches none of them trains on random weights, and its record says so. Keras is pointed at a cache of ours
    (``KERAS_HOME``), so that neither a setting nor a file of the user's changes what is measured.

    Raises:
        InputError: ``wanted`` is a path without that file's content.
    """
    own = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    home = cache / "keras"
    home.mkdir(parents=True, exist_ok=True)
    os.environ["KERAS_HOME"] = str(home)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if wanted is None:
        return None, None
    if wanted == "random":
        return None, replace(
            RANDOM, note="The extractor is random, as was asked for, and the accuracy that of random features."
        )
    target = home / "models" / FILE
    if wanted != "imagenet":
        _keep(Path(wanted), target, report)
        return "imagenet", Provenance("imagenet", f"the file {Path(wanted).name}", sha256=_hash(target, "sha256"))
    kept = own / "models" / FILE
    if not _is_right(target):
        if _is_right(kept):
            _keep(kept, target, report)
        elif not _fetched(target, report):
            return None, RANDOM
    return "imagenet", Provenance("imagenet", "Keras's copy", sha256=_hash(target, "sha256"), licence="Apache-2.0")


def _keep(source: Path, target: Path, report: ReportProgress) -> None:
    """Copy the file into our cache if it is the right one."""
    if not source.is_file():
        raise InputError(f"There is no weights file {source}; --weights takes imagenet, random or the path of {FILE}.")
    if not _is_right(source):
        raise InputError(f"{source} is not Keras's {FILE}: its md5 is {_hash(source, 'md5')}, not {MD5}.")
    copy_whole(source, target, report)


def copy_whole(source: Path, target: Path, report: ReportProgress) -> None:
    """Leave a file's content at ``target``, which no other run changes meanwhile, and nothing else in its folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.with_name(f"{target.name}.lock"), lambda words: report("weights", 0, 1, words)):
        sweep_temporary(target.parent)
        with source.open("rb") as content, written_whole(target) as file:
            shutil.copyfileobj(content, file)


def _fetched(target: Path, report: ReportProgress) -> bool:
    """Return whether the file could be downloaded; a server that does not answer within seconds counts as none."""
    from coremlbench.system.downloads import download

    try:
        urllib.request.urlopen(URL, timeout=REACH_SECONDS).close()
        target.parent.mkdir(parents=True, exist_ok=True)
        download(URL, target, md5=MD5, report=report)
    except (OSError, DownloadError):
        return False
    return True


def _is_right(path: Path) -> bool:
    return path.is_file() and _hash(path, "md5") == MD5


def _hash(path: Path, name: str) -> str:
    return hashlib.new(name, path.read_bytes(), usedforsecurity=False).hexdigest()
