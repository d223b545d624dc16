"""Prepares a dataset: drawn, downloaded, unpacked or examined, and split. Started by runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coremlbench.supervision.worker_main import Report, run


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the ``ImageSet``, or the ``ArraySet``, of the request as JSON."""
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
        prepared: dict[str, Any] = serialization.to_json(arrays)
        return prepared
    from coremlbench_datasets import DatasetRequest, find

    images = find(request["dataset"]).prepare(
        DatasetRequest(
            cache=Path(request["cache"]),
            train=request["train"],
            test=request["test"],
            seed=request["seed"],
            source=Path(request["source"]) if request["source"] else None,
        ),
        report,
    )
    found: dict[str, Any] = serialization.to_json(images)
    return found


if __name__ == "__main__":
    run(work)
