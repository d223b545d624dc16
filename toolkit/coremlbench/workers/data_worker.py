"""Prepares a dataset: drawn, downloaded, unpacked or examined, and split. Started by the Create ML engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coremlbench.workers.harness import Report, run


def work(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the ``ImageSet`` of the request as JSON."""
    from coremlbench import jsonable
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
    prepared: dict[str, Any] = jsonable.to_json(images)
    return prepared


if __name__ == "__main__":
    run(work)
