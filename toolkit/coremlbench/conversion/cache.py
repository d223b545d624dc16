"""Cache of converted packages, named by a hash of the source and of everything else that decides their content."""

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

from coremlbench.system.files import atomic_write, hash_folder
from coremlbench.system.source_imports import imports_of

CONVERT_WORKER = "coremlbench.workers.convert"
"""The module that makes packages. Everything it can import may change their content: conversion, compression, networks
and their weights; for the ranges of activations also the image decoding and the reference runtime."""

DISTRIBUTION_NAMES = {"PIL": "pillow", "google": "protobuf"}
"""Distributions whose name differs from that of the imported package."""

INDIRECT_DISTRIBUTIONS = ("scikit-learn",)
"""Distributions that only coremltools imports and that change packages: k-means for palettized weights."""

PACKAGE_NAME, RESULT_NAME = "model.mlpackage", "made.json"
LOCK_FILE, PARTIAL_SUFFIX = ".lock", ".partial"

MAX_BYTES = 5 << 30
"""Size limit of the cache: about twenty ResNet50, whose 25.6 million weights take 4, 2, 1, 1, 0.75 and 0.5 bytes each
in the six variants."""

LOCK_TIMEOUT = 60.0
"""Seconds to wait while another process copies a package."""


def entry_folder(cache: Path, source_sha256: str, settings: dict[str, Any]) -> Path:
    """Return the folder of a cached package.

    ``settings`` are ``variant``, ``batch`` and all others that decide its content beside the source. The name also
    depends on this toolkit's code and on the versions of the libraries.
    """
    versions = {name: _version(name) for name in library_distributions()}
    fingerprint = {**settings, "code": code_digest(), "libraries": versions}
    digest = hashlib.sha256(json.dumps(fingerprint, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return cache / "conversions" / source_sha256[:32] / f"{settings['variant']}-{settings['batch']}-{digest}"


@functools.cache
def code_digest() -> str:
    """Return a SHA-256 over the names and contents of all modules of this project that the worker can import."""
    digest = hashlib.sha256()
    for name, file in imports_of(CONVERT_WORKER).files.items():
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


@functools.cache
def library_distributions() -> tuple[str, ...]:
    """Return the sorted names of the distributions whose versions decide a package's content."""
    imported = {DISTRIBUTION_NAMES.get(name, name) for name in imports_of(CONVERT_WORKER).libraries}
    return tuple(sorted(imported | set(INDIRECT_DISTRIBUTIONS)))


def _version(distribution: str) -> str:
    """Return a distribution's version without importing it; empty where it is not installed."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(distribution)
    return ""


def restore(entry: Path, package: Path) -> dict[str, Any] | None:
    """Copy a cached package to ``package`` and return its result; ``None`` if it is missing or damaged."""
    with _locked(entry.parents[1]):
        try:
            result: dict[str, Any] = json.loads((entry / RESULT_NAME).read_bytes())
            shutil.copytree(entry / PACKAGE_NAME, package)
            if hash_folder(package)[0] == result["sha256"]:
                with suppress(OSError):  # a read-only cache works as well
                    os.utime(entry)
                return result
        except (OSError, ValueError, KeyError):
            pass
        shutil.rmtree(package, ignore_errors=True)
        return None


def add(entry: Path, package: Path, result: dict[str, Any], max_bytes: int = MAX_BYTES) -> None:
    """Copy a package and its result to the cache; the least recently used entries above ``max_bytes`` are removed.

    Nothing is raised when the cache cannot be written.
    """
    partial = entry.with_name(f"{entry.name}{PARTIAL_SUFFIX}")
    with _locked(entry.parents[1]) as locked:
        if not locked:
            return
        with suppress(OSError):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            shutil.copytree(package, partial / PACKAGE_NAME)
            content = json.dumps({**result, "sha256": hash_folder(package)[0]}).encode()
            atomic_write(partial / RESULT_NAME, content)
            shutil.rmtree(entry, ignore_errors=True)
            partial.rename(entry)
        _prune(entry.parents[1], max_bytes)


def _prune(conversions: Path, max_bytes: int) -> None:
    """Remove partial copies of killed processes, then the least recently used entries above ``max_bytes``.

    The caller holds the lock, so that no other process is copying.
    """
    with suppress(OSError):
        for partial in conversions.glob(f"*/*{PARTIAL_SUFFIX}"):
            shutil.rmtree(partial, ignore_errors=True)
        newest_first = sorted(conversions.glob("*/*"), key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
        size = 0
        for entry in newest_first:
            size += sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
            if size > max_bytes:
                shutil.rmtree(entry, ignore_errors=True)
                with suppress(OSError):  # not empty: other packages of the same source
                    entry.parent.rmdir()


@contextmanager
def _locked(conversions: Path) -> Iterator[bool]:
    """Lock the cache against other processes; yields whether the lock is held.

    It is not where the cache is read-only or its file system has no locks, nor after ``LOCK_TIMEOUT``: a suspended
    process may hold the lock for ever.
    """
    from filelock import FileLock

    lock = FileLock(conversions / LOCK_FILE, timeout=LOCK_TIMEOUT)
    with suppress(OSError, NotImplementedError):  # filelock's Timeout is an OSError
        lock.acquire()
    try:
        yield lock.is_locked
    finally:
        lock.release()
