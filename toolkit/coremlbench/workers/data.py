"""Worker: prepare a dataset, that is, draw, download, unpack or examine it, and split it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import Report, run


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the requested dataset as JSON, an ``ImageSet`` or an ``ArraySet``."""
    from coremlbench.system import serialization
    from coremlbench_datasets.array_datasets import ARRAY_DATASETS

    if request["dataset"] in ARRAY_DATASETS:
        report("data", 0, 1)
        arrays = ARRAY_DATASETS[request["dataset"]].prepare(
            Path(request["cache"]),
            report,
            train=request["train"],
            test=request["test"],
            source=Path(request["source"]) if request["source"] else None,
        )
        array_set: dict[str, Any] = serialization.to_json(arrays)
        return array_set
    from coremlbench_datasets import DatasetRequest, find

    images = find(request["dataset"]).prepare(
        DatasetRequest(
            cache=Path(request["cache"]),
            train=request["train"],
            test=request["test"],
            seed=request["seed"],
            source=Path(request["source"]) if request["source"] else None,
            needed=tuple(request["needed"]) if request.get("needed") else None,
        ),
        report,
    )
    image_set: dict[str, Any] = serialization.to_json(images)
    return image_set


if __name__ == "__main__":
    run(work)
