"""Save Core ML packages atomically."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any


def save_package(model: Any, path: Path, metadata: dict[str, str]) -> None:
    """Save a coremltools ``MLModel`` with its metadata at ``path``; an incomplete package never has that name.

    ``metadata["description"]`` becomes the short description; the other entries become user-defined metadata. Without
    a description the model keeps the author, description and version that it has.
    """
    if "description" in metadata:
        model.author = "coremlbench"
        model.short_description = metadata["description"]
        model.version = "1"
    for key, value in metadata.items():
        if key != "description":
            model.user_defined_metadata[key] = value
    partial = path.with_name(f"partial-{path.name}")  # coremltools requires the suffix .mlpackage
    shutil.rmtree(partial, ignore_errors=True)
    model.save(str(partial))
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)
