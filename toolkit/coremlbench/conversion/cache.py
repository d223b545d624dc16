"""Packages that were converted before: kept by the hash of their source and of everything else that made them."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from coremlbench.system.files import hash_folder, write_whole
from coremlbench.system.source_imports import imports_of

WORKER = "coremlbench.workers.convert"
"""What makes packages; all that it imports decides what they hold: the conversion and the compression, networks and
their weights, and, for the ranges of activations, the reading of pictures and the reference runtime."""

DISTRIBUTIONS = {"PIL": "pillow", "google": "protobuf"}
"""The distributions of libraries that are imported by another name."""

INDIRECT = ("scikit-learn",)
"""Distributions that decide it and are imported by coremltools alone: k-means for palettized weights."""

PACKAGE, TOLD = "model.mlpackage", "made.json"
LOCK, PARTIAL = ".lock", ".partial"

MOST_BYTES = 5 << 30
"""What the packages may take together: those of some twenty ResNet50, whose 25.6 million weights take 4, 2, 1, 1, 0.75
and 0.5 bytes in the six variants."""

PATIENCE = 60.0
"""Seconds to wait for another conversion's copy."""


def folder_of(cache: Path, source_sha256: str, particulars: dict[str, Any]) -> Path:
    """Return where a variant is kept; ``particulars`` are all that decides its content beside the source."""
    decided = {**particulars, "code": code(), "libraries": {name: _version(name) for name in libraries()}}
    key = hashlib.sha256(json.dumps(decided, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return cache / "conversions" / source_sha256[:32] / f"{particulars['variant']}-{particulars['batch']}-{key}"


@functools.cache
def code() -> str:
    """Return the SHA-256 of the names and contents of all sources of ours that the worker can import.

    No package that other code made is handed out then.
    """
    digest = hashlib.sha256()
    for name, file in imports_of(WORKER).files.items():
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


@functools.cache
def libraries() -> tuple[str, ...]:
    """Return the distributions whose versions decide a package beside our own code."""
    reached = {DISTRIBUTIONS.get(name, name) for name in imports_of(WORKER).libraries}
    return tuple(sorted(reached | set(INDIRECT)))


def _version(library: str) -> str:
    """Return a library's version without importing it, empty where it is not installed."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(library)
    return ""


def take(kept: Path, package: Path) -> dict[str, Any] | None:
    """Copy a kept package to ``package`` and return what was told of it; ``None`` for none, or a broken one."""
    with _held(kept.parents[1]):
        try:
            told: dict[str, Any] = json.loads((kept / TOLD).read_bytes())
            shutil.copytree(kept / PACKAGE, package)
            if hash_folder(package)[0] == told["sha256"]:
                with suppress(OSError):  # a cache that cannot be written serves as well
                    os.utime(kept)
                return told
        except (OSError, ValueError, KeyError):
            pass
        shutil.rmtree(package, ignore_errors=True)
        return None


def keep(kept: Path, package: Path, told: dict[str, Any], most_bytes: int = MOST_BYTES) -> None:
    """Keep a copy of a package, at the cost of those that were not used for the longest time.

    A cache that cannot be written is no failure.
    """
    partial = kept.with_name(f"{kept.name}{PARTIAL}")
    with _held(kept.parents[1]) as held:
        if not held:
            return
        with suppress(OSError):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            shutil.copytree(package, partial / PACKAGE)
            write_whole(partial / TOLD, json.dumps({**told, "sha256": hash_folder(package)[0]}).encode())
            shutil.rmtree(kept, ignore_errors=True)
            partial.rename(kept)
        _limit(kept.parents[1], most_bytes)


def _limit(conversions: Path, most_bytes: int) -> None:
    """Remove what killed conversions left half copied, and what was used the longest ago until the rest fits.

    Nobody reads or writes a package meanwhile: the cache is held.
    """
    with suppress(OSError):
        for leftover in conversions.glob(f"*/*{PARTIAL}"):
            shutil.rmtree(leftover, ignore_errors=True)
        newest_first = sorted(conversions.glob("*/*"), key=lambda kept: kept.stat().st_mtime_ns, reverse=True)
        size = 0
        for kept in newest_first:
            size += sum(file.stat().st_size for file in kept.rglob("*") if file.is_file())
            if size > most_bytes:
                shutil.rmtree(kept, ignore_errors=True)
                with suppress(OSError):  # other variants of the same model
                    kept.parent.rmdir()


@contextmanager
def _held(conversions: Path) -> Iterator[bool]:
    """Keep other conversions from the cache meanwhile; gives whether they are kept from it.

    They are not where it cannot be written or its file system has no locks, nor where another one holds it for
    longer than a copy takes, as a suspended process does.
    """
    from filelock import FileLock

    lock = FileLock(conversions / LOCK, timeout=PATIENCE)
    with suppress(OSError, NotImplementedError):  # filelock's own time-out is an OSError
        lock.acquire()
    try:
        yield lock.is_locked
    finally:
        lock.release()
