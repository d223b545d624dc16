"""Packages that were converted before: kept by the hash of their source and of everything else that made them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from coremlbench.files import hash_folder, write_whole

CONVERTER = 1
"""Raised whenever the way of converting changes, so that no older package is taken for a newer one."""

PACKAGE, TOLD = "model.mlpackage", "made.json"


def folder_of(cache: Path, source_sha256: str, particulars: dict[str, Any]) -> Path:
    """Return where a variant is kept; ``particulars`` are all that decides its content beside the source."""
    decided = {**particulars, "converter": CONVERTER, "coremltools": metadata.version("coremltools")}
    key = hashlib.sha256(json.dumps(decided, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return cache / "conversions" / source_sha256[:32] / f"{particulars['variant']}-{particulars['batch']}-{key}"


def take(kept: Path, package: Path) -> dict[str, Any] | None:
    """Copy a kept package to ``package`` and return what was told of it; ``None`` for none, or a broken one."""
    try:
        told: dict[str, Any] = json.loads((kept / TOLD).read_bytes())
        shutil.copytree(kept / PACKAGE, package)
        if hash_folder(package)[0] == told["sha256"]:
            return told
    except (OSError, ValueError, KeyError):
        pass
    shutil.rmtree(package, ignore_errors=True)
    return None


def keep(kept: Path, package: Path, told: dict[str, Any]) -> None:
    """Keep a copy of a package; a cache that cannot be written is no failure."""
    partial = kept.with_name(f"{kept.name}.{os.getpid()}.partial")
    with suppress(OSError):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        shutil.copytree(package, partial / PACKAGE)
        write_whole(partial / TOLD, json.dumps({**told, "sha256": hash_folder(package)[0]}).encode())
        shutil.rmtree(kept, ignore_errors=True)
        partial.rename(kept)
    shutil.rmtree(partial, ignore_errors=True)
