"""Core ML packages on disk: each is there as a whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any


def save(model: Any, path: Path, metadata: dict[str, str]) -> None:
    """Save a coremltools model with its metadata, whole or not at all."""
    if "description" in metadata:  # a package of the user's keeps its own
        model.author = "coremlbench"
        model.short_description = metadata["description"]
        model.version = "1"
    for key, value in metadata.items():
        if key != "description":
            model.user_defined_metadata[key] = value
    partial = path.with_name(f"partial-{path.name}")  # coremltools wants the suffix
    shutil.rmtree(partial, ignore_errors=True)
    model.save(str(partial))
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)
