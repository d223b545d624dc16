"""Worker: link prepared images into one folder for each class, as Create ML reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import Report, run
from coremlbench.types.data import LabelledImage


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the hash of the images as ``key``, and the folder of each part that has images in ``folders``."""
    from coremlbench.createml.labelled_folders import link_images

    parts = {
        name: [LabelledImage(Path(path), label) for path, label in images] for name, images in request["parts"].items()
    }
    key, folders = link_images(parts, request["classes"], Path(request["cache"]), report)
    return {"key": key, "folders": folders}


if __name__ == "__main__":
    run(work)
